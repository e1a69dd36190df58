/* The directory a run lives in: the lease, its checkpoints, metrics.jsonl. */
#ifndef MB_STORE_RUN_DIR_H
#define MB_STORE_RUN_DIR_H

#include "comm/comm.h"
#include "store/model_file.h"

typedef struct mb_run_dir mb_run_dir_t;

/* Collective. Creates the directory when missing (parents must exist), checks that it can be
 * written, takes the lease (file `lease`: host, job, restart count, pid, nonce, time), and makes
 * sure that every rank sees rank 0's nonce (else: MB_ERR_IO, the directory is not shared). A lease
 * that is held by a living process is MB_ERR_BUSY naming the owner; one whose owner is gone (same
 * host, pid dead; or not renewed for 60 s; or the same batch job with a lower restart count) is
 * taken over. */
mb_status_t mb_run_dir_open(mb_comm_t *comm, const char *path, mb_run_dir_t **out);
/* Rank 0: still ours? Looks at most four times a second, renews it when older than 10 s.
 * MB_ERR_BUSY when another took it. To be called each step (cheap). */
mb_status_t mb_run_dir_renew(mb_run_dir_t *dir);
/* The same, but always looks; of the form of mb_checkpoint_layout_t's may_commit. Any thread. */
mb_status_t mb_run_dir_check(void *dir);
/* Where warnings go (NULL at first: nowhere); must outlive the directory's use. */
void mb_run_dir_set_log(mb_run_dir_t *dir, const mb_log_t *log);
/* Rank 0 gives the lease up, saying so when it cannot. Collective. */
mb_status_t mb_run_dir_release(mb_run_dir_t *dir);
/* Rank 0 gives the lease up, if it still has it; frees. Not collective. */
void mb_run_dir_close(mb_run_dir_t *dir);
const char *mb_run_dir_path(const mb_run_dir_t *dir);
/* PATH/NAME; malloc'ed. */
char *mb_run_dir_file(const mb_run_dir_t *dir, const char *name);

/* Rank 0 looks, everyone gets the answer: the newest step-*.h5 whose seal holds, or final.h5 when
 * that is newer than all of them and its weights are exact, or when there is no other; *path
 * malloc'ed or NULL when there is none. Broken ones are skipped with a warning in the log.
 * *finished: final.h5 holds and no step file that holds is newer. Collective. */
mb_status_t mb_run_dir_newest(mb_run_dir_t *dir, char **path, bool *finished);
/* The same for one process that only looks, without the lease: the file's name in NAME, "" for
 * none. What is passed over, and why, goes to LOG. */
mb_status_t mb_run_dir_look(const char *path, const mb_log_t *log, char name[64], bool *finished);
/* The step in a name that mb_run_dir_step_name gave; -1 for any other name. */
int64_t mb_run_dir_step_of(const char *name);
/* Rank 0: removes step files but the newest KEEP and the one of step BEST (-1: none), and left-over
 * temporary files. Only after a newer one is durable. Any thread, while no other makes files there.
 */
mb_status_t mb_run_dir_prune(mb_run_dir_t *dir, int keep, int64_t best);
/* "step-00001234.h5" in BUFFER. */
const char *mb_run_dir_step_name(int64_t step, char *buffer, size_t capacity);

/* Rank 0: metrics.jsonl, one JSON object a line. Open drops lines whose "step" is past STEP (by
 * writing a new file and renaming it). */
typedef struct mb_metrics_log mb_metrics_log_t;
mb_status_t mb_metrics_log_open(mb_run_dir_t *dir, int64_t step, mb_metrics_log_t **out);
mb_status_t mb_metrics_log_line(mb_metrics_log_t *log, const char *json_line);
/* What was said is the system's, and survives the process; then it is on disk, before each commit,
 * by any thread. */
mb_status_t mb_metrics_log_flush(mb_metrics_log_t *log);
mb_status_t mb_metrics_log_sync(mb_metrics_log_t *log);
void mb_metrics_log_close(mb_metrics_log_t *log);

#endif
