/* Training within a time: steps that, by what the last ones took, fit into it. The ranks agree
 * before every step, or before as many short ones as take QUANTUM: what is left to the one with the
 * least, and a step as long as the slowest takes. */
#include <math.h>
#include <stdlib.h>

#include "api/trainer_private.h"
#include "base/log.h"
#include "base/median.h"

#define QUANTUM 2e-3 /* seconds; asking all ranks takes some hundredths of it */

enum { LEAST_MEASURED = 3 }; /* before that a step is begun whatever it takes */

typedef struct { /* what a rank has to say */
    double left; /* seconds */
    double step; /* seconds that one takes; 0: not known */
    int stop;
} say_t;

static double step_seconds(const mb_pace_t *pace)
{
    double sorted[MB_PACE_STEPS];
    int n = pace->n < MB_PACE_STEPS ? (int)pace->n : MB_PACE_STEPS;
    for (int i = 0; i < n; i++)
        sorted[i] = pace->seconds[i];
    return n < LEAST_MEASURED ? 0 : mb_median(sorted, n);
}

static mb_status_t agree(mb_trainer_t *trainer, double left, say_t *all)
{
    mb_comm_t *comm = mb_api_trainer_comm(trainer);
    int ranks = mb_comm_size(comm);
    say_t own = {left, step_seconds(&trainer->pace), trainer->stop != 0};
    *all = own;
    if (ranks == 1)
        return MB_OK;
    MB_TRY(mb_comm_allgather(comm, &own, sizeof own, trainer->pace.said));
    for (int r = 0; r < ranks; r++) {
        const say_t *one = (const say_t *)trainer->pace.said + r;
        all->left = one->left < all->left ? one->left : all->left;
        all->step = one->step > all->step ? one->step : all->step;
        all->stop |= one->stop;
    }
    return MB_OK;
}

/* Steps that may be begun before the ranks are asked again. */
static int64_t fitting(const say_t *all)
{
    if (all->stop || all->left <= 0 || all->step > all->left)
        return 0;
    double some = all->step > 0 ? QUANTUM / all->step : 1;
    return some < 1 ? 1 : (int64_t)(some < all->left / all->step ? some : all->left / all->step);
}

static mb_status_t some_steps(mb_trainer_t *trainer, int64_t n, int64_t *steps)
{
    mb_pace_t *pace = &trainer->pace;
    for (int64_t i = 0; i < n && !mb_training_finished(trainer->training); i++) {
        double begun = mb_time_seconds();
        MB_TRY(mb_api_trainer_step(trainer));
        pace->seconds[pace->n++ % MB_PACE_STEPS] = mb_time_seconds() - begun;
        ++*steps;
    }
    return MB_OK;
}

static mb_status_t go(mb_trainer_t *trainer, double end, int64_t *steps)
{
    say_t all;
    int64_t n = 1;
    while (n > 0 && !mb_training_finished(trainer->training)) {
        MB_TRY(agree(trainer, end - mb_time_seconds(), &all));
        n = fitting(&all);
        MB_TRY(some_steps(trainer, n, steps));
    }
    trainer->stop = 0;
    return mb_api_trainer_share(trainer);
}

static mb_status_t check_time(mb_trainer_t *trainer, double seconds, const int64_t *steps)
{
    size_t bytes = (size_t)mb_comm_size(mb_api_trainer_comm(trainer)) * sizeof(say_t);
    MB_TRY(mb_api_need(steps, "mb_trainer_run_for", "steps"));
    if (isnan(seconds) || seconds < 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_trainer_run_for: %g seconds; none or more are wanted", seconds);
    if (trainer->pace.said == NULL)
        trainer->pace.said = malloc(bytes);
    return trainer->pace.said == NULL ? mb_error_memory("what all ranks say", bytes) : MB_OK;
}

/* What the library has taken since the last call for the samples to train from. */
static double take_spent(mb_trainer_t *trainer)
{
    double spent = trainer->pace.spent;
    trainer->pace.spent = 0;
    return spent + (trainer->reservoir == NULL ? 0 : mb_api_reservoir_seconds(trainer->reservoir));
}

/* With a share, what the program has taken since the last call earns time, which training pays
 * with, and may owe. */
static double allowed(mb_trainer_t *trainer, double now, double seconds)
{
    mb_pace_t *pace = &trainer->pace;
    double spent = take_spent(trainer);
    if (pace->share <= 0)
        return seconds;
    if (pace->ended > 0)
        pace->credit += pace->share * (now - pace->ended - spent) - spent;
    return pace->credit < seconds ? pace->credit : seconds;
}

/* A rank that does not compute makes no steps. */
static mb_status_t stay_away(int64_t *steps)
{
    MB_TRY(mb_api_need(steps, "mb_trainer_run_for", "steps"));
    *steps = 0;
    return MB_OK;
}

mb_status_t mb_trainer_run_for(mb_trainer_t *trainer, double seconds, int64_t *steps)
{
    int64_t some = 0;
    MB_NEED(trainer);
    MB_TRY(mb_api_need_idle(trainer->context, __func__));
    MB_TRY(mb_api_trainer_start_if_needed(trainer));
    if (trainer->absent)
        return stay_away(steps);
    MB_TRY(mb_comm_agree(mb_api_trainer_comm(trainer), check_time(trainer, seconds, steps)));
    mb_pace_t *pace = &trainer->pace;
    double begun = mb_time_seconds(); /* all ranks have come */
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = go(trainer, begun + allowed(trainer, begun, seconds), &some);
    mb_api_leave(&kept);
    MB_TRY(status);
    pace->ended = mb_time_seconds();
    pace->credit -= pace->ended - begun;
    *steps = some;
    return MB_OK;
}
