/* What the files of this folder share: the inside of a communicator. Not for other folders. */
#ifndef MB_COMM_STATE_H
#define MB_COMM_STATE_H

#include "comm/wire.h"

#define MB_COMM_MAX_SOURCES 16
#define MB_COMM_NOTICE_TEXT 4096
#define MB_COMM_PLACE_TEXT 256
#define MB_COMM_WHERE_TEXT 256
#define MB_COMM_HOST_TEXT 64
#define MB_COMM_WATCHERS                                                                           \
    2 /* ranks 0 and 1 hear the signs of life, and whoever stands answers them */

/* What a failing rank tells the others. rank == INT_MAX: nothing failed. */
typedef struct {
    int rank;
    int status;
    char where[MB_COMM_WHERE_TEXT]; /* " on HOST in stage 1, step 12, ..."; "": not in a step */
    char text[MB_COMM_NOTICE_TEXT];
} mb_comm_notice_t;

/* What a rank answers when a failure has ended its wait. */
typedef struct {
    int peer;      /* that it waits for; -1: not one alone */
    double waited; /* seconds; < 0: it does not wait */
    char host[MB_COMM_HOST_TEXT], place[MB_COMM_PLACE_TEXT];
} mb_comm_standing_t;

/* Sends that may outlive the communicator, when a peer never takes them. */
typedef struct {
    mb_comm_notice_t notice;
    int n;
    mb_wire_request_t requests[];
} mb_comm_outgoing_t;

typedef struct {
    mb_status_t (*progress)(void *);
    void *user;
} mb_comm_source_t;

typedef struct mb_comm_pulse mb_comm_pulse_t;

struct mb_comm {
    const mb_wire_class_t *wire;
    struct mb_virtual_end *end; /* of a virtual wire; NULL: MPI, by these */
    MPI_Comm data, control;
    int rank, size, local_rank, local_size;
    char host[MPI_MAX_PROCESSOR_NAME + 1];
    double deadline_seconds;
    const mb_log_t *log;
    bool crowded; /* more ranks than processors here: a wait gives its processor away at once */

    void (*rest)(void *user, double waited); /* NULL: mb_comm_rest */
    void *rest_user;

    int n_sources;
    mb_comm_source_t sources[MB_COMM_MAX_SOURCES];
    double last_kernel; /* when a kernel last drove progress */
    bool driving;       /* a progress function must not be reached from itself */
    mb_status_t kept;   /* an error of a progress function, for the next wait */
    mb_comm_notice_t *kept_notice;

    bool listening;
    mb_wire_request_t incoming;
    mb_comm_notice_t *arriving, *first; /* first: the lowest failing rank known */
    mb_comm_outgoing_t *outgoing;       /* this rank's own notice, once sent */

    double waited; /* for other ranks */
    double wait_begun;
    struct mb_account *account;

    double drops_end; /* after a failure: when requests are no longer given time */

    mb_comm_at_t at;
    bool between; /* steps: nothing may reach progress for long */
    mb_comm_load_t load;
    mb_comm_pulse_t *pulse; /* NULL: one rank alone */

    bool agreed;    /* on a failure: all ranks know of it, and none waits */
    bool common;    /* the failure to come is the job's, found together: rank 0 only tells of it */
    bool placed;    /* STANDING is what the wait was that a failure has ended */
    bool stood;     /* has said where it stands after a failure */
    bool stands_in; /* rank 1: speaks for a silent rank 0 */
    mb_comm_standing_t standing;
    mb_error_message_t *report; /* made already; NULL: none is */
    mb_wire_request_t place_requests[MB_COMM_WATCHERS], spoken_request;
};

/* Tags on the control communicator. */
enum {
    MB_CONTROL_NOTICE = 1,
    MB_CONTROL_BARRIER,
    MB_CONTROL_AGREE,
    MB_CONTROL_SETTLE,
    MB_CONTROL_STANDING,
    MB_CONTROL_PULSE,
    MB_CONTROL_GOODBYE,
    MB_CONTROL_SPOKEN,
    MB_CONTROL_BROADCAST,
    MB_CONTROL_SIZES,
    MB_CONTROL_GATHER
};

/* wire_mpi.c: MPI's codes become messages. */
mb_status_t mb_comm_check(const mb_comm_t *comm, int code, const char *what);
/* A type of BYTES bytes built from blocks of at most LIMIT; free it when *owned. */
mb_status_t mb_comm_type(const mb_comm_t *comm, size_t bytes, size_t limit, MPI_Datatype *type,
                         int *count, bool *owned);

static inline mb_status_t mb_comm_send_on(mb_comm_t *comm, mb_line_t line, const void *data,
                                          size_t bytes, int peer, int tag,
                                          mb_wire_request_t *request)
{
    return comm->wire->send(comm, line, data, bytes, peer, tag, request);
}

static inline mb_status_t mb_comm_receive_on(mb_comm_t *comm, mb_line_t line, void *data,
                                             size_t bytes, int peer, int tag,
                                             mb_wire_request_t *request)
{
    return comm->wire->receive(comm, line, data, bytes, peer, tag, request);
}

static inline void mb_comm_drop(mb_comm_t *comm, mb_wire_request_t *request)
{
    if (*request != MPI_REQUEST_NULL)
        comm->wire->drop(comm, request);
}

/* comm.c: what all wires' communicators have; COMM is zeros. */
void mb_comm_begin(mb_comm_t *comm, const mb_wire_class_t *wire);

/* failure.c */
mb_status_t mb_comm_listen(mb_comm_t *comm);
void mb_comm_unlisten(mb_comm_t *comm);
/* Takes in notices that have arrived. */
mb_status_t mb_comm_hear(mb_comm_t *comm);
mb_status_t mb_comm_peer_error(const mb_comm_t *comm);

/* pulse.c */
mb_status_t mb_comm_pulse_start(mb_comm_t *comm);
/* From everything that drives progress: takes in what has come, and gives a sign when one is due.
 */
void mb_comm_pulse(mb_comm_t *comm);
/* No more signs from this rank; those of others are still taken in. */
void mb_comm_pulse_hush(mb_comm_t *comm);
/* Ends the exchange so that nothing stays on its way; false where the ranks did not all come. */
bool mb_comm_pulse_end(mb_comm_t *comm);
/* A watcher's: what it last heard of RANK. */
typedef struct {
    int rank;
    double seconds;           /* since then */
    double missed;            /* of these, how long this rank was there to hear it */
    bool silent;              /* longer than a rank that waits or computes lets pass */
    const char *host, *place; /* "in stage 1, step 12, F of micro-batch 3"; "": nothing came yet */
} mb_comm_heard_t;
mb_comm_heard_t mb_comm_heard(const mb_comm_t *comm, int rank);

/* standing.c: "receiving x, step 12, stage 1, micro-batch 3, peer rank 2, tag 4". */
void mb_comm_place(const mb_comm_t *comm, const mb_comm_note_t *note,
                   char text[MB_COMM_PLACE_TEXT]);
/* What this rank will answer: a failure has ended a wait of NOTE. */
void mb_comm_keep_place(mb_comm_t *comm, const mb_comm_note_t *note);
/* After a failure of this rank or another: says where this one stands; the watchers make a report
 * of their message. Returns STATUS. */
mb_status_t mb_comm_stand(mb_comm_t *comm, mb_status_t status);

/* report.c: a watcher's message becomes the report. ANSWERS: [size], with peer < -1 where none
 * came. */
void mb_comm_compose(mb_comm_t *comm, mb_status_t status, const mb_comm_standing_t *answers);
/* " on HOST" of this rank, and " on HOST in stage 1, step 12, BW of micro-batch 3". */
void mb_comm_own_host(const mb_comm_t *comm, char text[MB_COMM_WHERE_TEXT]);
void mb_comm_own_where(const mb_comm_t *comm, char text[MB_COMM_WHERE_TEXT]);

/* wait.c: what a wait makes of a failure: goes on through it, ends, or ends and, of a deadline,
 * tells all. */
typedef enum { MB_COMM_BLIND, MB_COMM_HEEDS, MB_COMM_REPORTS } mb_comm_heed_t;
/* mb_comm_wait with a deadline of its own; a failure ends it where HEED says so. */
mb_status_t mb_comm_wait_within(mb_comm_t *comm, mb_comm_done_t done, void *user,
                                const mb_comm_note_t *note, double seconds, bool heed);
/* Between two polls: spins, gives the processor to other ranks, then sleeps, from *SLEEP on. */
#define MB_COMM_SHORTEST_SLEEP 5000L /* nanoseconds */
void mb_comm_rest(bool crowded, double waited, long *sleep_nanoseconds);
mb_status_t mb_comm_finish(mb_comm_t *comm, mb_wire_request_t *requests, int count,
                           const char *action, double seconds, mb_comm_heed_t heed);

/* small.c: every rank's TOKEN, merged over all ranks in ceil(log2 size) rounds. MERGE must not mind
 * seeing a token twice. */
typedef struct {
    void *token, *arriving;
    size_t bytes;
    void (*merge)(void *into, const void *from);
    int tag;
    const char *action;
    double seconds;
    mb_comm_heed_t heed;
} mb_comm_spread_t;
mb_status_t mb_comm_spread(mb_comm_t *comm, const mb_comm_spread_t *spread);

#endif
