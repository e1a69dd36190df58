/* What lies in a run's directory, for one process that only looks: checkpoints, what failed starts
 * left, who runs there, and what a start would go on from. */
#ifndef MB_STORE_RUN_LIST_H
#define MB_STORE_RUN_LIST_H

#include "base/arena.h"
#include "store/lease.h"
#include "store/model_file.h"

typedef struct {
    const char *name;
    int64_t bytes;
    int64_t modified; /* seconds since 1970 */
    bool holds;       /* the seal, of every byte */
    const char *why;  /* not; NULL: it holds */
    bool has_state;   /* the following are known */
    int64_t step, epoch, step_in_epoch;
    const char *stored; /* "exact", "averaged", "int8:channel", "exact, moments in 8 bits" */
} mb_run_entry_t;

typedef struct {
    mb_arena_t *arena;
    int n_entries;
    mb_run_entry_t *entries; /* step-*.h5 oldest first, then best.h5 and final.h5 */
    int n_leftovers;
    const char **leftovers;
    mb_lease_view_t lease;
    const char *next; /* what a start goes on from; NULL: it begins anew */
    bool finished;
    const char *why;
} mb_run_list_t;

/* MB_ERR_IO: PATH is no directory that can be read. Free it also after an error. */
mb_status_t mb_run_list(const char *path, mb_run_list_t *out);
void mb_run_list_free(mb_run_list_t *list);

#endif
