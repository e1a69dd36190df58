/* The run directory: made, leased and seen by all ranks; its checkpoints found, newest first, and
 * the old ones removed. */
#include "store/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "store/io.h"
#include "store/lease.h"
#include "store/ranks.h"
#include "store/seal.h"

/* Network file systems may show a new file late. */
#define SEE_SECONDS 5.0

struct mb_run_dir {
    mb_comm_t *comm;
    const mb_log_t *log;
    char *path;
    mb_lease_t lease;        /* rank 0's; elsewhere empty */
    pthread_mutex_t looking; /* at the lease: a commit may come from another thread */
};

static char *join(const char *directory, const char *name)
{
    size_t bytes = strlen(directory) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path != NULL)
        snprintf(path, bytes, "%s/%s", directory, name);
    return path;
}

char *mb_run_dir_file(const mb_run_dir_t *dir, const char *name)
{
    return join(dir->path, name);
}

const char *mb_run_dir_path(const mb_run_dir_t *dir)
{
    return dir->path;
}

/* Checkpoints last only where the directory's own name does. */
static mb_status_t make_directory(const char *path)
{
    struct stat about;
    if (mkdir(path, 0777) == 0)
        return mb_io_sync_parent(path);
    if (errno == ENOENT)
        return mb_error_set(MB_ERR_IO,
                            "cannot create the run directory '%s': the directory that should hold "
                            "it does not exist; create that first",
                            path);
    if (errno != EEXIST)
        return mb_io_error("create the run directory", path);
    if (stat(path, &about) != 0)
        return mb_io_error("look at the run directory", path);
    if (!S_ISDIR(about.st_mode))
        return mb_error_set(MB_ERR_IO,
                            "'%s' is a file, not a run directory; choose another with --run", path);
    return MB_OK;
}

static mb_status_t remove_leftover(const mb_run_dir_t *dir, const char *name)
{
    if (!mb_io_is_temporary(name))
        return MB_OK;
    char *path = mb_run_dir_file(dir, name);
    if (path == NULL)
        return mb_error_memory("a path", strlen(name));
    mb_status_t status = mb_lease_in_use(&dir->lease, path) ? MB_OK : mb_io_remove(path);
    free(path);
    return status;
}

/* What starts that ended badly have left. */
static mb_status_t remove_leftovers(const mb_run_dir_t *dir)
{
    DIR *open = opendir(dir->path);
    if (open == NULL)
        return mb_io_error("list the run directory", dir->path);
    mb_status_t status = MB_OK;
    for (struct dirent *entry = readdir(open); entry != NULL && status == MB_OK;
         entry = readdir(open))
        status = remove_leftover(dir, entry->d_name);
    closedir(open);
    return status;
}

static mb_status_t take_directory(mb_run_dir_t *dir)
{
    MB_TRY(make_directory(dir->path));
    char *path = mb_run_dir_file(dir, "lease");
    if (path == NULL)
        return mb_error_memory("a path", strlen(dir->path));
    mb_status_t status = mb_lease_take(path, &dir->lease);
    free(path);
    return status == MB_OK ? remove_leftovers(dir) : status;
}

static mb_status_t find_nonce(const mb_run_dir_t *dir, uint64_t nonce)
{
    char *path = mb_run_dir_file(dir, "lease");
    if (path == NULL)
        return mb_error_memory("a path", strlen(dir->path));
    uint64_t seen = 0;
    double end = mb_time_seconds() + SEE_SECONDS;
    while (mb_lease_read_nonce(path, &seen) != MB_OK || seen != nonce) {
        if (mb_time_seconds() > end)
            break;
        const struct timespec pause = {0, 20000000};
        nanosleep(&pause, NULL);
    }
    free(path);
    if (seen == nonce)
        return MB_OK;
    return mb_error_set(MB_ERR_IO,
                        "rank %d on %s does not see rank 0's lease in '%s': the directory is not "
                        "shared; choose one on a file system that all hosts share, with --run",
                        mb_ranks_rank(dir->comm),
                        dir->comm == NULL ? "this host" : mb_comm_host(dir->comm), dir->path);
}

static mb_status_t open_directory(mb_run_dir_t *dir)
{
    bool first = mb_ranks_rank(dir->comm) == 0;
    mb_status_t status = first ? take_directory(dir) : MB_OK;
    MB_TRY(mb_ranks_agree(dir->comm, status));
    uint64_t nonce = dir->lease.owner.nonce;
    MB_TRY(mb_ranks_broadcast(dir->comm, &nonce, sizeof(nonce)));
    return mb_ranks_agree(dir->comm, first ? MB_OK : find_nonce(dir, nonce));
}

mb_status_t mb_run_dir_open(mb_comm_t *comm, const char *path, mb_run_dir_t **out)
{
    mb_run_dir_t *dir = calloc(1, sizeof(*dir));
    if (dir == NULL)
        return mb_error_memory("a run directory", sizeof(*dir));
    dir->comm = comm;
    pthread_mutex_init(&dir->looking, NULL);
    dir->path = strdup(path);
    mb_status_t status =
        dir->path == NULL ? mb_error_memory("a path", strlen(path)) : open_directory(dir);
    if (status != MB_OK) {
        mb_run_dir_close(dir);
        return status;
    }
    *out = dir;
    return MB_OK;
}

void mb_run_dir_set_log(mb_run_dir_t *dir, const mb_log_t *log)
{
    dir->log = log;
}

/* Where another thread is at it, that is enough. */
mb_status_t mb_run_dir_renew(mb_run_dir_t *dir)
{
    if (dir->lease.path == NULL || pthread_mutex_trylock(&dir->looking) != 0)
        return MB_OK;
    mb_status_t status = mb_lease_renew(&dir->lease, false);
    pthread_mutex_unlock(&dir->looking);
    return status;
}

mb_status_t mb_run_dir_check(void *dir)
{
    mb_run_dir_t *own = dir;
    if (own->lease.path == NULL)
        return MB_OK;
    pthread_mutex_lock(&own->looking);
    mb_status_t status = mb_lease_renew(&own->lease, true);
    pthread_mutex_unlock(&own->looking);
    return status;
}

mb_status_t mb_run_dir_release(mb_run_dir_t *dir)
{
    mb_status_t status = mb_lease_give_up(&dir->lease);
    return mb_ranks_agree(dir->comm, status);
}

/* A lease that is left here has no living owner: the next start takes it. */
void mb_run_dir_close(mb_run_dir_t *dir)
{
    if (dir == NULL)
        return;
    (void)mb_lease_give_up(&dir->lease);
    pthread_mutex_destroy(&dir->looking);
    free(dir->path);
    free(dir);
}

const char *mb_run_dir_step_name(int64_t step, char *buffer, size_t capacity)
{
    snprintf(buffer, capacity, "step-%08" PRId64 ".h5", step);
    return buffer;
}

int64_t mb_run_dir_step_of(const char *name)
{
    if (strncmp(name, "step-", 5) != 0)
        return -1;
    size_t digits = strspn(name + 5, "0123456789");
    if (digits < 8 || digits > 18 || strcmp(name + 5 + digits, ".h5") != 0)
        return -1;
    return (int64_t)strtoll(name + 5, NULL, 10);
}

typedef struct {
    int64_t *steps; /* newest first */
    size_t count, capacity;
} steps_t;

static int compare_newest(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static mb_status_t add_step(steps_t *list, int64_t step)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + 16;
        int64_t *steps = realloc(list->steps, capacity * sizeof(*steps));
        if (steps == NULL)
            return mb_error_memory("a list of checkpoints", capacity * sizeof(*steps));
        list->steps = steps;
        list->capacity = capacity;
    }
    list->steps[list->count++] = step;
    return MB_OK;
}

static mb_status_t list_steps(const mb_run_dir_t *dir, steps_t *list)
{
    DIR *open = opendir(dir->path);
    if (open == NULL)
        return mb_io_error("list the run directory", dir->path);
    mb_status_t status = MB_OK;
    for (struct dirent *entry = readdir(open); entry != NULL && status == MB_OK;
         entry = readdir(open)) {
        if (mb_run_dir_step_of(entry->d_name) >= 0)
            status = add_step(list, mb_run_dir_step_of(entry->d_name));
    }
    closedir(open);
    if (list->count > 0)
        qsort(list->steps, list->count, sizeof(*list->steps), compare_newest);
    return status;
}

/* Whether NAME is there with a seal that holds, and its step. A broken one is logged. */
static mb_status_t check(const mb_run_dir_t *dir, const char *name, bool *holds, int64_t *step)
{
    char *path = mb_run_dir_file(dir, name);
    if (path == NULL)
        return mb_error_memory("a path", strlen(name));
    *holds = false;
    struct stat about;
    mb_seal_state_t state = MB_SEAL_NONE;
    if (stat(path, &about) == 0) {
        mb_status_t status = mb_seal_check_file(path, &state, step);
        *holds = status == MB_OK && state == MB_SEAL_HOLDS;
        if (status != MB_OK)
            mb_log(dir->log, MB_LOG_WARNING, "%s; it is passed over", mb_error_get());
        else if (!*holds)
            mb_log(dir->log, MB_LOG_WARNING,
                   "'%s' is damaged or incomplete (its seal does not hold); it is passed over",
                   path);
    }
    free(path);
    return MB_OK;
}

typedef struct {
    char name[64]; /* "" when there is none */
    bool finished;
} newest_t;

/* A final.h5 whose weights are quantized, or averages over steps, ends a run, but nothing goes on
 * from it. */
static bool is_exact(const mb_run_dir_t *dir)
{
    mb_model_file_t *file = NULL;
    char *path = mb_run_dir_file(dir, "final.h5");
    bool exact = path != NULL && mb_model_file_open(path, false, false, &file) == MB_OK &&
                 file->quantized == NULL && file->state.averaged == 0;
    mb_model_file_close(file);
    free(path);
    return exact;
}

static mb_status_t find_newest(const mb_run_dir_t *dir, const steps_t *list, newest_t *newest)
{
    bool holds = false, final_holds = false;
    int64_t step = -1, final_step = -1, newest_step = -1;
    MB_TRY(check(dir, "final.h5", &final_holds, &final_step));
    bool final_exact = final_holds && is_exact(dir);
    for (size_t i = 0; i < list->count && newest->name[0] == '\0'; i++) {
        if (final_exact && list->steps[i] < final_step)
            break;
        char name[64];
        mb_run_dir_step_name(list->steps[i], name, sizeof(name));
        MB_TRY(check(dir, name, &holds, &step));
        if (holds && step != list->steps[i])
            mb_log(dir->log, MB_LOG_WARNING,
                   "'%s/%s' holds step %" PRId64 ", not what its name says; it is passed over",
                   dir->path, name, step);
        else if (holds) {
            newest_step = step;
            memcpy(newest->name, name, sizeof(name));
        }
    }
    newest->finished = final_holds && final_step >= newest_step;
    if (newest->name[0] == '\0' && final_holds)
        snprintf(newest->name, sizeof(newest->name), "final.h5");
    return MB_OK;
}

mb_status_t mb_run_dir_newest(mb_run_dir_t *dir, char **path, bool *finished)
{
    newest_t newest = {0};
    mb_status_t status = MB_OK;
    if (mb_ranks_rank(dir->comm) == 0) {
        steps_t list = {0};
        status = list_steps(dir, &list);
        if (status == MB_OK)
            status = find_newest(dir, &list, &newest);
        free(list.steps);
    }
    MB_TRY(mb_ranks_agree(dir->comm, status));
    MB_TRY(mb_ranks_broadcast(dir->comm, &newest, sizeof(newest)));
    char *found = NULL;
    if (newest.name[0] != '\0') {
        found = mb_run_dir_file(dir, newest.name);
        if (found == NULL)
            return mb_error_memory("a path", sizeof(newest.name));
    }
    *path = found;
    *finished = newest.finished;
    return MB_OK;
}

mb_status_t mb_run_dir_look(const char *path, const mb_log_t *log, char name[64], bool *finished)
{
    const mb_run_dir_t dir = {.log = log, .path = (char *)(uintptr_t)path};
    newest_t newest = {0};
    steps_t list = {0};
    mb_status_t status = list_steps(&dir, &list);
    if (status == MB_OK)
        status = find_newest(&dir, &list, &newest);
    free(list.steps);
    snprintf(name, sizeof(newest.name), "%s", newest.name);
    *finished = newest.finished;
    return status;
}

mb_status_t mb_run_dir_prune(mb_run_dir_t *dir, int keep, int64_t best)
{
    if (dir->lease.path == NULL)
        return MB_OK;
    steps_t list = {0};
    mb_status_t status = remove_leftovers(dir);
    if (status == MB_OK)
        status = list_steps(dir, &list);
    for (size_t i = keep < 0 ? 0 : (size_t)keep; i < list.count && status == MB_OK; i++) {
        if (list.steps[i] == best)
            continue;
        char name[64];
        char *path = mb_run_dir_file(dir, mb_run_dir_step_name(list.steps[i], name, sizeof(name)));
        status = path == NULL ? mb_error_memory("a path", sizeof(name)) : mb_io_remove(path);
        free(path);
    }
    free(list.steps);
    return status;
}
