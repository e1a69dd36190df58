/* What a rank's time is counted as (device/account.h): the actions of its list, and what a run does
 * around them. */
#ifndef MB_ENGINE_ACTIVITY_H
#define MB_ENGINE_ACTIVITY_H

#include "device/account.h"
#include "pipeline/walk.h"

enum { /* behind the action kinds */
       MB_ACTIVITY_START =
           MB_ACTION_COUNT, /* of a step: sums to zero, weights in the type computed */
       MB_ACTIVITY_FEED,    /* samples into their slots, and waiting for them */
       MB_ACTIVITY_SCORE,   /* loss and metrics come to rank 0 */
       MB_ACTIVITY_REPORT,  /* they are told and written */
       MB_ACTIVITY_VOTE,    /* whether to stop or to save */
       MB_ACTIVITY_VALIDATION,
       MB_ACTIVITY_CHECKPOINT,
       MB_ACTIVITY_OTHER,
       MB_ACTIVITY_COUNT
};
_Static_assert((int)MB_ACTIVITY_COUNT <= MB_ACCOUNT_ACTIVITIES, "an account has room for all");

static inline const char *mb_activity_name(int activity)
{
    static const char *const names[] = {"start of a step", "data", "loss and metrics",
                                        "report",          "vote", "validation",
                                        "checkpoint",      "other"};
    return activity < (int)MB_ACTION_COUNT ? mb_action_name((mb_action_kind_t)activity)
                                           : names[activity - (int)MB_ACTION_COUNT];
}

#endif
