/* See time_limit.h. A stop that is voted for at one boundary is obeyed at the next. So whoever does
 * not vote for it now gets it two steps later at the earliest: that is what must fit, with
 * validations and saves that are due by then, and the last save. */
#include "train/time_limit.h"

#include <math.h>
#include <stdio.h>

#include "base/str.h"

/* Times scatter: a shared file system's most. */
#define MARGIN 1.25
/* A shared file system that is busy, until a save was seen; and what every save takes. */
#define GUESSED_BYTES_A_SECOND 100e6
#define GUESSED_SECONDS 0.5

static void take_longest(double *longest, double seconds)
{
    *longest = seconds > *longest ? seconds : *longest;
}

void mb_time_limit_begin(mb_time_limit_t *limit, const mb_time_end_t *end, double state_bytes)
{
    *limit = (mb_time_limit_t){.end = *end,
                               .guess = GUESSED_SECONDS + state_bytes / GUESSED_BYTES_A_SECOND};
}

void mb_time_limit_step(mb_time_limit_t *limit, double seconds)
{
    if (limit->steps++ == 1)
        limit->step = seconds;
    take_longest(&limit->step, seconds);
}

void mb_time_limit_validation(mb_time_limit_t *limit, double seconds)
{
    take_longest(&limit->validation, seconds);
}

void mb_time_limit_save(mb_time_limit_t *limit, double seconds)
{
    take_longest(&limit->save, seconds);
}

double mb_time_limit_need(const mb_time_limit_t *limit, const mb_time_ahead_t *ahead)
{
    double models = limit->end.saving > 0 ? limit->end.saving : 1;
    /* A first step makes what the others have: it says little of two. */
    double steps = (limit->steps > 1 ? 2 : 1) * limit->step;
    double save = models * (limit->save > 0 ? limit->save : limit->guess);
    double validation = limit->validation > 0 ? limit->validation : limit->val_steps * limit->step;
    return MARGIN * (steps + ahead->validations * validation + (1 + ahead->saves) * save) +
           limit->end.behind;
}

bool mb_time_limit_is_near(mb_time_limit_t *limit, double now, const mb_time_ahead_t *ahead)
{
    if (limit->end.at > 0 && now + mb_time_limit_need(limit, ahead) > limit->end.at)
        limit->stops = true;
    return limit->stops;
}

char *mb_time_limit_say(const mb_time_limit_t *limit, double now, char *buffer, size_t capacity)
{
    char left[32];
    double seconds = limit->end.at - now;
    snprintf(buffer, capacity, "stopped %s %s %s", mb_str_seconds(fabs(seconds), left, sizeof left),
             seconds < 0 ? "after" : "before", limit->end.what);
    return buffer;
}
