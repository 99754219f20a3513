#define CLOUDLET_DRAW_KERNELS draw_kernels_portable
#define CLOUDLET_DRAW_NAME "portable"
#include "crush_draw_kernel.h"
