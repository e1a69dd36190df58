/* See turns.h. A rest of a work's wait yields to whoever runs the turns. */
#include "comm/turns.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/fiber.h"
#include "comm/state.h"

#define STACK_BYTES ((size_t)16 << 20)

typedef struct {
    mb_turns_t *turns;
    mb_comm_t *comm;
    mb_fiber_t *fiber;
    double waited; /* seconds, of the wait that it stands in; 0: of none */
    long sleep;    /* of a wait outside the work */
} member_t;

struct mb_turns {
    int n, most;
    int driven; /* whose communicator was driven last for another one */
    bool driving;
    mb_error_message_t aside;
    member_t member[];
};

mb_status_t mb_turns_create(int most, mb_turns_t **out)
{
    size_t bytes = sizeof(mb_turns_t) + (size_t)most * sizeof(member_t);
    mb_turns_t *turns = calloc(1, bytes);
    if (turns == NULL)
        return mb_error_memory("the turns of several works", bytes);
    turns->most = most;
    *out = turns;
    return MB_OK;
}

static void rest(void *user, double waited)
{
    member_t *member = user;
    if (member->fiber == NULL || mb_fiber_current() != member->fiber) {
        if (waited < member->waited)
            member->sleep = MB_COMM_SHORTEST_SLEEP;
        member->waited = waited;
        mb_comm_rest(member->comm->crowded, waited, &member->sleep);
        return;
    }
    member->waited = waited;
    mb_fiber_yield();
}

/* One of the others at each call, which come at every tile and poll. What fails there waits for its
 * owner, and leaves no message here. */
static mb_status_t drive_another(void *user)
{
    member_t *member = user;
    mb_turns_t *turns = member->turns;
    if (turns->driving)
        return MB_OK;
    turns->driven = (turns->driven + 1) % turns->n;
    member_t *other = &turns->member[turns->driven];
    if (other == member)
        return MB_OK;
    turns->driving = true;
    mb_error_message_t *before = mb_error_use(&turns->aside);
    mb_comm_progress(other->comm);
    mb_error_use(before);
    turns->driving = false;
    return MB_OK;
}

mb_status_t mb_turns_add(mb_turns_t *turns, mb_comm_t *comm, void (*work)(void *user), void *user)
{
    if (turns->n == turns->most)
        return mb_error_set(MB_ERR_INTERNAL, "more than %d works take turns", turns->most);
    member_t *member = &turns->member[turns->n];
    *member = (member_t){turns, comm, NULL, 0, MB_COMM_SHORTEST_SLEEP};
    MB_TRY(mb_fiber_create(work, user, STACK_BYTES, &member->fiber));
    turns->n++;
    mb_comm_set_rest(comm, rest, member);
    return mb_comm_add_progress(comm, drive_another, member);
}

/* Everyone's turn once. *WAITED: the least that one has waited of those that are not through. */
static bool go_round(mb_turns_t *turns, double *waited)
{
    bool left = false;
    *waited = DBL_MAX;
    for (int i = 0; i < turns->n; i++) {
        member_t *member = &turns->member[i];
        if (mb_fiber_ended(member->fiber))
            continue;
        member->waited = 0;
        mb_fiber_run(member->fiber);
        if (member->waited < *waited)
            *waited = member->waited;
        left = left || !mb_fiber_ended(member->fiber);
    }
    return left;
}

void mb_turns_run(mb_turns_t *turns)
{
    mb_turns_run_for(turns, HUGE_VAL);
}

bool mb_turns_run_for(mb_turns_t *turns, double seconds)
{
    long sleep = MB_COMM_SHORTEST_SLEEP;
    double waited, before = 0, end = mb_time_seconds() + seconds;
    while (go_round(turns, &waited)) {
        if (mb_time_seconds() >= end)
            return true;
        if (waited < before)
            sleep = MB_COMM_SHORTEST_SLEEP;
        before = waited;
        if (waited > 0)
            mb_comm_rest(turns->member[0].comm->crowded, waited, &sleep);
    }
    return false;
}

void mb_turns_pass(mb_turns_t *turns)
{
    for (int i = 0; i < turns->n; i++) {
        if (turns->member[i].fiber == mb_fiber_current())
            turns->member[i].waited = 0;
    }
    mb_fiber_yield();
}

void mb_turns_destroy(mb_turns_t *turns)
{
    if (turns == NULL)
        return;
    for (int i = 0; i < turns->n; i++) {
        member_t *member = &turns->member[i];
        mb_comm_set_rest(member->comm, NULL, NULL);
        mb_comm_remove_progress(member->comm, member);
        mb_fiber_destroy(member->fiber);
    }
    free(turns);
}
