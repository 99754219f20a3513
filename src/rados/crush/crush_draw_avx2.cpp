#define CLOUDLET_DRAW_KERNELS draw_kernels_avx2
#define CLOUDLET_DRAW_NAME "avx2"
#include "crush_draw_kernel.h"
