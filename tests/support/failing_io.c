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
 *     MB_FAIL_SLOW     milliseconds that every sync takes longer: a slow disk, whether or not one
 *                      fails
 *     MB_FAIL_COUNTS   a file to which the process appends "KIND COUNT" lines when it ends
 *
 * "look" is an open that creates nothing. A failing write writes nothing; a failing close or flush
 * of a file has closed or flushed it. What stdio writes is counted by fflush: inside the C library
 * nothing can be put in between. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "support/interposed.h"

enum {
    WRITE,
    SYNC,
    TRUNCATE,
    RESERVE,
    RENAME,
    UNLINK,
    OPEN,
    CLOSE,
    LINK,
    FLUSH,
    MAKE,
    LOOK,
    READ,
    STAT,
    LIST,
    ENTRY,
    MODE,
    MAP,
    KINDS
};
static const char *const names[KINDS] = {
    [WRITE] = "write",   [SYNC] = "sync",     [TRUNCATE] = "truncate", [RESERVE] = "reserve",
    [RENAME] = "rename", [UNLINK] = "unlink", [OPEN] = "open",         [CLOSE] = "close",
    [LINK] = "link",     [FLUSH] = "flush",   [MAKE] = "mkdir",        [LOOK] = "look",
    [READ] = "read",     [STAT] = "stat",     [LIST] = "list",         [ENTRY] = "entry",
    [MODE] = "mode",     [MAP] = "map"};
static const int needs_space[KINDS] = {[WRITE] = 1, [RESERVE] = 1, [OPEN] = 1, [FLUSH] = 1};

static struct {
    int kind, at, error, rest, slow;
} plan;
/* Shared with the children of a process, which look at files for it: they make one row of calls. */
static struct {
    atomic_int counts[KINDS], failing;
} * shared;

__attribute__((constructor)) static void read_plan(void)
{
    const char *directory = getenv("MB_FAIL_DIR"), *kind = getenv("MB_FAIL_KIND");
    unsetenv("LD_PRELOAD"); /* what the program starts, MPI's helpers above all, is not meant */
    if (directory == NULL || number("MB_FAIL_RANK") != own_rank())
        return;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return;
    watch(directory);
    plan.at = number("MB_FAIL_AT");
    plan.error = number("MB_FAIL_ERRNO");
    plan.rest = getenv("MB_FAIL_REST") != NULL;
    plan.slow = number("MB_FAIL_SLOW");
    for (plan.kind = 0; plan.kind < KINDS - 1; plan.kind++) {
        if (kind != NULL && strcmp(kind, names[plan.kind]) == 0)
            break;
    }
}

__attribute__((destructor)) static void tell_counts(void)
{
    const char *path = getenv("MB_FAIL_COUNTS");
    int counting = watched[0] != '\0' && path != NULL;
    watched[0] = '\0';
    int file = counting ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    for (int kind = 0; kind < KINDS && file >= 0; kind++)
        dprintf(file, "%s %d\n", names[kind], atomic_load(&shared->counts[kind]));
}

/* Counts a call; whether it is to fail. */
static int fails(int kind)
{
    int number = atomic_fetch_add(&shared->counts[kind], 1) + 1;
    int now = kind == plan.kind && plan.at > 0 && number == plan.at;
    if (now && plan.rest)
        atomic_store(&shared->failing, 1);
    if (now || (needs_space[kind] && atomic_load(&shared->failing))) {
        errno = plan.error;
        return 1;
    }
    return 0;
}

#define PWRITE(name)                                                                               \
    ssize_t name(int fd, const void *data, size_t bytes, off_t offset)                             \
    {                                                                                              \
        NEXT(ssize_t, name, int, const void *, size_t, off_t);                                     \
        return is_below_fd(fd) && fails(WRITE) ? -1 : next(fd, data, bytes, offset);               \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define PWRITEV(name)                                                                              \
    ssize_t name(int fd, const struct iovec *parts, int n, off_t offset)                           \
    {                                                                                              \
        NEXT(ssize_t, name, int, const struct iovec *, int, off_t);                                \
        return is_below_fd(fd) && fails(WRITE) ? -1 : next(fd, parts, n, offset);                  \
    }
PWRITEV(pwritev)
PWRITEV(pwritev64)

ssize_t write(int fd, const void *data, size_t bytes)
{
    NEXT(ssize_t, write, int, const void *, size_t);
    return is_below_fd(fd) && fails(WRITE) ? -1 : next(fd, data, bytes);
}

#define SYNC_OF(name)                                                                              \
    int name(int fd)                                                                               \
    {                                                                                              \
        NEXT(int, name, int);                                                                      \
        int below = is_below_fd(fd);                                                               \
        if (below && plan.slow > 0)                                                                \
            usleep((unsigned)plan.slow * 1000);                                                    \
        return below && fails(SYNC) ? -1 : next(fd);                                               \
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

int unlinkat(int at, const char *path, int flags)
{
    NEXT(int, unlinkat, int, const char *, int);
    return is_below_at(at, path) && fails(UNLINK) ? -1 : next(at, path, flags);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    NEXT(int, renameat, int, const char *, int, const char *);
    return is_below_at(to_at, to) && fails(RENAME) ? -1 : next(from_at, from, to_at, to);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    NEXT(int, linkat, int, const char *, int, const char *, int);
    return is_below_at(to_at, to) && fails(LINK) ? -1 : next(from_at, from, to_at, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
    NEXT(int, mkdir, const char *, mode_t);
    return is_below(path) && fails(MAKE) ? -1 : next(path, mode);
}

int fchmod(int fd, mode_t mode)
{
    NEXT(int, fchmod, int, mode_t);
    return is_below_fd(fd) && fails(MODE) ? -1 : next(fd, mode);
}

#define PREAD(name)                                                                                \
    ssize_t name(int fd, void *data, size_t bytes, off_t offset)                                   \
    {                                                                                              \
        NEXT(ssize_t, name, int, void *, size_t, off_t);                                           \
        return is_below_fd(fd) && fails(READ) ? -1 : next(fd, data, bytes, offset);                \
    }
PREAD(pread)
PREAD(pread64)

ssize_t read(int fd, void *data, size_t bytes)
{
    NEXT(ssize_t, read, int, void *, size_t);
    return is_below_fd(fd) && fails(READ) ? -1 : next(fd, data, bytes);
}

/* A stream's error flag: only the C library itself can set it otherwise (_IO_ERR_SEEN of glibc). */
static int stream_fails(FILE *file)
{
    if (!is_below_fd(fileno(file)) || !fails(READ))
        return 0;
    file->_flags |= 0x20;
    return 1;
}

ssize_t getline(char **line, size_t *capacity, FILE *file)
{
    NEXT(ssize_t, getline, char **, size_t *, FILE *);
    return stream_fails(file) ? -1 : next(line, capacity, file);
}

/* What getline becomes when it is compiled in line. */
ssize_t __getdelim(char **line, size_t *capacity, int end, FILE *file)
{
    NEXT(ssize_t, __getdelim, char **, size_t *, int, FILE *);
    return stream_fails(file) ? -1 : next(line, capacity, end, file);
}

char *fgets(char *line, int capacity, FILE *file)
{
    NEXT(char *, fgets, char *, int, FILE *);
    return stream_fails(file) ? NULL : next(line, capacity, file);
}

size_t fread(void *data, size_t size, size_t count, FILE *file)
{
    NEXT(size_t, fread, void *, size_t, size_t, FILE *);
    return stream_fails(file) ? 0 : next(data, size, count, file);
}

#define STAT_OF(name, type)                                                                        \
    int name(const char *path, struct type *about)                                                 \
    {                                                                                              \
        NEXT(int, name, const char *, struct type *);                                              \
        return is_below(path) && fails(STAT) ? -1 : next(path, about);                             \
    }
STAT_OF(stat, stat)
STAT_OF(stat64, stat64)
STAT_OF(lstat, stat)
STAT_OF(lstat64, stat64)

#define FSTAT(name, type)                                                                          \
    int name(int fd, struct type *about)                                                           \
    {                                                                                              \
        NEXT(int, name, int, struct type *);                                                       \
        return is_below_fd(fd) && fails(STAT) ? -1 : next(fd, about);                              \
    }
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)

#define FSTATAT(name, type)                                                                        \
    int name(int at, const char *path, struct type *about, int flags)                              \
    {                                                                                              \
        NEXT(int, name, int, const char *, struct type *, int);                                    \
        return is_below_at(at, path) && fails(STAT) ? -1 : next(at, path, about, flags);           \
    }
FSTATAT(fstatat, stat)
FSTATAT(fstatat64, stat64)

DIR *opendir(const char *path)
{
    NEXT(DIR *, opendir, const char *);
    return is_below(path) && fails(LIST) ? NULL : next(path);
}

DIR *fdopendir(int fd)
{
    NEXT(DIR *, fdopendir, int);
    return is_below_fd(fd) && fails(LIST) ? NULL : next(fd);
}

#define READDIR(name, type)                                                                        \
    struct type *name(DIR *directory)                                                              \
    {                                                                                              \
        NEXT(struct type *, name, DIR *);                                                          \
        return is_below_fd(dirfd(directory)) && fails(ENTRY) ? NULL : next(directory);             \
    }
READDIR(readdir, dirent)
READDIR(readdir64, dirent64)

#define MMAP(name)                                                                                 \
    void *name(void *at, size_t bytes, int use, int flags, int fd, off_t offset)                   \
    {                                                                                              \
        NEXT(void *, name, void *, size_t, int, int, int, off_t);                                  \
        int fatal = fd >= 0 && is_below_fd(fd) && fails(MAP);                                      \
        return fatal ? MAP_FAILED : next(at, bytes, use, flags, fd, offset);                       \
    }
MMAP(mmap)
MMAP(mmap64)

#define OPEN_OF(name)                                                                              \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        NEXT(int, name, const char *, int, ...);                                                   \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;                                 \
        va_end(args);                                                                              \
        int fatal = is_below(path) && fails((flags & O_CREAT) != 0 ? OPEN : LOOK);                 \
        return fatal ? -1 : next(path, flags, mode);                                               \
    }
OPEN_OF(open)
OPEN_OF(open64)

#define OPENAT(name)                                                                               \
    int name(int at, const char *path, int flags, ...)                                             \
    {                                                                                              \
        NEXT(int, name, int, const char *, int, ...);                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;                                 \
        va_end(args);                                                                              \
        int fatal = is_below_at(at, path) && fails((flags & O_CREAT) != 0 ? OPEN : LOOK);          \
        return fatal ? -1 : next(at, path, flags, mode);                                           \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                                \
    FILE *name(const char *path, const char *mode)                                                 \
    {                                                                                              \
        NEXT(FILE *, name, const char *, const char *);                                            \
        int fatal = is_below(path) && fails(mode[0] == 'r' ? LOOK : OPEN);                         \
        return fatal ? NULL : next(path, mode);                                                    \
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
