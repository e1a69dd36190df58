/* Where the time of a rank goes. At every moment it is about one activity, and there runs an
 * operation, waits for other ranks, or does neither; each change adds the time since the last one
 * to where it was. So the parts add up to the whole. What activities there are is known above; here
 * they are numbers.
 *
 * All calls do nothing on NULL, and on one that has not been started. */
#ifndef MB_DEVICE_ACCOUNT_H
#define MB_DEVICE_ACCOUNT_H

#include "device/device.h"

#define MB_ACCOUNT_ACTIVITIES 24
/* Places beside the operations. */
enum { MB_ACCOUNT_WAIT = MB_OP_COUNT, MB_ACCOUNT_NEITHER, MB_ACCOUNT_PLACES };

typedef struct {
    int64_t count; /* of an operation's calls, of waits; of NEITHER: activities that were begun */
    double seconds;
    double flops, bytes; /* of operations; see op_work.h */
} mb_account_cell_t;

typedef struct mb_account {
    bool runs;
    double since, seconds; /* the last change; the whole */
    int activity, place;
    mb_account_cell_t cells[MB_ACCOUNT_ACTIVITIES][MB_ACCOUNT_PLACES];
} mb_account_t;

/* From zero, in ACTIVITY. */
void mb_account_start(mb_account_t *account, int activity);
void mb_account_stop(mb_account_t *account);
/* From now on; returns the activity so far. BEGIN counts it as one more. */
int mb_account_enter(mb_account_t *account, int activity);
int mb_account_begin(mb_account_t *account, int activity);
/* Around a wait for other ranks; one inside an operation is the operation's. Returns what END
 * takes. */
int mb_account_wait_begin(mb_account_t *account);
void mb_account_wait_end(mb_account_t *account, int before);
/* Runs an operation on EXEC, which has an account. On a device that works by itself its end is
 * waited for. */
mb_status_t mb_account_run(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes);

#endif
