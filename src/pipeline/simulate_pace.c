/* How fast a simulated rank is: stragglers are slower by a factor, and every action takes a little
 * more or less by chance. */
#include "pipeline/simulate.h"

#include "base/philox.h"

mb_simulated_pace_t mb_simulated_pace(const mb_simulation_t *s, int rank)
{
    mb_simulated_pace_t pace = {.rank = rank, .factor = 1};
    for (int i = 0; i < s->n_stragglers; i++)
        pace.factor *= s->stragglers[i].rank == rank ? s->stragglers[i].factor : 1;
    return pace;
}

static double spread(const mb_simulation_t *s, mb_simulated_pace_t *pace)
{
    if (!(s->jitter > 0))
        return 1;
    mb_random_key_t key = {.seed = s->seed,
                           .purpose = MB_RANDOM_SIMULATED,
                           .step = (uint32_t)pace->step,
                           .position = (uint32_t)pace->rank};
    double unit = mb_random_open_unit(mb_random_word(&key, 0, pace->n_drawn++));
    return 1 + s->jitter * (2 * unit - 1);
}

double mb_simulated_seconds(const mb_simulation_t *s, mb_simulated_pace_t *pace, int step,
                            double seconds)
{
    if (step != pace->step)
        pace->n_drawn = 0;
    pace->step = step;
    seconds += pace->owed;
    pace->owed = 0;
    return seconds * pace->factor * spread(s, pace);
}

bool mb_simulated_is_lost(const mb_simulation_t *s, int rank, int step)
{
    for (int i = 0; i < s->n_losses; i++) {
        if (s->losses[i].rank == rank && s->losses[i].step <= step)
            return true;
    }
    return false;
}

void mb_simulated_add(mb_simulated_t *out, int stage, const mb_action_cost_t *costs, int groups)
{
    double part = 1.0 / groups;
    mb_simulated_stage_t *of = &out->stages[stage];
    for (int kind = 0; kind < MB_ACTION_COUNT; kind++) {
        bool computes = kind <= MB_ACTION_R;
        bool sends = kind == MB_ACTION_SEND_ACT || kind == MB_ACTION_SEND_GRAD;
        of->compute += computes ? costs[kind].seconds * part : 0;
        of->wait += computes ? costs[kind].wait_seconds * part : 0;
        of->bytes += sends ? costs[kind].bytes : 0;
    }
    const mb_action_cost_t *sums =
        &costs[MB_ACTION_REDUCE]; /* additions between their waits, too */
    of->reduce += (sums->wait_seconds + sums->seconds) * part;
    of->update += (costs[MB_ACTION_STEP].seconds + costs[MB_ACTION_STEP].wait_seconds) * part;
}
