/* What generators of schedules are given and give. Inside src/pipeline only. */
#ifndef MB_PIPELINE_SCHEDULE_PRIVATE_H
#define MB_PIPELINE_SCHEDULE_PRIVATE_H

#include "pipeline/schedule.h"

/* Generators append to the programs, which have room for every micro-batch's F, B and W. */
void mb_program_add(mb_program_t *program, mb_action_kind_t kind, int chunk, int micro);

void mb_schedule_gpipe(mb_schedule_t *schedule, bool training);
void mb_schedule_1f1b(mb_schedule_t *schedule);
/* The V shape that never idles, from 2 stages x micro-batches on. */
void mb_schedule_v(mb_schedule_t *schedule);

/* What list scheduling is bound by. */
typedef struct {
    bool training, splits_backward;
    bool by_step; /* a schedule is as long as its longest stage, from its first action to its last,
                     and not until its end: see mb_schedule_times_t */
    const int *ahead;     /* [stages] forwards at most whose gradient of inputs is to come, where an
                             order keeps to that; NULL: any */
    const double *weight; /* [chunks] of a micro-batch's activations; NULL: 1 */
    const double *most;   /* [stages] weight of activations at most; NULL: any */
    const mb_chunk_cost_t *costs; /* [chunks] */
} mb_list_rules_t;
/* Tries some orders of preference and keeps the shortest one. MB_ERR_INTERNAL: under the
 * limits none ends. */
mb_status_t mb_schedule_list(const mb_list_rules_t *rules, mb_schedule_t *out);

/* The schedule of KIND where it has no closed form; of any, forward only. Chunks lie where they are
 * set to. */
mb_status_t mb_schedule_limited(mb_schedule_kind_t kind, bool training, mb_arena_t *arena,
                                mb_schedule_t *out);
/* The one that --schedule auto makes, from the choice's costs and limits. Chunks lie where they are
 * set to. MB_ERR_ARGUMENT names a stage that cannot hold one micro-batch. */
mb_status_t mb_schedule_auto(const mb_schedule_choice_t *choice, mb_schedule_t *schedule);

/* schedule_segments.c: cuts each chunk into SEGMENTS of its own; what is said of the segments, of
 * CHUNKS whole chunks. Only MB_ERR_MEMORY. */
mb_status_t mb_schedule_cut_segments(mb_schedule_t *schedule, int segments, mb_arena_t *arena);
mb_status_t mb_schedule_join_segments(mb_schedule_choice_t *choice, int chunks, int segments,
                                      mb_arena_t *arena);

/* schedule_file.c: stages, chunks, micro-batches and programs of a file. */
mb_status_t mb_schedule_read(const mb_schedule_choice_t *choice, mb_arena_t *arena,
                             mb_schedule_t *out);

/* Links the chunks of each stage, and makes room for the programs, of a schedule whose numbers and
 * stage_of are set. */
mb_status_t mb_schedule_room(mb_schedule_t *schedule, mb_arena_t *arena);

#endif
