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
/* What was said last on standard error, "" before that. */
const char *mb_cudasim_last_message(void);
/* Bytes that are allocated on DEVICE now. */
size_t mb_cudasim_allocated(int device);

#ifdef __cplusplus
}
#endif

#endif
