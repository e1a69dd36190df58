/* See stragglers.h. */
#include "train/stragglers.h"

#include <math.h>
#include <stdlib.h>

#include "base/median.h"

enum { LEAST_STEPS = 4, SLOW_WINDOWS = 2 };
#define WEIGHT 0.125 /* of a window in what a rank is known to take */

typedef struct {
    mb_comm_load_t begin; /* of the window */
    double usual;         /* seconds a step; 0: not known yet */
    double now;           /* in this window */
    double should;        /* at most */
    bool by_replicas;     /* as their median says, not its own past */
    int slow;             /* windows, one behind the other */
    int64_t since_step;   /* of the first of these */
    double since, told;   /* when; told < 0: not since it became slow */
} member_t;

struct mb_stragglers {
    int ranks, stages;
    int64_t first_step;
    double window, begun; /* seconds; begun < 0: there was none yet */
    bool warm;            /* the first window, in which much is done for the first time, is over */
    double *sorted;       /* [ranks] scratch */
    member_t member[];
};

mb_status_t mb_stragglers_create(int ranks, int stages, double window_seconds, int64_t first_step,
                                 mb_stragglers_t **out)
{
    size_t bytes = sizeof(mb_stragglers_t) + (size_t)ranks * sizeof(member_t);
    mb_stragglers_t *stragglers = calloc(1, bytes);
    double *sorted = calloc((size_t)ranks, sizeof *sorted);
    if (stragglers == NULL || sorted == NULL) {
        free(stragglers);
        free(sorted);
        return mb_error_memory("the times of all ranks", bytes);
    }
    stragglers->ranks = ranks;
    stragglers->stages = stages;
    stragglers->window = window_seconds;
    stragglers->first_step = first_step;
    stragglers->begun = -1;
    stragglers->sorted = sorted;
    for (int r = 0; r < ranks; r++)
        stragglers->member[r].told = -1;
    *out = stragglers;
    return MB_OK;
}

void mb_stragglers_destroy(mb_stragglers_t *stragglers)
{
    if (stragglers == NULL)
        return;
    free(stragglers->sorted);
    free(stragglers);
}

static void begin_window(mb_stragglers_t *stragglers, const mb_comm_load_t *loads, double now)
{
    stragglers->begun = now;
    for (int r = 0; r < stragglers->ranks; r++)
        stragglers->member[r].begin = loads[r];
}

/* It ends when every rank has told of enough steps. */
static bool ends_window(mb_stragglers_t *stragglers, const mb_comm_load_t *loads, double now)
{
    if (stragglers->begun < 0) {
        begin_window(stragglers, loads, now);
        return false;
    }
    if (now - stragglers->begun < stragglers->window)
        return false;
    for (int r = 0; r < stragglers->ranks; r++) {
        if (loads[r].steps - stragglers->member[r].begin.steps < LEAST_STEPS)
            return false;
    }
    return true;
}

static void take_times(mb_stragglers_t *stragglers, const mb_comm_load_t *loads)
{
    for (int r = 0; r < stragglers->ranks; r++) {
        member_t *member = &stragglers->member[r];
        member->now =
            (loads[r].busy - member->begin.busy) / (double)(loads[r].steps - member->begin.steps);
    }
}

/* The lower one of two in the middle: of two replicas the faster. */
static double lower_median(double *values, int n)
{
    mb_median(values, n); /* sorts */
    return values[(n - 1) / 2];
}

/* By how much the median rank's time has grown; what became shorter is no reason. */
static double common_growth(mb_stragglers_t *stragglers)
{
    for (int r = 0; r < stragglers->ranks; r++)
        stragglers->sorted[r] = stragglers->member[r].now / stragglers->member[r].usual;
    return fmax(1, lower_median(stragglers->sorted, stragglers->ranks));
}

static double stage_median(mb_stragglers_t *stragglers, int stage)
{
    int n = 0;
    for (int r = stage; r < stragglers->ranks; r += stragglers->stages)
        stragglers->sorted[n++] = stragglers->member[r].now;
    return n < 2 ? INFINITY : lower_median(stragglers->sorted, n);
}

/* What the rank should take, by either measure. */
static void take_reference(mb_stragglers_t *stragglers, int rank, double growth)
{
    member_t *member = &stragglers->member[rank];
    double own = member->usual * growth;
    double theirs = stage_median(stragglers, rank % stragglers->stages);
    member->by_replicas = theirs < own;
    member->should = member->by_replicas ? theirs : own;
}

static bool is_slow(const member_t *member, int64_t steps, double seconds)
{
    double lost = (member->now - member->should) * (double)steps;
    return member->now >= MB_STRAGGLER_FACTOR * member->should &&
           lost >= MB_STRAGGLER_PART * seconds;
}

static void judge(mb_stragglers_t *stragglers, int rank, const mb_comm_load_t *load, double now)
{
    member_t *member = &stragglers->member[rank];
    if (!is_slow(member, load->steps - member->begin.steps, now - stragglers->begun)) {
        member->slow = 0;
        member->told = -1;
        member->usual += WEIGHT * (member->now - member->usual);
        return;
    }
    if (member->slow++ == 0) {
        member->since = stragglers->begun;
        member->since_step = member->begin.steps;
    }
}

static bool is_to_be_told(const member_t *member, double now)
{
    return member->slow >= SLOW_WINDOWS &&
           (member->told < 0 || now - member->told >= MB_STRAGGLER_AGAIN_SECONDS);
}

/* The part of the window that the ranks but one have waited. */
static double waited_by_others(const mb_stragglers_t *stragglers, int rank,
                               const mb_comm_load_t *loads, double now)
{
    double waited = 0;
    for (int r = 0; r < stragglers->ranks; r++)
        waited += r == rank ? 0 : loads[r].waited - stragglers->member[r].begin.waited;
    double part = waited / (now - stragglers->begun) / fmax(1, stragglers->ranks - 1);
    return part > 1 ? 1 : part;
}

static bool find_worst(mb_stragglers_t *stragglers, const mb_comm_load_t *loads, double now,
                       mb_straggler_t *found)
{
    int worst = -1;
    double most = 0;
    for (int r = 0; r < stragglers->ranks; r++) {
        const member_t *member = &stragglers->member[r];
        if (!is_to_be_told(member, now) || member->now / member->should <= most)
            continue;
        worst = r;
        most = member->now / member->should;
    }
    if (worst < 0)
        return false;
    member_t *member = &stragglers->member[worst];
    member->told = now;
    *found = (mb_straggler_t){.rank = worst,
                              .stage = worst % stragglers->stages,
                              .factor = most,
                              .by_replicas = member->by_replicas,
                              .since_step = stragglers->first_step + member->since_step,
                              .seconds = now - member->since,
                              .waited = waited_by_others(stragglers, worst, loads, now)};
    return true;
}

static void learn(mb_stragglers_t *stragglers)
{
    for (int r = 0; r < stragglers->ranks; r++)
        stragglers->member[r].usual = fmax(stragglers->member[r].now, 1e-9);
}

static void judge_all(mb_stragglers_t *stragglers, const mb_comm_load_t *loads, double now)
{
    double growth = common_growth(stragglers);
    for (int r = 0; r < stragglers->ranks; r++)
        take_reference(stragglers, r, growth);
    for (int r = 0; r < stragglers->ranks; r++)
        judge(stragglers, r, &loads[r], now);
}

bool mb_stragglers_look(mb_stragglers_t *stragglers, const mb_comm_load_t *loads, double now,
                        mb_straggler_t *found)
{
    bool any = false;
    if (!ends_window(stragglers, loads, now))
        return false;
    take_times(stragglers, loads);
    if (stragglers->member[0].usual > 0) {
        judge_all(stragglers, loads, now);
        any = find_worst(stragglers, loads, now, found);
    } else if (stragglers->warm) {
        learn(stragglers);
    }
    stragglers->warm = true;
    begin_window(stragglers, loads, now);
    return any;
}
