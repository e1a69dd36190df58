/* What a test may ask of the simulated CUDA beyond CUDA's own calls. */
#ifndef MB_CUDASIM_H
#define MB_CUDASIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As if MB_CUDASIM_SEED had been this, from here on. */
void mb_cudasim_seed(uint64_t seed);
/* As if MB_CUDASIM_FAIL had been this, from here on; NULL or "" for no failure. */
void mb_cudasim_fail(const char *what);
/* As if MB_CUDASIM_PAGEABLE had been "refuse", or had not, from here on. */
void mb_cudasim_refuse_pageable(int refuse);
/* The same of "late". */
void mb_cudasim_late_pageable(int late);
/* What was said last on standard error, "" before that. */
const char *mb_cudasim_last_message(void);
/* Bytes that are allocated on DEVICE now. */
size_t mb_cudasim_allocated(int device);
/* How many calls of cudaMemcpyAsync have had pageable host memory on a side, and so have waited. */
uint64_t mb_cudasim_pageable_copies(void);

#ifdef __cplusplus
}
#endif

#endif
