/* Preloaded into a program (LD_PRELOAD), makes the k-th call of one kind fail. Only calls on files
 * below one directory count, so that MPI's own files are left alone. The environment says what:
 *
 *     MB_FAIL_DIR      the directory, absolute and without symbolic links
 *     MB_FAIL_RANK     in which process of the job (OMPI_COMM_WORLD_RANK; 0 where there is none)
 *     MB_FAIL_KIND     one of the kinds below
 *     MB_FAIL_AT       k, from 1; 0 only counts
 *     MB_FAIL_ERRNO    the error's number
 *     MB_FAIL_REST     when set, every later call of the kinds that need space fails too: a full
 *                      disk stays full
 *     MB_FAIL_COUNTS   a file to which the process appends "KIND COUNT" lines when it ends
 *
 * A failing write writes nothing; a failing close or flush of a file has closed or flushed it. What
 * stdio writes is counted by fflush: inside the C library nothing can be put in between. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITE, SYNC, TRUNCATE, RESERVE, RENAME, UNLINK, OPEN, CLOSE, LINK, FLUSH, KINDS };
static const char *const names[KINDS] = {"write",  "sync", "truncate", "reserve", "rename",
                                         "unlink", "open", "close",    "link",    "flush"};
static const int needs_space[KINDS] = {[WRITE] = 1, [RESERVE] = 1, [OPEN] = 1, [FLUSH] = 1};

static struct {
    char directory[PATH_MAX];
    size_t length;
    int kind, at, error, rest;
} plan;
static atomic_int counts[KINDS], failing;

static int number(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : atoi(text);
}

__attribute__((constructor)) static void read_plan(void)
{
    const char *directory = getenv("MB_FAIL_DIR"), *kind = getenv("MB_FAIL_KIND");
    unsetenv("LD_PRELOAD"); /* what the program starts, MPI's helpers above all, is not meant */
    if (directory == NULL || number("MB_FAIL_RANK") != number("OMPI_COMM_WORLD_RANK"))
        return;
    plan.length = (size_t)snprintf(plan.directory, sizeof plan.directory, "%s/", directory);
    plan.at = number("MB_FAIL_AT");
    plan.error = number("MB_FAIL_ERRNO");
    plan.rest = getenv("MB_FAIL_REST") != NULL;
    for (plan.kind = 0; plan.kind < KINDS - 1; plan.kind++) {
        if (kind != NULL && strcmp(kind, names[plan.kind]) == 0)
            break;
    }
}

__attribute__((destructor)) static void tell_counts(void)
{
    const char *path = getenv("MB_FAIL_COUNTS");
    FILE *file = plan.length > 0 && path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL)
        return;
    for (int kind = 0; kind < KINDS; kind++)
        fprintf(file, "%s %d\n", names[kind], atomic_load(&counts[kind]));
    fclose(file);
}

static int is_below(const char *path)
{
    char whole[PATH_MAX];
    if (plan.length == 0)
        return 0;
    if (path[0] != '/' && getcwd(whole, sizeof whole) != NULL) {
        size_t length = strlen(whole);
        snprintf(whole + length, sizeof whole - length, "/%s", path);
        path = whole;
    }
    return strncmp(path, plan.directory, plan.length) == 0 ||
           (strlen(path) == plan.length - 1 && strncmp(path, plan.directory, plan.length - 1) == 0);
}

static int is_below_fd(int fd)
{
    char link[64], path[PATH_MAX];
    if (plan.length == 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return is_below(path);
}

/* Counts a call; whether it is to fail. */
static int fails(int kind)
{
    int number = atomic_fetch_add(&counts[kind], 1) + 1;
    int now = kind == plan.kind && plan.at > 0 && number == plan.at;
    if (now && plan.rest)
        atomic_store(&failing, 1);
    if (now || (needs_space[kind] && atomic_load(&failing))) {
        errno = plan.error;
        return 1;
    }
    return 0;
}

#define NEXT(result, name, ...)                                                                    \
    static result (*next)(__VA_ARGS__);                                                            \
    if (next == NULL)                                                                              \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

#define PWRITE(name)                                                                               \
    ssize_t name(int fd, const void *data, size_t bytes, off_t offset)                             \
    {                                                                                              \
        NEXT(ssize_t, name, int, const void *, size_t, off_t);                                     \
        return is_below_fd(fd) && fails(WRITE) ? -1 : next(fd, data, bytes, offset);               \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t write(int fd, const void *data, size_t bytes)
{
    NEXT(ssize_t, write, int, const void *, size_t);
    return is_below_fd(fd) && fails(WRITE) ? -1 : next(fd, data, bytes);
}

#define SYNC_OF(name)                                                                              \
    int name(int fd)                                                                               \
    {                                                                                              \
        NEXT(int, name, int);                                                                      \
        return is_below_fd(fd) && fails(SYNC) ? -1 : next(fd);                                     \
    }
SYNC_OF(fsync)
SYNC_OF(fdatasync)

#define FTRUNCATE(name)                                                                            \
    int name(int fd, off_t bytes)                                                                  \
    {                                                                                              \
        NEXT(int, name, int, off_t);                                                               \
        return is_below_fd(fd) && fails(TRUNCATE) ? -1 : next(fd, bytes);                          \
    }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define FALLOCATE(name)                                                                            \
    int name(int fd, int mode, off_t from, off_t bytes)                                            \
    {                                                                                              \
        NEXT(int, name, int, int, off_t, off_t);                                                   \
        return is_below_fd(fd) && fails(RESERVE) ? -1 : next(fd, mode, from, bytes);               \
    }
FALLOCATE(fallocate)
FALLOCATE(fallocate64)

#define POSIX_FALLOCATE(name)                                                                      \
    int name(int fd, off_t from, off_t bytes)                                                      \
    {                                                                                              \
        NEXT(int, name, int, off_t, off_t);                                                        \
        return is_below_fd(fd) && fails(RESERVE) ? plan.error : next(fd, from, bytes);             \
    }
POSIX_FALLOCATE(posix_fallocate)
POSIX_FALLOCATE(posix_fallocate64)

int rename(const char *from, const char *to)
{
    NEXT(int, rename, const char *, const char *);
    return is_below(to) && fails(RENAME) ? -1 : next(from, to);
}

int link(const char *from, const char *to)
{
    NEXT(int, link, const char *, const char *);
    return is_below(to) && fails(LINK) ? -1 : next(from, to);
}

int unlink(const char *path)
{
    NEXT(int, unlink, const char *);
    return is_below(path) && fails(UNLINK) ? -1 : next(path);
}

int unlinkat(int fd, const char *path, int flags)
{
    NEXT(int, unlinkat, int, const char *, int);
    int below = path[0] == '/' || fd == AT_FDCWD ? is_below(path) : is_below_fd(fd);
    return below && fails(UNLINK) ? -1 : next(fd, path, flags);
}

#define OPEN_OF(name)                                                                              \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        NEXT(int, name, const char *, int, ...);                                                   \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;                                 \
        va_end(args);                                                                              \
        int fatal = (flags & O_CREAT) != 0 && is_below(path) && fails(OPEN);                       \
        return fatal ? -1 : next(path, flags, mode);                                               \
    }
OPEN_OF(open)
OPEN_OF(open64)

#define FOPEN(name)                                                                                \
    FILE *name(const char *path, const char *mode)                                                 \
    {                                                                                              \
        NEXT(FILE *, name, const char *, const char *);                                            \
        return mode[0] != 'r' && is_below(path) && fails(OPEN) ? NULL : next(path, mode);          \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* Only of files open for writing: what a failing close of another tells is of no interest. */
static int is_written(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && is_below_fd(fd);
}

int close(int fd)
{
    NEXT(int, close, int);
    int fatal = is_written(fd) && fails(CLOSE), error = errno;
    int result = next(fd);
    errno = fatal ? error : errno;
    return fatal ? -1 : result;
}

int fflush(FILE *file)
{
    NEXT(int, fflush, FILE *);
    int fatal = file != NULL && is_written(fileno(file)) && fails(FLUSH);
    int result = next(file);
    errno = fatal ? plan.error : errno;
    return fatal ? EOF : result;
}
