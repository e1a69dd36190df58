/* How many micro-batches each chunk of a candidate has places for, without a schedule being made
 * (tests/unit/test_planner compares them). Interleaved: Megatron's order (Narayanan et al. 2021,
 * section 2.2), counted through: a stage goes forward 2 (p - s - 1) + (v - 1) p + 1 times before it
 * goes back, chunk by chunk in groups of p micro-batches, and from then on in turns. */
#include "pipeline/planner_private.h"

#include <stdlib.h>

static int lesser(int a, int b)
{
    return a < b ? a : b;
}

/* The chunk of the stage that pass number I of a direction is on. */
static int level_of(int p, int v, int micros, int i)
{
    int group = i / (p * v), left = micros - group * p, width = lesser(p, left);
    return (i - group * p * v) / width;
}

/* Beyond a few groups of micro-batches nothing new happens. */
static mb_status_t count_interleaved(const mb_candidate_t *c, int stage, int *slots)
{
    int p = c->stages, v = mb_schedule_chunks(&c->schedule, p) / p;
    int micros = lesser(c->micros, 4 * p + c->micros % p), all = micros * v;
    int warm = lesser(all, 2 * (p - stage - 1) + (v - 1) * p + 1);
    int *now = calloc((size_t)v, sizeof *now);
    if (now == NULL)
        return mb_error_memory("a plan", (size_t)v * sizeof *now);
    for (int i = 0; i < all; i++) {
        int forward = level_of(p, v, micros, i);
        if (i >= warm)
            now[v - 1 - level_of(p, v, micros, i - warm)]--;
        now[forward]++;
        int *most = &slots[forward * p + stage];
        *most = now[forward] > *most ? now[forward] : *most;
    }
    free(now);
    return MB_OK;
}

/* Of ZB-V's two chunks on stage s the one on the way there 2p - s, the one on the way back s + 1;
 * with few micro-batches all of them. */
static int slots_of_v(const mb_candidate_t *c, int chunk)
{
    int p = c->stages, stage = mb_schedule_stage_of(c->schedule.kind, p, chunk);
    return c->micros <= p ? c->micros : chunk < p ? 2 * p - stage : stage + 1;
}

static int slots_of(const mb_candidate_t *c, int chunk)
{
    mb_schedule_kind_t kind = c->schedule.kind;
    bool turns = kind == MB_SCHEDULE_ZB_V || kind == MB_SCHEDULE_AUTO;
    if (turns && mb_schedule_chunks(&c->schedule, c->stages) == 2 * c->stages)
        return slots_of_v(c, chunk);
    return (int)mb_planner_in_flight(c, mb_schedule_stage_of(kind, c->stages, chunk));
}

mb_status_t mb_planner_slots(const mb_candidate_t *c, int *slots)
{
    int chunks = mb_schedule_chunks(&c->schedule, c->stages);
    if (c->schedule.kind == MB_SCHEDULE_INTERLEAVED) {
        for (int s = 0; s < c->stages; s++)
            MB_TRY(count_interleaved(c, s, slots));
        return MB_OK;
    }
    for (int i = 0; i < chunks; i++)
        slots[i] = lesser(slots_of(c, i), c->micros);
    return MB_OK;
}
