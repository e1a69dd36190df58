/* Chunks in segments that are computed again one by one: a stage then has room for what lies inside
 * the largest segment instead of the whole chunk, and keeps what goes from one to the next of each
 * micro-batch (Chen et al.: "Training deep nets with sublinear memory cost", 2016). Each is a chunk
 * of its own on the same stage. */
#include "pipeline/schedule_private.h"

/* Those of a forward in ascending order, of a backward in descending order, each with an R of its
 * own, which comes later. */
static void add_segments(mb_program_t *program, const mb_action_t *action, int segments)
{
    if (action->kind == MB_ACTION_R)
        return;
    for (int i = 0; i < segments; i++) {
        int segment = action->kind == MB_ACTION_F ? i : segments - 1 - i;
        mb_program_add(program, action->kind, action->chunk * segments + segment, action->micro);
    }
}

mb_status_t mb_schedule_cut_segments(mb_schedule_t *schedule, int segments, mb_arena_t *arena)
{
    const mb_schedule_t whole = *schedule;
    schedule->chunks = whole.chunks * segments;
    schedule->stage_of = MB_ARENA_ARRAY(arena, int, schedule->chunks);
    if (whole.again != NULL)
        schedule->again = MB_ARENA_ARRAY(arena, bool, schedule->chunks);
    if (schedule->stage_of == NULL || (whole.again != NULL && schedule->again == NULL))
        return mb_error_memory("a schedule", (size_t)schedule->chunks * sizeof(int));
    for (int c = 0; c < schedule->chunks; c++) {
        schedule->stage_of[c] = whole.stage_of[c / segments];
        if (whole.again != NULL)
            schedule->again[c] = whole.again[c / segments];
    }
    MB_TRY(mb_schedule_room(schedule, arena));
    for (int s = 0; s < whole.stages; s++) {
        for (int i = 0; i < whole.programs[s].n; i++)
            add_segments(&schedule->programs[s], &whole.programs[s].actions[i], segments);
    }
    return MB_OK;
}

mb_status_t mb_schedule_join_segments(mb_schedule_choice_t *choice, int chunks, int segments,
                                      mb_arena_t *arena)
{
    mb_chunk_cost_t *costs = MB_ARENA_ARRAY(arena, mb_chunk_cost_t, chunks);
    double *weight = MB_ARENA_ARRAY(arena, double, chunks);
    if (costs == NULL || weight == NULL)
        return mb_error_memory("a schedule", (size_t)chunks * sizeof *costs);
    for (int i = 0; i < chunks * segments && choice->costs != NULL; i++) {
        const mb_chunk_cost_t *part = &choice->costs[i];
        mb_chunk_cost_t *whole = &costs[i / segments];
        whole->forward += part->forward;
        whole->backward_input += part->backward_input;
        whole->backward_weights += part->backward_weights;
        whole->kept += part->kept;
        whole->send = part->send; /* of its end */
    }
    for (int i = 0; i < chunks * segments && choice->weight != NULL; i++)
        weight[i / segments] += choice->weight[i];
    choice->costs = choice->costs == NULL ? NULL : costs;
    choice->weight = choice->weight == NULL ? NULL : weight;
    return MB_OK;
}
