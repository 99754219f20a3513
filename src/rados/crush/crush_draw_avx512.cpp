#define CLOUDLET_DRAW_KERNELS draw_kernels_avx512
#define CLOUDLET_DRAW_NAME "avx512"
#include "crush_draw_kernel.h"
