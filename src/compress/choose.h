/* Mixes of formats, from all float32 down to the cheapest, in the order of the least damage for
 * each byte saved. Damage is measured on data with one tensor in a format and all others in
 * float32: the outputs' mean KL divergence from the float32 model's, which is what the loss of a
 * model that has learned rises by, without the labels' noise; where outputs are no distributions,
 * the rise of the loss. */
#ifndef MB_COMPRESS_CHOOSE_H
#define MB_COMPRESS_CHOOSE_H

#include "compress/probe.h"
#include "compress/quantization.h"

typedef struct mb_mix mb_mix_t;

/* Collective. Tensors that are no matrices or that a rule names are not chosen for; --format is the
 * cheapest format that a matrix gets. */
mb_status_t mb_mix_open(mb_quantization_t *q, mb_mix_t **out);
void mb_mix_close(mb_mix_t *mix);

/* Steps from all float32 to the cheapest mix. */
int mb_mix_steps(const mb_mix_t *mix);
/* Sets the targets' formats. */
void mb_mix_take(mb_mix_t *mix, int steps);
/* Bytes of all tensors after so many steps. */
int64_t mb_mix_bytes(mb_mix_t *mix, int steps);
/* The least steps that bring all tensors within BYTES; MB_ERR_ARGUMENT says how small they get. */
mb_status_t mb_mix_reach(mb_mix_t *mix, int64_t bytes, int *steps);
/* What was measured, with the formats that STEPS choose marked; for the result. */
mb_status_t mb_mix_tell(const mb_mix_t *mix, int steps);

#endif
