/* Signs of life. From inside waits and kernels each rank says, about once a second, where it is,
 * and so it does where it begins something else than steps; ranks 0 and 1 listen, so that one that
 * falls silent, a listener too, can be named with the place where it was last. A rank that waits on
 * a silent one goes on giving signs; one that computes for long without reaching a tile boundary
 * cannot be told from one that hangs.
 *
 * Each sign is a synchronous send of one small message, and the next is not sent before the last
 * was taken: a listener that is away for long finds one message a rank, however long it was. A star
 * will do: of 4096 ranks a listener takes 4096 messages a second, about 2 ms of its time. */
#include "comm/state.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_INTERVAL_SECONDS 1.0
#define INTERVALS_A_DEADLINE 5
#define SHORTEST_INTERVAL_SECONDS 0.02
#define LOOK_SECONDS 0.01
#define MOST_A_LOOK 256
#define GOODBYE_SECONDS 10.0
#define GIVE_UP_SECONDS 0.2
#define LINGER_SECONDS 0.05 /* for signs that were given before a failure was known */

typedef struct {
    double interval; /* seconds to the rank's next sign */
    mb_comm_load_t load;
    char host[MB_COMM_HOST_TEXT], place[MB_COMM_WHERE_TEXT];
} sign_t;

typedef struct {
    double time;
    sign_t sign;
} heard_t;

typedef struct {
    MPI_Request request;
    sign_t sign;
} outgoing_t;

struct mb_comm_pulse {
    bool hushed;
    double last_look, next_look, last_sign, next_sign;
    double there_since; /* without a pause in which signs may have waited unread */
    outgoing_t out[MB_COMM_WATCHERS];
    MPI_Request incoming; /* of a watcher, as what follows */
    sign_t arriving;
    heard_t *heard; /* [size]; NULL on others */
};

static double interval_of(const mb_comm_t *comm)
{
    double interval = comm->deadline_seconds / INTERVALS_A_DEADLINE;
    return interval < LONGEST_INTERVAL_SECONDS ? interval : LONGEST_INTERVAL_SECONDS;
}

static mb_status_t listen(mb_comm_t *comm)
{
    mb_comm_pulse_t *pulse = comm->pulse;
    return mb_comm_receive_on(comm, MB_LINE_CONTROL, &pulse->arriving, sizeof pulse->arriving,
                              MPI_ANY_SOURCE, MB_CONTROL_PULSE, &pulse->incoming);
}

static mb_status_t start_listening(mb_comm_t *comm)
{
    size_t ranks = (size_t)comm->size;
    double now = mb_time_seconds();
    comm->pulse->heard = calloc(ranks, sizeof(heard_t));
    if (comm->pulse->heard == NULL)
        return mb_error_memory("the signs of life of all ranks", ranks * sizeof(heard_t));
    for (size_t rank = 0; rank < ranks; rank++)
        comm->pulse->heard[rank] = (heard_t){now, {.interval = interval_of(comm)}};
    return listen(comm);
}

mb_status_t mb_comm_pulse_start(mb_comm_t *comm)
{
    if (comm->size == 1)
        return MB_OK;
    comm->pulse = calloc(1, sizeof *comm->pulse);
    if (comm->pulse == NULL)
        return mb_error_memory("signs of life", sizeof *comm->pulse);
    comm->pulse->incoming = MPI_REQUEST_NULL;
    for (int w = 0; w < MB_COMM_WATCHERS; w++)
        comm->pulse->out[w].request = MPI_REQUEST_NULL;
    return comm->rank < MB_COMM_WATCHERS ? start_listening(comm) : MB_OK;
}

/* Signs only help a report: where MPI fails here, the waits themselves will say so. */
static void take_in(mb_comm_t *comm, double now)
{
    mb_comm_pulse_t *pulse = comm->pulse;
    for (int taken = 0; taken < MOST_A_LOOK && pulse->incoming != MPI_REQUEST_NULL; taken++) {
        int arrived = 0;
        MPI_Status status;
        if (MPI_Test(&pulse->incoming, &arrived, &status) != MPI_SUCCESS || !arrived)
            return;
        pulse->heard[status.MPI_SOURCE] = (heard_t){now, pulse->arriving};
        if (listen(comm) != MB_OK)
            pulse->incoming = MPI_REQUEST_NULL;
    }
}

static bool is_sent(outgoing_t *out)
{
    int sent = 0;
    return MPI_Test(&out->request, &sent, MPI_STATUS_IGNORE) == MPI_SUCCESS && sent;
}

static bool all_sent(mb_comm_pulse_t *pulse)
{
    bool sent = true;
    for (int w = 0; w < MB_COMM_WATCHERS; w++)
        sent = is_sent(&pulse->out[w]) && sent;
    return sent;
}

static void fill_sign(const mb_comm_t *comm, sign_t *sign)
{
    char where[MB_COMM_WHERE_TEXT - 8];
    sign->interval = interval_of(comm);
    sign->load = comm->load;
    snprintf(sign->host, sizeof sign->host, "%.63s", comm->host);
    snprintf(sign->place, sizeof sign->place, "%s%s", comm->at.stage >= 0 ? "in " : "",
             mb_comm_where(comm, where, sizeof where));
}

static void give_sign(mb_comm_t *comm)
{
    for (int w = 0; w < MB_COMM_WATCHERS && w < comm->size; w++) {
        outgoing_t *out = &comm->pulse->out[w];
        if (w == comm->rank || !is_sent(out))
            continue;
        fill_sign(comm, &out->sign);
        if (MPI_Issend(&out->sign, sizeof out->sign, MPI_BYTE, w, MB_CONTROL_PULSE, comm->control,
                       &out->request) != MPI_SUCCESS)
            comm->pulse->hushed = true;
    }
}

void mb_comm_pulse(mb_comm_t *comm)
{
    mb_comm_pulse_t *pulse = comm->pulse;
    if (pulse == NULL)
        return;
    double now = mb_time_seconds();
    if (now < pulse->next_look)
        return;
    if (now - pulse->last_look > interval_of(comm))
        pulse->there_since = now;
    pulse->last_look = now;
    pulse->next_look = now + LOOK_SECONDS;
    take_in(comm, now);
    if (pulse->hushed || now < pulse->next_sign)
        return;
    pulse->last_sign = now;
    pulse->next_sign = now + interval_of(comm);
    give_sign(comm);
}

void mb_comm_pulse_hush(mb_comm_t *comm)
{
    if (comm->pulse != NULL)
        comm->pulse->hushed = true;
}

static mb_status_t signs_taken(void *user, bool *done)
{
    *done = all_sent(user);
    return MB_OK;
}

/* A rank comes to the barrier when its signs were taken: after it none is on its way. */
static bool part(mb_comm_t *comm)
{
    char token = 0, arriving = 0;
    double seconds =
        comm->deadline_seconds < GOODBYE_SECONDS ? comm->deadline_seconds : GOODBYE_SECONDS;
    mb_comm_spread_t spread = {.token = &token,
                               .arriving = &arriving,
                               .bytes = 1,
                               .tag = MB_CONTROL_GOODBYE,
                               .action = "ending a communicator",
                               .seconds = seconds,
                               .heed = MB_COMM_HEEDS};
    return mb_comm_wait_within(comm, signs_taken, comm->pulse, NULL, seconds, true) == MB_OK &&
           mb_comm_spread(comm, &spread) == MB_OK;
}

static bool send_the_rest(mb_comm_t *comm, bool parted)
{
    mb_comm_pulse_t *pulse = comm->pulse;
    double now = mb_time_seconds(), end = now + GIVE_UP_SECONDS;
    double linger = parted || pulse->heard == NULL ? now : now + LINGER_SECONDS;
    bool sent = all_sent(pulse);
    while (now < linger || (!sent && now < end)) {
        take_in(comm, now);
        sent = all_sent(pulse);
        now = mb_time_seconds();
    }
    return sent;
}

/* A sign that was never taken still owns its buffer, which is then left to the process's end. */
static void release(mb_comm_t *comm, bool parted)
{
    mb_comm_pulse_t *pulse = comm->pulse;
    bool sent = send_the_rest(comm, parted);
    comm->pulse = NULL;
    mb_comm_drop(comm, &pulse->incoming);
    free(pulse->heard);
    if (sent)
        free(pulse);
}

bool mb_comm_pulse_end(mb_comm_t *comm)
{
    char message[MB_COMM_NOTICE_TEXT];
    if (comm->pulse == NULL)
        return true;
    snprintf(message, sizeof message, "%s", mb_error_get());
    comm->pulse->hushed = true;
    mb_comm_hear(comm);
    bool parted = comm->first->rank == INT_MAX && part(comm);
    release(comm, parted);
    mb_error_set(MB_OK, "%s", message);
    return parted;
}

mb_comm_heard_t mb_comm_heard(const mb_comm_t *comm, int rank)
{
    const heard_t *heard = &comm->pulse->heard[rank];
    double now = mb_time_seconds(), there = now - comm->pulse->there_since;
    double seconds = now - heard->time, least = 3 * heard->sign.interval;
    double some = comm->deadline_seconds / 10;
    return (mb_comm_heard_t){.rank = rank,
                             .seconds = seconds,
                             .missed = seconds < there ? seconds : there,
                             .silent = seconds > (least > some ? least : some),
                             .host = heard->sign.host,
                             .place = heard->sign.place};
}

double mb_comm_sign_seconds(const mb_comm_t *comm)
{
    return interval_of(comm);
}

void mb_comm_tell_load(mb_comm_t *comm, const mb_comm_load_t *load)
{
    comm->load = *load;
}

mb_comm_load_t mb_comm_load(const mb_comm_t *comm, int rank)
{
    return rank == comm->rank ? comm->load : comm->pulse->heard[rank].sign.load;
}

const char *mb_comm_host_of(const mb_comm_t *comm, int rank)
{
    return rank == comm->rank ? comm->host : comm->pulse->heard[rank].sign.host;
}

/* What is not a step may never reach progress: reading from a file system that hangs, say. */
static void hasten(mb_comm_t *comm)
{
    if (comm->pulse == NULL)
        return;
    comm->pulse->next_look = 0;
    comm->pulse->next_sign = comm->pulse->last_sign + SHORTEST_INTERVAL_SECONDS;
}

void mb_comm_at(mb_comm_t *comm, const mb_comm_at_t *at)
{
    if (comm->between)
        hasten(comm);
    comm->between = comm->agreed = false;
    comm->at = *at;
}

void mb_comm_leave_layer(mb_comm_t *comm)
{
    comm->at.layer = NULL;
}

void mb_comm_doing(mb_comm_t *comm, const char *action)
{
    comm->between = true;
    comm->at.action = action;
    comm->at.micro = -1;
    comm->at.layer = NULL;
    hasten(comm);
    mb_comm_pulse(comm);
}

char *mb_comm_where(const mb_comm_t *comm, char *buffer, size_t capacity)
{
    const mb_comm_at_t *at = &comm->at;
    const char *layer = at->layer == NULL ? NULL : *at->layer;
    char stage[24] = "", step[48] = "", micro[32] = "";
    if (at->stage >= 0)
        snprintf(stage, sizeof stage, "stage %d, ", at->stage);
    if (at->counts != NULL)
        snprintf(step, sizeof step, "%s%s %lld%s", at->action == NULL ? "after " : "", at->counts,
                 (long long)at->step, at->action == NULL ? "" : ", ");
    if (at->micro >= 0)
        snprintf(micro, sizeof micro, " of micro-batch %d", at->micro);
    snprintf(buffer, capacity, "%s%s%s%s%s%.100s%s", stage, step,
             at->action == NULL ? "" : at->action, micro, layer == NULL ? "" : ", layer '",
             layer == NULL ? "" : layer, layer == NULL ? "" : "'");
    return buffer;
}
