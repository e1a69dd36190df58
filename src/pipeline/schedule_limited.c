/* Schedules that list scheduling makes for equal costs, under the limits that their names promise:
 * on how many micro-batches a stage goes ahead, and on what it holds. */
#include "pipeline/schedule_private.h"

/* 1F1B's: as many as there are stages from it on. */
static int ahead_h1(int stages, int stage, int chunks)
{
    (void)chunks;
    return stages - stage;
}

/* As many as let the first gradient arrive before a stage runs out of forwards. */
static int ahead_h2(int stages, int stage, int chunks)
{
    (void)chunks;
    return 2 * (stages - stage) - 1;
}

/* Megatron's warm-up and the one behind it. */
static int ahead_interleaved(int stages, int stage, int chunks)
{
    return 2 * (stages - stage - 1) + (chunks - 1) * stages + 1;
}

typedef int ahead_t(int stages, int stage, int chunks);

static ahead_t *ahead_of(mb_schedule_kind_t kind)
{
    static ahead_t *const all[MB_SCHEDULE_FILE + 1] = {[MB_SCHEDULE_INTERLEAVED] =
                                                           ahead_interleaved,
                                                       [MB_SCHEDULE_ZB_H1] = ahead_h1,
                                                       [MB_SCHEDULE_ZB_H2] = ahead_h2};
    return all[kind];
}

/* Activations of so many chunks at most, on every stage: what the first one comes to hold. */
static int most_held(mb_schedule_kind_t kind, int stages, int chunks)
{
    switch (kind) {
    case MB_SCHEDULE_INTERLEAVED:
        return ahead_interleaved(stages, 0, chunks);
    case MB_SCHEDULE_ZB_H1:
        return stages;
    case MB_SCHEDULE_ZB_H2:
        return 2 * stages - 1;
    default:
        return 2 * stages;
    }
}

mb_status_t mb_schedule_limited(mb_schedule_kind_t kind, bool training, mb_arena_t *arena,
                                mb_schedule_t *out)
{
    ahead_t *ahead_at = ahead_of(kind);
    int per_stage = out->chunks / out->stages;
    int *ahead = MB_ARENA_ARRAY(arena, int, out->stages);
    double *most = MB_ARENA_ARRAY(arena, double, out->stages);
    mb_chunk_cost_t *costs = MB_ARENA_ARRAY(arena, mb_chunk_cost_t, out->chunks);
    if (ahead == NULL || most == NULL || costs == NULL)
        return mb_error_memory("a schedule", (size_t)out->chunks * sizeof(*costs));
    for (int s = 0; s < out->stages; s++) {
        ahead[s] = ahead_at == NULL ? 0 : ahead_at(out->stages, s, per_stage);
        most[s] = most_held(kind, out->stages, per_stage);
    }
    for (int c = 0; c < out->chunks; c++)
        costs[c] = (mb_chunk_cost_t){.forward = 1, .backward_input = 1, .backward_weights = 1};
    mb_list_rules_t rules = {.training = training,
                             .splits_backward = training && kind != MB_SCHEDULE_INTERLEAVED,
                             .ahead = training && ahead_at != NULL ? ahead : NULL,
                             .most = training ? most : NULL,
                             .costs = costs};
    return mb_schedule_list(&rules, out);
}
