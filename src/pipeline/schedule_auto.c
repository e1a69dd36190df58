/* A schedule for given times under given limits: list scheduling in the zero-bubble manner (Qi et
 * al.: "Zero bubble pipeline parallelism", 2023, section 3, whose limits are the same for all
 * stages and in micro-batches). Stages go ahead either as far as 1F1B's do or until their first
 * gradient arrives. Known schedules that keep to the limits are compared with what comes of that,
 * so that no step takes longer than with any of them; of equal ones the one that keeps B and W
 * together holds least. */
#include "pipeline/schedule_private.h"

#include <math.h>
#include <string.h>

typedef struct {
    mb_list_rules_t rules;
    mb_schedule_t *schedule;
    double *most;           /* [stages] */
    mb_chunk_cost_t *costs; /* [chunks] */
    int *ahead;             /* [stages] */
    double step;            /* of what stands in the schedule's programs */
} auto_t;

static double weight_of(const mb_schedule_choice_t *choice, int chunk)
{
    return choice->weight == NULL ? 1 : choice->weight[chunk];
}

static mb_status_t take_limits(auto_t *a, const mb_schedule_choice_t *choice)
{
    const mb_schedule_t *schedule = a->schedule;
    for (int s = 0; s < schedule->stages; s++) {
        double one = 0;
        for (int c = schedule->first_chunk[s]; c >= 0; c = schedule->next_chunk[c])
            one += weight_of(choice, c);
        a->most[s] = choice->limits == NULL ? one * schedule->stages : choice->limits[s];
        if (one > a->most[s])
            return mb_error_set(MB_ERR_ARGUMENT,
                                "stage %d may hold activations of %g, but those of one micro-batch "
                                "take %g: use smaller micro-batches, more stages or recomputation",
                                s, a->most[s], one);
    }
    return MB_OK;
}

/* Without numbers, or where no layer says what it costs, all take as long. Where forwards are
 * computed again, nearly every B comes with one. */
static void take_costs(auto_t *a, const mb_schedule_choice_t *choice)
{
    double sum = 0;
    for (int c = 0; c < a->schedule->chunks && choice->costs != NULL; c++) {
        a->costs[c] = choice->costs[c];
        sum += a->costs[c].forward + a->costs[c].backward_input + a->costs[c].backward_weights;
    }
    for (int c = 0; c < a->schedule->chunks && sum <= 0; c++)
        a->costs[c] = (mb_chunk_cost_t){.forward = 1, .backward_input = 1, .backward_weights = 1};
    for (int c = 0; c < a->schedule->chunks && choice->recomputes; c++)
        a->costs[c].backward_input += mb_action_seconds(&a->costs[c], MB_ACTION_R);
}

/* As far as 1F1B. */
static void go_ahead_near(auto_t *a)
{
    for (int s = 0; s < a->schedule->stages; s++)
        a->ahead[s] = a->schedule->stages - s;
}

/* From a stage's first forward to its first gradient, where nothing stands in the way. */
static double way_back(const auto_t *a, int first, int last)
{
    double way = 0;
    for (int c = first + 1; c < a->schedule->chunks; c++)
        way += a->costs[c].forward + a->costs[c - 1].send;
    for (int c = last + 1; c < a->schedule->chunks; c++)
        way += a->costs[c].backward_input + a->costs[c - 1].send;
    return way;
}

/* As many forwards as fill that (Qi et al. 2023, appendix B). */
static void go_ahead_far(auto_t *a)
{
    const mb_schedule_t *schedule = a->schedule;
    double most = (double)schedule->micros * schedule->chunks;
    for (int s = 0; s < schedule->stages; s++) {
        int first = schedule->first_chunk[s], last = first, n = 0;
        double forward = 0;
        for (int c = first; c >= 0; c = schedule->next_chunk[c], n++) {
            forward += a->costs[c].forward;
            last = c;
        }
        double count = forward > 0 ? ceil(way_back(a, first, last) * n / forward) : most;
        a->ahead[s] = 1 + (int)(count < most ? count : most);
    }
}

static mb_status_t start(auto_t *a, const mb_schedule_choice_t *choice, mb_arena_t *scratch)
{
    a->most = MB_ARENA_ARRAY(scratch, double, a->schedule->stages);
    a->costs = MB_ARENA_ARRAY(scratch, mb_chunk_cost_t, a->schedule->chunks);
    a->ahead = MB_ARENA_ARRAY(scratch, int, a->schedule->stages);
    if (a->most == NULL || a->costs == NULL || a->ahead == NULL)
        return mb_error_memory("a schedule", (size_t)a->schedule->chunks * sizeof(*a->costs));
    MB_TRY(take_limits(a, choice));
    take_costs(a, choice);
    go_ahead_near(a);
    a->rules = (mb_list_rules_t){.training = true,
                                 .splits_backward = true,
                                 .by_step = true,
                                 .ahead = a->ahead,
                                 .weight = choice->weight,
                                 .most = a->most,
                                 .costs = a->costs};
    return MB_OK;
}

static bool keeps_to_limits(const auto_t *a, const mb_schedule_times_t *times)
{
    for (int s = 0; s < a->schedule->stages; s++) {
        if (times->peak[s] > a->most[s])
            return false;
    }
    return true;
}

static void take_programs(mb_schedule_t *to, const mb_schedule_t *from)
{
    for (int s = 0; s < to->stages; s++) {
        to->programs[s].n = from->programs[s].n;
        memcpy(to->programs[s].actions, from->programs[s].actions,
               (size_t)from->programs[s].n * sizeof(mb_action_t));
    }
}

/* Puts OTHER in the place of one with longer steps, or as long. */
static mb_status_t compare(auto_t *a, const mb_schedule_t *other, bool or_as_long,
                           mb_arena_t *scratch)
{
    mb_schedule_times_t times;
    MB_TRY(mb_schedule_time(other, a->costs, a->rules.weight, scratch, &times));
    if (!keeps_to_limits(a, &times) || times.step > a->step ||
        (times.step == a->step && !or_as_long))
        return MB_OK;
    a->step = times.step;
    take_programs(a->schedule, other);
    return MB_OK;
}

static mb_status_t compare_known(auto_t *a, mb_schedule_kind_t kind, mb_arena_t *scratch)
{
    mb_schedule_t other;
    mb_schedule_choice_t choice = {.kind = kind};
    MB_TRY(
        mb_schedule_make(&choice, true, a->schedule->stages, a->schedule->micros, scratch, &other));
    return compare(a, &other, kind == MB_SCHEDULE_1F1B, scratch);
}

static mb_status_t compare_far(auto_t *a, mb_arena_t *scratch)
{
    mb_schedule_t other = *a->schedule;
    go_ahead_far(a);
    MB_TRY(mb_schedule_room(&other, scratch));
    MB_TRY(mb_schedule_list(&a->rules, &other));
    return compare(a, &other, false, scratch);
}

static mb_status_t choose(auto_t *a, mb_arena_t *scratch)
{
    mb_schedule_times_t times;
    int per_stage = a->schedule->chunks / a->schedule->stages;
    MB_TRY(mb_schedule_list(&a->rules, a->schedule));
    MB_TRY(mb_schedule_time(a->schedule, a->costs, a->rules.weight, scratch, &times));
    a->step = times.step;
    MB_TRY(compare_far(a, scratch));
    if (per_stage == 2)
        return compare_known(a, MB_SCHEDULE_ZB_V, scratch);
    if (per_stage > 2)
        return MB_OK;
    MB_TRY(compare_known(a, MB_SCHEDULE_ZB_H2, scratch));
    MB_TRY(compare_known(a, MB_SCHEDULE_ZB_H1, scratch));
    return compare_known(a, MB_SCHEDULE_1F1B, scratch);
}

mb_status_t mb_schedule_auto(const mb_schedule_choice_t *choice, mb_schedule_t *schedule)
{
    auto_t a = {.schedule = schedule};
    mb_arena_t *scratch = mb_arena_create();
    if (scratch == NULL)
        return mb_error_memory("a schedule", sizeof(a));
    mb_status_t status = start(&a, choice, scratch);
    if (status == MB_OK)
        status = choose(&a, scratch);
    mb_arena_destroy(scratch);
    return status;
}
