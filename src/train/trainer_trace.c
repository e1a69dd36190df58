/* trace.json in the run directory: of the last steps, also where the run is stopped or fails. Ranks
 * of a run that fails agree on nothing any more: each leaves its records in a file beside, and the
 * rank that speaks for all joins those that come. */
#define _POSIX_C_SOURCE 200809L /* nanosleep, access under -std=c11 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "train/trainer_private.h"

#define PATIENCE_SECONDS 1 /* since the last one came: one that is silent never does */
#define PAUSE_NANOSECONDS 5000000L

static bool is_wanted(const mb_training_t *trainer)
{
    return trainer->dir != NULL && mb_settings_on(trainer->settings, MB_SET_TRACE);
}

mb_status_t mb_training_write_trace(mb_training_t *trainer)
{
    const mb_engine_t *engine = trainer->engine;
    if (!is_wanted(trainer))
        return MB_OK;
    char *path = mb_run_dir_file(trainer->dir, "trace.json");
    mb_status_t status = path == NULL ? mb_error_memory("trace.json", sizeof *path) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(trainer->comm, status), status, out);
    status = mb_recorder_write(engine->recorder, trainer->comm, &engine->grid, engine->plan, path);

out:
    free(path);
    return status;
}

/* A name of temporary files (store/io.h), which the next start removes. */
static char *part_of(const mb_training_t *trainer, int rank)
{
    char name[64];
    snprintf(name, sizeof name, "trace.json.tmp-%016" PRIx64, (uint64_t)rank);
    return mb_run_dir_file(trainer->dir, name);
}

static int count_present(char *const *parts, int n)
{
    int present = 0;
    for (int r = 0; r < n; r++)
        present += access(parts[r], F_OK) == 0 ? 1 : 0;
    return present;
}

/* As long as others still come. */
static void await_parts(char *const *parts, int n)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    int present = 0;
    double since = mb_time_seconds();
    while (present < n && mb_time_seconds() - since < PATIENCE_SECONDS) {
        int now = count_present(parts, n);
        since = now > present ? mb_time_seconds() : since;
        present = now;
        nanosleep(&pause, NULL);
    }
}

static void free_parts(char **parts, int n)
{
    for (int r = 0; parts != NULL && r < n; r++)
        free(parts[r]);
    free(parts);
}

static mb_status_t join(const mb_training_t *trainer)
{
    const mb_engine_t *engine = trainer->engine;
    int n = engine->grid.stages * engine->grid.groups;
    char **parts = calloc((size_t)n + 1, sizeof *parts);
    char *path = mb_run_dir_file(trainer->dir, "trace.json");
    bool good = parts != NULL && path != NULL;
    for (int r = 0; r < n && good; r++) {
        parts[r] = part_of(trainer, r);
        good = parts[r] != NULL;
    }
    mb_status_t status = good ? MB_OK : mb_error_memory("trace.json", (size_t)n);
    if (good) {
        await_parts(parts, n);
        status = mb_recorder_join(parts, n, &engine->grid, engine->plan, path);
    }
    free_parts(parts, n);
    free(path);
    return status;
}

/* Whether the others have been joined: this rank was stopped, and goes on now that all is over. */
static bool is_late(const mb_training_t *trainer)
{
    struct stat joined;
    char *path = mb_run_dir_file(trainer->dir, "trace.json");
    double elapsed = mb_recorder_elapsed(trainer->engine->recorder, mb_comm_clock(trainer->comm));
    bool late =
        path != NULL && stat(path, &joined) == 0 && difftime(time(NULL), joined.st_mtime) < elapsed;
    free(path);
    return late;
}

static mb_status_t leave(const mb_training_t *trainer)
{
    if (is_late(trainer))
        return MB_OK;
    char *path = part_of(trainer, mb_comm_rank(trainer->comm));
    mb_status_t status = path == NULL ? mb_error_memory("trace.json", sizeof *path)
                                      : mb_recorder_leave(trainer->engine->recorder, path);
    free(path);
    return status;
}

void mb_training_trace_failure(mb_training_t *trainer)
{
    mb_error_message_t kept;
    if (!is_wanted(trainer) || trainer->engine == NULL)
        return;
    mb_error_keep(&kept);
    mb_status_t status = mb_engine_idle(trainer->engine) ? MB_OK : leave(trainer);
    if (status == MB_OK && mb_comm_speaks(trainer->comm))
        status = join(trainer);
    if (status != MB_OK)
        mb_log(trainer->options.log, MB_LOG_WARNING, "no trace of the failure: %s", mb_error_get());
    mb_error_restore(&kept);
}
