/* The one wait. It polls: first at full speed, because most messages are nearly there, then giving
 * the processor to other ranks, which share it on small machines, then in short sleeps. */
#define _POSIX_C_SOURCE 200809L /* nanosleep under -std=c11 */
#include "comm/state.h"

#include "device/account.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#define SPIN_SECONDS 20e-6
#define KERNEL_SECONDS 20e-6 /* between two looks from inside kernels, which come at every tile */
#define YIELD_SECONDS 2e-3
#define LONGEST_POLL_SECONDS 1.0
#define LONGEST_SLEEP_NANOSECONDS 50000L

mb_status_t mb_comm_add_progress(mb_comm_t *comm, mb_status_t (*progress)(void *), void *user)
{
    if (comm->n_sources == MB_COMM_MAX_SOURCES)
        return mb_error_set(MB_ERR_INTERNAL, "more than %d sources of progress",
                            MB_COMM_MAX_SOURCES);
    comm->sources[comm->n_sources++] = (mb_comm_source_t){progress, user};
    return MB_OK;
}

void mb_comm_remove_progress(mb_comm_t *comm, void *user)
{
    int kept = 0;
    for (int i = 0; i < comm->n_sources; i++) {
        if (comm->sources[i].user != user)
            comm->sources[kept++] = comm->sources[i];
    }
    comm->n_sources = kept;
}

void mb_comm_set_rest(mb_comm_t *comm, void (*function)(void *user, double waited), void *user)
{
    comm->rest = function;
    comm->rest_user = user;
}

bool mb_comm_rests_elsewhere(const mb_comm_t *comm)
{
    return comm->rest != NULL;
}

/* Testing the receive for notices also drives MPI's own progress. */
static mb_status_t drive(mb_comm_t *comm)
{
    if (comm->driving)
        return MB_OK;
    comm->driving = true;
    mb_status_t status = mb_comm_hear(comm);
    mb_comm_pulse(comm);
    for (int i = 0; i < comm->n_sources && status == MB_OK; i++)
        status = comm->sources[i].progress(comm->sources[i].user);
    comm->driving = false;
    return status;
}

void mb_comm_progress(void *user)
{
    mb_comm_t *comm = user;
    if (comm->wire->rest != NULL) /* others go on when this rank rests */
        return;
    double now = mb_time_seconds();
    if (comm->kept != MB_OK || comm->driving || now - comm->last_kernel < KERNEL_SECONDS)
        return;
    comm->last_kernel = now;
    comm->kept = drive(comm);
    if (comm->kept != MB_OK)
        snprintf(comm->kept_notice->text, sizeof(comm->kept_notice->text), "%s", mb_error_get());
}

static mb_status_t take_kept(mb_comm_t *comm)
{
    mb_status_t status = comm->kept;
    if (status == MB_OK)
        return MB_OK;
    comm->kept = MB_OK;
    return mb_error_set(status, "%s", comm->kept_notice->text);
}

static mb_status_t poll(mb_comm_t *comm, mb_comm_done_t done, void *user, bool heed, bool *finished)
{
    *finished = false;
    mb_status_t kept = heed ? take_kept(comm) : MB_OK;
    mb_status_t status = kept == MB_OK ? drive(comm) : kept;
    if (heed && kept == MB_OK && comm->first->rank != INT_MAX)
        return mb_comm_peer_error(comm);
    /* What the others wait for in the same place will not come. */
    if (heed && status != MB_OK)
        return mb_comm_fail(comm, status);
    return done(user, finished);
}

void mb_comm_rest(bool crowded, double waited, long *sleep_nanoseconds)
{
    if (!crowded && waited < SPIN_SECONDS)
        return;
    if (waited < YIELD_SECONDS) {
        sched_yield();
        return;
    }
    struct timespec pause = {.tv_nsec = *sleep_nanoseconds};
    nanosleep(&pause, NULL);
    if (*sleep_nanoseconds < LONGEST_SLEEP_NANOSECONDS)
        *sleep_nanoseconds *= 2;
}

static void rest(const mb_comm_t *comm, double waited, long *sleep_nanoseconds)
{
    if (comm->rest != NULL)
        comm->rest(comm->rest_user, waited);
    else
        mb_comm_rest(comm->crowded, waited, sleep_nanoseconds);
}

static mb_status_t late(const mb_comm_t *comm, const mb_comm_note_t *note, double seconds)
{
    char place[MB_COMM_PLACE_TEXT];
    mb_comm_place(comm, note, place);
    return mb_error_set(MB_ERR_TIMEOUT, "nothing came for %.3g s while %s", seconds, place);
}

/* Between two polls hardly any time passes, unless the process was stopped: then nothing could come
 * that it would have seen, and nobody is to blame. */
static double time_away(double since, double seconds)
{
    double away = mb_time_seconds() - since;
    double most = seconds / 4 < LONGEST_POLL_SECONDS ? seconds / 4 : LONGEST_POLL_SECONDS;
    return away > most ? away : 0;
}

static mb_status_t wait_on(mb_comm_t *comm, mb_comm_done_t done, void *user,
                           const mb_comm_note_t *note, double seconds, bool heed)
{
    bool finished = false;
    while (!finished && comm->wire->rest != NULL) {
        MB_TRY(comm->wire->rest(comm, note));
        MB_TRY(poll(comm, done, user, heed, &finished));
    }
    double start = finished ? 0 : mb_time_seconds();
    comm->wait_begun = start;
    long sleep_nanoseconds = MB_COMM_SHORTEST_SLEEP;
    while (!finished) {
        double waited = mb_time_seconds() - start;
        if (waited > seconds)
            return late(comm, note, seconds);
        double before = mb_time_seconds();
        rest(comm, waited, &sleep_nanoseconds);
        MB_TRY(poll(comm, done, user, heed, &finished));
        start += time_away(before, seconds);
    }
    return MB_OK;
}

mb_status_t mb_comm_wait_within(mb_comm_t *comm, mb_comm_done_t done, void *user,
                                const mb_comm_note_t *note, double seconds, bool heed)
{
    bool finished;
    MB_TRY(poll(comm, done, user, heed, &finished));
    if (finished)
        return MB_OK;
    if (note != NULL && note->device)
        return wait_on(comm, done, user, note, seconds, heed);
    double begun = mb_comm_clock(comm);
    int before = mb_account_wait_begin(comm->account);
    mb_status_t status = wait_on(comm, done, user, note, seconds, heed);
    mb_account_wait_end(comm->account, before);
    comm->waited += mb_comm_clock(comm) - begun;
    return status;
}

double mb_comm_waited(const mb_comm_t *comm)
{
    return comm->waited;
}

void mb_comm_set_account(mb_comm_t *comm, mb_account_t *account)
{
    comm->account = account;
}

/* The deadline of one rank ends the waits of all; each says where it stood. */
static mb_status_t report_late(mb_comm_t *comm, const mb_comm_note_t *note)
{
    mb_log(comm->log, MB_LOG_WARNING, "rank %d: %s", comm->rank, mb_error_get());
    mb_comm_fail(comm, MB_ERR_TIMEOUT);
    mb_comm_keep_place(comm, note);
    return mb_comm_stand(comm, MB_ERR_TIMEOUT);
}

mb_status_t mb_comm_watch(mb_comm_t *comm)
{
    mb_comm_note_t note = {.action = "at work", .stage = -1, .micro = -1, .peer = -1, .tag = -1};
    bool watches = comm->pulse != NULL && comm->rank < MB_COMM_WATCHERS;
    mb_comm_pulse(comm);
    for (int rank = 0; watches && rank < comm->size; rank++) {
        if (rank == comm->rank || mb_comm_heard(comm, rank).missed <= comm->deadline_seconds)
            continue;
        late(comm, &note, comm->deadline_seconds);
        return report_late(comm, &note);
    }
    return MB_OK;
}

static mb_status_t wait_or_report(mb_comm_t *comm, mb_comm_done_t done, void *user,
                                  const mb_comm_note_t *note, double seconds)
{
    mb_status_t status = mb_comm_wait_within(comm, done, user, note, seconds, true);
    if (status == MB_ERR_TIMEOUT)
        return report_late(comm, note);
    if (status != MB_OK)
        mb_comm_keep_place(comm, note);
    if (status == MB_ERR_PEER && comm->first->status == (int)MB_ERR_TIMEOUT)
        return mb_comm_stand(comm, status);
    return status;
}

mb_status_t mb_comm_wait(mb_comm_t *comm, mb_comm_done_t done, void *user,
                         const mb_comm_note_t *note)
{
    return wait_or_report(comm, done, user, note, comm->deadline_seconds);
}

mb_status_t mb_comm_wait_own(mb_comm_t *comm, mb_comm_done_t done, void *user,
                             const mb_comm_note_t *note)
{
    return wait_or_report(comm, done, user, note, HUGE_VAL);
}

typedef struct {
    mb_comm_t *comm;
    mb_wire_request_t *requests;
    int count;
} exchange_t;

static mb_status_t all_arrived(void *user, bool *done)
{
    exchange_t *list = user;
    return list->comm->wire->test(list->comm, list->requests, list->count, done);
}

mb_status_t mb_comm_finish(mb_comm_t *comm, mb_wire_request_t *requests, int count,
                           const char *action, double seconds, mb_comm_heed_t heed)
{
    exchange_t list = {comm, requests, count};
    mb_comm_note_t note = {.action = action, .stage = -1, .micro = -1, .peer = -1, .tag = -1};
    mb_status_t status =
        heed == MB_COMM_REPORTS
            ? wait_or_report(comm, all_arrived, &list, &note, seconds)
            : mb_comm_wait_within(comm, all_arrived, &list, &note, seconds, heed == MB_COMM_HEEDS);
    for (int i = 0; i < count && status != MB_OK; i++)
        mb_comm_drop(comm, &requests[i]);
    return status;
}

double mb_comm_clock(const mb_comm_t *comm)
{
    return comm->wire->clock == NULL ? mb_time_seconds() : comm->wire->clock(comm);
}

void mb_comm_work(mb_comm_t *comm, int kind, int chunk, double part)
{
    if (comm->wire->work != NULL)
        comm->wire->work(comm, kind, chunk, part);
}

bool mb_comm_is_virtual(const mb_comm_t *comm)
{
    return comm->wire->work != NULL;
}
