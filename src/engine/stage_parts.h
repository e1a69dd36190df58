/* Stretches of a chunk's gradients: buckets, and parts, one for each group that keeps the state of
 * an optimizer for it. */
#ifndef MB_ENGINE_STAGE_PARTS_H
#define MB_ENGINE_STAGE_PARTS_H

#include "engine/stage.h"

/* Where N parts of the stage's chunk number INDEX begin and end, as floats of the chunk's stretch:
 * [n + 1], between tensors, as even as these allow. */
void mb_stage_parts(const mb_stage_t *stage, int index, int n, int64_t *bounds);
/* The floats of a chunk's bucket (plan.h), in a gradient block; number 0: all of them. */
typedef struct {
    int64_t first, count;
} mb_stretch_t;
mb_stretch_t mb_stage_stretch(const mb_stage_t *stage, int index, int bucket);
/* What of N parts of its chunk lies in a bucket's stretch, from its beginning. A tensor has one
 * owner whatever the buckets are. */
void mb_stage_bucket_parts(const mb_stage_t *stage, int index, mb_stretch_t stretch, int n,
                           int64_t *bounds);
/* Whether every trained tensor has its whole gradient in one place of this stage: no call of its
 * layer stands elsewhere, here or on other stages. */
bool mb_stage_sums_alone(const mb_stage_t *stage);

#endif
