/* Taking, renewing and giving up the lease of lease.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "store/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"
#include "store/io.h"

#define LEASE_LIMIT 4096
#define STALE_SECONDS 60.0
#define RENEW_SECONDS 10.0
#define LOOK_SECONDS 0.25
#define MOST_TRIES 8

static void copy_word(char *to, size_t capacity, const char *from)
{
    size_t length = from == NULL ? 0 : strcspn(from, " \t\r\n");
    if (length == 0)
        snprintf(to, capacity, "-");
    else
        snprintf(to, capacity, "%.*s", (int)length, from);
}

/* Field 22 of /proc/PID/stat; the name before it may hold spaces. 0 where there is no such file,
 * and -1 for a process that has ended and waits to be reaped: in a container that may last for
 * ever. */
static long long process_start(long long pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%lld/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    long long started = 0;
    if (fgets(line, sizeof(line), file) != NULL) {
        const char *field = strrchr(line, ')');
        bool ended = field != NULL && strncmp(field, ") Z", 3) == 0;
        for (int i = 2; field != NULL && i < 22; i++)
            field = strchr(field + 1, ' ');
        if (field != NULL)
            started = ended ? -1 : strtoll(field, NULL, 10);
    }
    fclose(file);
    return started;
}

static void describe_self(mb_lease_owner_t *owner)
{
    *owner = (mb_lease_owner_t){.pid = (long long)getpid(), .nonce = mb_io_nonce()};
    char host[256] = "", boot[64] = "";
    gethostname(host, sizeof(host) - 1);
    copy_word(owner->host, sizeof(owner->host), host);
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file != NULL) {
        if (fgets(boot, sizeof(boot), file) == NULL)
            boot[0] = '\0';
        fclose(file);
    }
    copy_word(owner->boot, sizeof(owner->boot), boot);
    copy_word(owner->job, sizeof(owner->job), getenv("SLURM_JOB_ID"));
    const char *restart = getenv("SLURM_RESTART_COUNT");
    owner->restart = restart == NULL ? 0 : strtoll(restart, NULL, 10);
    owner->started = process_start(owner->pid);
}

static void format_owner(const mb_lease_owner_t *owner, char *text, size_t capacity)
{
    snprintf(text, capacity,
             "host %s\nboot %s\npid %lld\nstarted %lld\njob %s\nrestart %lld\nnonce %016" PRIx64
             "\n",
             owner->host, owner->boot, owner->pid, owner->started, owner->job, owner->restart,
             owner->nonce);
}

static bool parse_owner(const char *text, mb_lease_owner_t *owner)
{
    return sscanf(text,
                  "host %255s boot %63s pid %lld started %lld job %63s restart %lld nonce %" SCNx64,
                  owner->host, owner->boot, &owner->pid, &owner->started, owner->job,
                  &owner->restart, &owner->nonce) == 7;
}

static bool is_ours(const mb_lease_t *lease, const char *text)
{
    mb_lease_owner_t owner;
    return text != NULL && parse_owner(text, &owner) && owner.nonce == lease->owner.nonce;
}

static bool process_lives(const mb_lease_owner_t *owner)
{
    if (owner->pid <= 0 || owner->pid > INT_MAX ||
        (kill((pid_t)owner->pid, 0) != 0 && errno != EPERM))
        return false;
    long long started = process_start(owner->pid);
    return started >= 0 && (started == 0 || owner->started == 0 || started == owner->started);
}

/* Whether the lease may be taken from OWNER, which was renewed AGE seconds ago. */
static bool is_stale(const mb_lease_owner_t *owner, const mb_lease_owner_t *self, double age)
{
    if (strcmp(owner->job, "-") != 0 && strcmp(owner->job, self->job) == 0 &&
        owner->restart < self->restart)
        return true;
    if (strcmp(owner->host, self->host) != 0)
        return age > STALE_SECONDS;
    return strcmp(owner->boot, self->boot) != 0 || !process_lives(owner);
}

static mb_status_t refuse(const char *path, const char *text, double age)
{
    mb_lease_owner_t owner;
    int directory = (int)(strrchr(path, '/') - path);
    if (!parse_owner(text, &owner))
        return mb_error_set(
            MB_ERR_BUSY, "'%s' cannot be read as a lease; if no run is active in '%.*s', remove it",
            path, directory, path);
    char job[128] = "";
    if (strcmp(owner.job, "-") != 0)
        snprintf(job, sizeof(job), ", job %s", owner.job);
    return mb_error_set(MB_ERR_BUSY,
                        "the run directory '%.*s' is in use by process %lld on %s%s (seen %.0f s "
                        "ago%s); wait until it ends, stop it, or choose another directory with "
                        "--run",
                        directory, path, owner.pid, owner.host, job, age < 0.0 ? 0.0 : age,
                        age < -STALE_SECONDS ? "; its lease is dated in the future: remove it if "
                                               "no run is active there"
                                             : "");
}

static double age_of(const struct stat *lease, const struct stat *fresh)
{
    return (double)(fresh->st_mtim.tv_sec - lease->st_mtim.tv_sec) +
           1e-9 * (double)(fresh->st_mtim.tv_nsec - lease->st_mtim.tv_nsec);
}

/* Moves a stale lease aside; only one of several takers gets it. One that was taken meanwhile is
 * put back. */
static mb_status_t move_aside(const char *path, const char *judged)
{
    char *aside = mb_io_temporary_name(path), *found = NULL;
    if (aside == NULL)
        return mb_error_memory("a path", strlen(path));
    mb_status_t status = MB_OK;
    if (rename(path, aside) != 0) {
        if (errno != ENOENT)
            status = mb_io_error("replace", path);
    } else {
        status = mb_io_read_own_text(aside, LEASE_LIMIT, &found);
        if (found == NULL || strcmp(found, judged) != 0)
            (void)!link(aside, path);
        mb_status_t removed = mb_io_remove(aside);
        status = status == MB_OK ? removed : status;
    }
    free(found);
    free(aside);
    return status;
}

/* A file of this call's own, which becomes the lease by a link. */
static mb_status_t write_fresh(const mb_lease_t *lease, const char *fresh)
{
    char text[1024];
    int fd = -1;
    format_owner(&lease->owner, text, sizeof(text));
    MB_TRY(mb_io_open_new(fresh, &fd));
    mb_status_t status = mb_io_write(fd, text, strlen(text), 0, fresh);
    if (status == MB_OK) /* an empty lease, which a crash might leave, could be anyone's */
        status = mb_io_sync(fd, fresh);
    mb_status_t closed = mb_io_close(&fd, fresh);
    if (status == MB_OK)
        status = closed;
    if (status != MB_OK)
        unlink(fresh);
    return status;
}

/* One that is no file was put there by somebody: it is neither followed nor taken away. */
static mb_status_t refuse_kind(const char *path, mode_t mode)
{
    return mb_error_set(MB_ERR_BUSY,
                        "'%s' is %s and no lease; if no run is active in that directory, remove it",
                        path,
                        S_ISLNK(mode)   ? "a symbolic link"
                        : S_ISDIR(mode) ? "a directory"
                                        : "a special file");
}

/* One try: *taken, or the way is free to try again, or MB_ERR_BUSY. */
static mb_status_t try_to_take(mb_lease_t *lease, const char *fresh, bool *taken)
{
    *taken = link(fresh, lease->path) == 0;
    if (*taken)
        return MB_OK;
    if (errno == ENOENT) /* taken for a dead process' while it was empty */
        return write_fresh(lease, fresh);
    if (errno != EEXIST)
        return mb_io_error("create", lease->path);
    char *text = NULL;
    struct stat about, now;
    mb_lease_owner_t owner;
    if (lstat(lease->path, &about) != 0 || lstat(fresh, &now) != 0)
        return errno == ENOENT ? MB_OK : mb_io_error("look at", lease->path);
    if (!S_ISREG(about.st_mode))
        return refuse_kind(lease->path, about.st_mode);
    if (about.st_size > LEASE_LIMIT)
        return refuse(lease->path, "", 0);
    MB_TRY(mb_io_read_own_text(lease->path, LEASE_LIMIT, &text));
    if (text == NULL)
        return MB_OK;
    double age = age_of(&about, &now);
    bool stale =
        parse_owner(text, &owner) ? is_stale(&owner, &lease->owner, age) : age > STALE_SECONDS;
    mb_status_t status = stale ? move_aside(lease->path, text) : refuse(lease->path, text, age);
    free(text);
    return status;
}

static mb_status_t take(mb_lease_t *lease, const char *fresh)
{
    MB_TRY(write_fresh(lease, fresh));
    mb_status_t status = MB_OK;
    bool taken = false;
    for (int i = 0; i < MOST_TRIES && status == MB_OK && !taken; i++)
        status = try_to_take(lease, fresh, &taken);
    if (status == MB_OK && !taken)
        status = mb_error_set(MB_ERR_BUSY, "several processes fight for '%s'; start one of them",
                              lease->path);
    if (status == MB_OK)
        status = mb_io_remove(fresh);
    else
        unlink(fresh);
    if (status != MB_OK && taken)
        unlink(lease->path);
    return status;
}

mb_status_t mb_lease_take(const char *path, mb_lease_t *lease)
{
    *lease = (mb_lease_t){.path = strdup(path)};
    char *fresh = mb_io_temporary_name(path);
    mb_status_t status = MB_OK;
    if (lease->path == NULL || fresh == NULL)
        status = mb_error_memory("a path", strlen(path));
    if (status == MB_OK) {
        describe_self(&lease->owner);
        status = take(lease, fresh);
    }
    free(fresh);
    if (status != MB_OK) {
        free(lease->path);
        *lease = (mb_lease_t){0};
        return status;
    }
    lease->looked = lease->renewed = mb_time_seconds();
    return MB_OK;
}

static mb_status_t lost(const mb_lease_t *lease, const char *text)
{
    mb_lease_owner_t owner;
    int directory = (int)(strrchr(lease->path, '/') - lease->path);
    if (text != NULL && parse_owner(text, &owner))
        return mb_error_set(MB_ERR_BUSY,
                            "process %lld on %s has taken the run directory '%.*s' over; this run "
                            "stops without writing to it",
                            owner.pid, owner.host, directory, lease->path);
    return mb_error_set(MB_ERR_BUSY,
                        "the lease '%s' is gone: the run directory was moved or emptied; this run "
                        "stops without writing to it",
                        lease->path);
}

static mb_status_t look(const mb_lease_t *lease)
{
    char *text = NULL;
    MB_TRY(mb_io_read_own_text(lease->path, LEASE_LIMIT, &text));
    mb_status_t status = is_ours(lease, text) ? MB_OK : lost(lease, text);
    free(text);
    return status;
}

/* Writes the same bytes again into the very file that was found to be ours: if another takes the
 * lease over in between, it has moved that file aside, and its own is not touched. */
static mb_status_t touch(const mb_lease_t *lease)
{
    char text[1024], found[1024] = "";
    int fd = -1;
    int64_t bytes = 0;
    format_owner(&lease->owner, text, sizeof(text));
    size_t length = strlen(text);
    MB_TRY(mb_io_open_update(lease->path, &fd));
    mb_status_t status = mb_io_size(fd, lease->path, &bytes);
    if (status == MB_OK && bytes == (int64_t)length)
        status = mb_io_read(fd, found, length, 0, lease->path);
    if (status == MB_OK)
        status = is_ours(lease, found) ? mb_io_write(fd, text, length, 0, lease->path)
                                       : lost(lease, found);
    mb_status_t closed = mb_io_close(&fd, lease->path);
    return status == MB_OK ? closed : status;
}

mb_status_t mb_lease_renew(mb_lease_t *lease, bool always)
{
    double now = mb_time_seconds();
    if (!always && now - lease->looked < LOOK_SECONDS)
        return MB_OK;
    MB_TRY(look(lease));
    lease->looked = now;
    if (now - lease->renewed < RENEW_SECONDS)
        return MB_OK;
    MB_TRY(touch(lease));
    MB_TRY(look(lease));
    lease->renewed = now;
    return MB_OK;
}

mb_status_t mb_lease_give_up(mb_lease_t *lease)
{
    mb_status_t status = MB_OK;
    if (lease->path != NULL && look(lease) == MB_OK)
        status = mb_io_remove(lease->path);
    free(lease->path);
    *lease = (mb_lease_t){0};
    return status;
}

/* Than the lease itself. */
static bool is_newer(const struct stat *file, const mb_lease_t *lease)
{
    struct stat own;
    return stat(lease->path, &own) != 0 || age_of(&own, file) > 0.0;
}

/* One that cannot be read is somebody's who begins to write it, or what a crash has left, which is
 * older than our lease. Who finds its own taken away writes it again. */
bool mb_lease_in_use(const mb_lease_t *lease, const char *path)
{
    char *text = NULL;
    struct stat about;
    mb_lease_owner_t owner;
    const char *name = strrchr(path, '/');
    if (name == NULL || strncmp(name, "/lease.", 7) != 0 || lstat(path, &about) != 0)
        return false;
    double age = difftime(time(NULL), about.st_mtim.tv_sec);
    bool read = mb_io_read_own_text(path, LEASE_LIMIT, &text) == MB_OK && text != NULL;
    bool in_use = read && parse_owner(text, &owner)
                      ? !is_stale(&owner, &lease->owner, age)
                      : age <= STALE_SECONDS && is_newer(&about, lease);
    free(text);
    return in_use;
}

mb_status_t mb_lease_view(const char *path, mb_lease_view_t *view)
{
    char *text = NULL;
    struct stat about;
    mb_lease_owner_t self;
    *view = (mb_lease_view_t){.mark = MB_LEASE_NONE};
    if (stat(path, &about) != 0)
        return errno == ENOENT ? MB_OK : mb_io_error("look at", path);
    MB_TRY(mb_io_read_text(path, LEASE_LIMIT, &text));
    if (text == NULL)
        return MB_OK;
    describe_self(&self);
    view->age = difftime(time(NULL), about.st_mtim.tv_sec);
    if (!parse_owner(text, &view->owner))
        view->mark = MB_LEASE_UNREADABLE;
    else
        view->mark = is_stale(&view->owner, &self, view->age) ? MB_LEASE_STALE : MB_LEASE_HELD;
    free(text);
    return MB_OK;
}

mb_status_t mb_lease_read_nonce(const char *path, uint64_t *nonce)
{
    char *text = NULL;
    mb_lease_owner_t owner;
    *nonce = 0;
    MB_TRY(mb_io_read_own_text(path, LEASE_LIMIT, &text));
    if (text != NULL && parse_owner(text, &owner))
        *nonce = owner.nonce;
    free(text);
    return MB_OK;
}
