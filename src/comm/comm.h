/* Ranks that work together: a duplicated communicator, one wait, one way to fail.
 *
 * Every wait goes through mb_comm_wait, which drives the transports' progress, watches for a
 * failure notice from any rank, and for a deadline. A rank that fails sends the notice with its
 * status and message; the others' waits return MB_ERR_PEER with that message. Small collective
 * calls are built on the same wait, so none of them can hang in silence. From inside waits and
 * kernels every rank gives signs of life (pulse.c), so that a silent one is known and named. Tags
 * stay under 32767.
 *
 * MPI_THREAD_FUNNELED is enough: all calls come from one thread. */
#ifndef MB_COMM_COMM_H
#define MB_COMM_COMM_H

#include <mpi.h>
#include "base/error.h"
#include "base/log.h"
#include "base/types.h"
#include "comm/tags.h"

typedef struct mb_comm mb_comm_t;
struct mb_account; /* device/account.h */

typedef struct {
    double deadline_seconds; /* 0: the default of 300; a wait that lasts longer fails */
    const mb_log_t *log;
} mb_comm_options_t;

/* Collective over COMM, which is duplicated (its error handler is set to return on the copies
 * only). */
mb_status_t mb_comm_create(MPI_Comm comm, const mb_comm_options_t *options, mb_comm_t **out);
/* Of this rank alone, which keeps the place on its node that it has in OF: its cores and its
 * device. Not collective; no message is ever sent. */
mb_status_t mb_comm_create_alone(const mb_comm_t *of, mb_comm_t **out);
/* Collective unless a failure was seen; then it only frees what is this rank's. Ranks that do not
 * come within 10 s are left, and with them what MPI holds. */
void mb_comm_destroy(mb_comm_t *comm);
/* The ranks that say IN, in their order, as a communicator of their own; NULL to the others.
 * Collective over all, over MPI only. A failure of the one is none of the other's. */
mb_status_t mb_comm_split(mb_comm_t *comm, bool in, mb_comm_t **out);
/* Not collective, between waits. */
void mb_comm_set_deadline(mb_comm_t *comm, double seconds);
double mb_comm_deadline(const mb_comm_t *comm);
/* The copy, for collective calls of MPI's own. They wait without a deadline, so all ranks must have
 * agreed just before that they are well. MPI_COMM_NULL: virtual ranks. */
MPI_Comm mb_comm_mpi(const mb_comm_t *comm);
int mb_comm_rank(const mb_comm_t *comm);
int mb_comm_size(const mb_comm_t *comm);
/* Ranks of this machine: how many, and this one's place among them. */
int mb_comm_local_rank(const mb_comm_t *comm);
int mb_comm_local_size(const mb_comm_t *comm);
const char *mb_comm_host(const mb_comm_t *comm);

/* What a rank is doing, for the report when a wait fails. Strings live as long as the comm's use.
 */
typedef struct {
    const char *action; /* "waiting for the activation of 'dense_1'" */
    int stage, micro;   /* -1: does not apply */
    int peer, tag;
    bool device; /* what is awaited is this rank's own device, which is at work */
} mb_comm_note_t;

/* What a rank is doing, said ahead of time: when it falls silent the others know where it was. */
typedef struct {
    const char *action; /* a literal: "F", "writing a checkpoint"; NULL: what STEP counts is done */
    const char *counts; /* a literal: what STEP counts ("step", "evaluation step"); NULL: nothing */
    int64_t step;       /* from 1, as users see it */
    int stage, micro;   /* -1: does not apply */
    const char *const *layer; /* the name of the one being computed stands there, or NULL does;
                                 NULL: no layer is */
} mb_comm_at_t;
/* Keeps a copy; cheap enough for every action of a step. Not collective. */
void mb_comm_at(mb_comm_t *comm, const mb_comm_at_t *at);
/* What the copy points to is about to go. */
void mb_comm_leave_layer(mb_comm_t *comm);
/* What is done between steps, or before the first: ACTION is a literal. Stage and step stay. */
void mb_comm_doing(mb_comm_t *comm, const char *action);
/* Where a rank's time went in the steps since its run began. */
typedef struct {
    int64_t steps;
    double busy, waited; /* seconds: at work of its own, and waiting for other ranks */
} mb_comm_load_t;
/* Its signs of life say so from now on. Not collective; cheap. */
void mb_comm_tell_load(mb_comm_t *comm, const mb_comm_load_t *load);
/* On ranks 0 and 1: what RANK has said last. Zeros: nothing yet. */
mb_comm_load_t mb_comm_load(const mb_comm_t *comm, int rank);
const char *mb_comm_host_of(const mb_comm_t *comm, int rank);
/* Between two signs of life. */
double mb_comm_sign_seconds(const mb_comm_t *comm);
/* For work that waits for no other rank for long. Not collective; cheap enough for every
 * micro-batch. On ranks 0 and 1: fails, and ends all ranks, if one of them has given no sign for
 * the deadline. */
mb_status_t mb_comm_watch(mb_comm_t *comm);
/* "stage 1, step 12, BW of micro-batch 3, layer 'dense'", of this rank. Returns BUFFER. */
char *mb_comm_where(const mb_comm_t *comm, char *buffer, size_t capacity);

/* The one wait: until DONE says true. DONE may fail. Between polls PROGRESS of every registered
 * source runs. MB_ERR_PEER, MB_ERR_TIMEOUT (with the note in the message), or DONE's failure.
 * A deadline that passes is told to all ranks as mb_comm_fail does; then the messages of rank 0 and
 * rank 1 become reports (mb_comm_report). */
typedef mb_status_t (*mb_comm_done_t)(void *user, bool *done);
mb_status_t mb_comm_wait(mb_comm_t *comm, mb_comm_done_t done, void *user,
                         const mb_comm_note_t *note);
/* The same for what this rank itself is at, on another thread: as long as it takes. Others wait for
 * this rank by their deadlines. */
mb_status_t mb_comm_wait_own(mb_comm_t *comm, mb_comm_done_t done, void *user,
                             const mb_comm_note_t *note);
/* What a wait does between two polls instead of giving its processor away: REST(USER, seconds
 * waited so far), which may go on with something else of this thread. NULL: that again. Not
 * collective, between waits. */
void mb_comm_set_rest(mb_comm_t *comm, void (*rest)(void *user, double waited), void *user);
bool mb_comm_rests_elsewhere(const mb_comm_t *comm);
/* Seconds (of mb_comm_clock) that this rank has waited for others so far. */
double mb_comm_waited(const mb_comm_t *comm);
/* Waits for others are counted there from now on; NULL: nowhere. Not collective, between waits. */
void mb_comm_set_account(mb_comm_t *comm, struct mb_account *account);
/* Registers something to drive in every wait and from inside kernels (mb_comm_progress). */
mb_status_t mb_comm_add_progress(mb_comm_t *comm, mb_status_t (*progress)(void *), void *user);
void mb_comm_remove_progress(mb_comm_t *comm, void *user);
/* Drives all of it once; cheap. For mb_device's progress callback. Errors are kept for the next
 * wait. */
void mb_comm_progress(void *comm);

/* Seconds from an origin that the ranks of a node share: real ones, or a virtual rank's
 * (virtual.h).
 */
double mb_comm_clock(const mb_comm_t *comm);
/* This rank has done a PART of something whose numbers mean something to who made the ranks: on a
 * virtual rank the time passes that it takes, and others go on meanwhile. Nothing over MPI. */
void mb_comm_work(mb_comm_t *comm, int kind, int chunk, double part);
/* A KIND: additions of a sum over replicas, that read and write PART bytes. */
enum { MB_COMM_WORK_ADDS = -1 };
/* Whether time passes by mb_comm_work and waits alone. */
bool mb_comm_is_virtual(const mb_comm_t *comm);

/* Tells all other ranks that this one failed, with the current message. Not collective; returns
 * STATUS. Does nothing for MB_ERR_PEER (it is known) . */
mb_status_t mb_comm_fail(mb_comm_t *comm, mb_status_t status);
/* After a failure, before anything else is done, on all ranks that come so far: the message of rank
 * 0, and of rank 1, which speaks where rank 0 is silent, becomes a report of several lines. The
 * first names the rank at fault, its host, and where it was; the others, each behind two blanks,
 * say what every other rank waits for or does. Takes half a second at most. Returns STATUS. */
mb_status_t mb_comm_report(mb_comm_t *comm, mb_status_t status);
/* The notice seen, if any: rank and status of the first failure (lowest rank among those seen). */
bool mb_comm_failed(mb_comm_t *comm, int *rank, mb_status_t *status);
/* Whether this rank speaks for all: rank 0, or rank 1 where a deadline has shown that rank 0 is
 * silent; then rank 0, should it wake, does not. */
bool mb_comm_speaks(mb_comm_t *comm);
/* After a failure: waits up to SECONDS for the ranks to agree that all know; true if all do. */
bool mb_comm_settle(mb_comm_t *comm, double seconds);

/* Collective: everyone passes its status, everyone gets the same one back: MB_OK if all succeeded,
 * else the lowest failing rank's, with its message recorded on all ranks: behind "rank N: " where
 * that is not rank 0, which speaks for all. */
mb_status_t mb_comm_agree(mb_comm_t *comm, mb_status_t status);

/* Small collective calls on host memory. No rank sends or takes more than 2 log2(size) messages. */
mb_status_t mb_comm_barrier(mb_comm_t *comm);
mb_status_t mb_comm_broadcast(mb_comm_t *comm, void *data, size_t bytes, int root);
/* Variable sizes; on root *all is malloc'ed (caller frees), with the pieces in rank order and
 * *bytes_of[rank]; others get NULL. */
mb_status_t mb_comm_gather(mb_comm_t *comm, const void *data, size_t bytes, int root, void **all,
                           size_t **bytes_of);
/* Each rank contributes BYTES bytes; all[rank * bytes] on every rank. */
mb_status_t mb_comm_allgather(mb_comm_t *comm, const void *data, size_t bytes, void *all);
typedef struct {
    void *data; /* malloc'ed, or NULL */
    size_t bytes;
} mb_comm_bytes_t;
/* BYTES bytes of other ranks become part of INTO, whose memory is taken anew where it must grow. */
typedef mb_status_t (*mb_comm_merge_t)(void *user, mb_comm_bytes_t *into, const void *data,
                                       size_t bytes);
/* All ranks' OWN merged into rank 0's, in rank order; what the others' then have is a part of that.
 * Each rank passes on once what it has merged so far. */
mb_status_t mb_comm_fold(mb_comm_t *comm, mb_comm_bytes_t *own, mb_comm_merge_t merge, void *user);

/* Point to point on host memory; used by the transport and by small exchanges. */
typedef struct mb_comm_request {
    MPI_Request request;
    bool active;
} mb_comm_request_t;
mb_status_t mb_comm_isend(mb_comm_t *comm, const void *data, size_t bytes, int peer, int tag,
                          mb_comm_request_t *request);
mb_status_t mb_comm_irecv(mb_comm_t *comm, void *data, size_t bytes, int peer, int tag,
                          mb_comm_request_t *request);
mb_status_t mb_comm_test(mb_comm_t *comm, mb_comm_request_t *request, bool *done);
void mb_comm_cancel(mb_comm_t *comm, mb_comm_request_t *request);
mb_status_t mb_comm_wait_requests(mb_comm_t *comm, mb_comm_request_t *requests, int count,
                                  const mb_comm_note_t *note);

#endif
