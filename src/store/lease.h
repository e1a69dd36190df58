/* The lease of a run directory: one small file that says who runs there, for one process.
 *
 *     host <name>
 *     boot <identity of the host's boot, or ->
 *     pid <process>
 *     started <when the process started, in the host's ticks>
 *     job <batch job, or ->
 *     restart <restart count of the job>
 *     nonce <16 hexadecimal digits>
 *
 * It appears by link, which fails when there is one already; it is renewed by writing its bytes
 * again, so that a process that was cut off never puts its own over another's. Its age is the
 * difference between the times that the file system gave to it and to a new file, so clocks of
 * different hosts are not compared. */
#ifndef MB_STORE_LEASE_H
#define MB_STORE_LEASE_H

#include "base/error.h"
#include "base/types.h"

typedef struct {
    char host[256], boot[64], job[64];
    long long pid, started, restart;
    uint64_t nonce;
} mb_lease_owner_t;

typedef struct {
    char *path;
    mb_lease_owner_t owner; /* this process */
    double looked, renewed; /* monotonic seconds */
} mb_lease_t;

/* Takes the lease at PATH. MB_ERR_BUSY, naming the owner, when another living process has it. */
mb_status_t mb_lease_take(const char *path, mb_lease_t *lease);
/* Looks whether the file is still ours, at most four times a second unless ALWAYS, and rewrites it
 * when that was last done 10 s ago. MB_ERR_BUSY when another took it. */
mb_status_t mb_lease_renew(mb_lease_t *lease, bool always);
/* Removes the file if it is still ours; frees. */
mb_status_t mb_lease_give_up(mb_lease_t *lease);
/* Whether PATH is a temporary file of somebody, alive, who takes a lease at this moment, or a lease
 * that is being put back. */
bool mb_lease_in_use(const mb_lease_t *lease, const char *path);

typedef enum {
    MB_LEASE_NONE = 0,
    MB_LEASE_HELD,
    MB_LEASE_STALE,
    MB_LEASE_UNREADABLE
} mb_lease_mark_t;
typedef struct {
    mb_lease_mark_t mark; /* STALE: the next start takes it */
    mb_lease_owner_t owner;
    double age; /* seconds since it was renewed, by this host's clock */
} mb_lease_view_t;
/* Looks at the lease at PATH without touching it. */
mb_status_t mb_lease_view(const char *path, mb_lease_view_t *view);

/* The nonce in the file at PATH; 0 when there is none. */
mb_status_t mb_lease_read_nonce(const char *path, uint64_t *nonce);

#endif
