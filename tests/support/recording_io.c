/* Preloaded into a program (LD_PRELOAD), records what it does to files below one directory: every
 * creation, write, truncation, reservation, sync, rename, link and removal, with its data, by every
 * rank and thread, in one order. The environment says what:
 *
 *     MB_RECORD_DIR    the directory, absolute and without symbolic links
 *     MB_RECORD_LOG    the record (io_record.h), which all processes append to; outside of it
 *
 * A call is made and recorded under one lock, so the record has the order in which they really were
 * made. What stdio writes cannot be seen inside the C library: before and after each call, a
 * stream's file is looked at, and what it has grown by is recorded as a write. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "support/interposed.h"
#include "support/io_record.h"

enum { MOST_STREAMS = 64 };

typedef struct {
    FILE *file;
    int reader; /* the same file, open for reading */
    off_t seen; /* bytes that are in the record */
} stream_t;

static pthread_mutex_t within = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;
static stream_t streams[MOST_STREAMS];

static void put(const void *data, size_t bytes)
{
    for (const char *from = data; bytes > 0;) {
        long done = syscall(SYS_write, record, from, bytes);
        if (done <= 0)
            abort(); /* a record with a hole proves nothing */
        from += done;
        bytes -= (size_t)done;
    }
}

static const char *relative(const char *path)
{
    size_t length = strlen(watched);
    return strncmp(path, watched, length) == 0 ? path + length : "";
}

static void note(io_head_t head, const char *path, const char *to, const void *data)
{
    head.rank = own_rank();
    head.path_bytes = path == NULL ? 0 : (uint32_t)strlen(path);
    head.to_bytes = to == NULL ? 0 : (uint32_t)strlen(to);
    put(&head, sizeof head);
    put(path, head.path_bytes);
    put(to, head.to_bytes);
    put(data, head.bytes);
}

static uint64_t file_of(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 ? (uint64_t)about.st_ino : 0;
}

static void note_write(int fd, off_t offset, const void *data, size_t bytes)
{
    note((io_head_t){.kind = IO_WRITE, .file = file_of(fd), .offset = offset, .bytes = bytes}, NULL,
         NULL, data);
}

/* What a stream has written since it was last looked at. */
static void look_at(stream_t *stream)
{
    char data[65536];
    ssize_t got;
    while ((got = pread(stream->reader, data, sizeof data, stream->seen)) > 0) {
        note_write(stream->reader, stream->seen, data, (size_t)got);
        stream->seen += got;
    }
}

static void look_at_streams(void)
{
    for (int i = 0; i < MOST_STREAMS; i++) {
        if (streams[i].file != NULL)
            look_at(&streams[i]);
    }
}

static void lock_record(short how)
{
    struct flock lock = {.l_type = how, .l_whence = SEEK_SET};
    while (fcntl(record, F_SETLKW, &lock) != 0) {
        if (errno != EINTR)
            abort();
    }
}

static void enter(void)
{
    pthread_mutex_lock(&within);
    lock_record(F_WRLCK);
    look_at_streams();
}

static void leave(void)
{
    int error = errno;
    look_at_streams();
    lock_record(F_UNLCK);
    pthread_mutex_unlock(&within);
    errno = error;
}

__attribute__((constructor)) static void begin(void)
{
    const char *directory = getenv("MB_RECORD_DIR"), *log = getenv("MB_RECORD_LOG");
    unsetenv("LD_PRELOAD"); /* what the program starts, MPI's helpers above all, is not meant */
    if (directory == NULL || log == NULL)
        return;
    record = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (record < 0)
        return;
    enter();
    note((io_head_t){.kind = IO_ROOT}, directory, NULL, NULL);
    leave();
    watch(directory);
}

__attribute__((destructor)) static void end(void)
{
    if (watched[0] == '\0')
        return;
    enter();
    leave();
}

static void track(FILE *file)
{
    char path[64];
    struct stat about;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
    for (int i = 0; i < MOST_STREAMS; i++) {
        if (streams[i].file != NULL)
            continue;
        int reader = open(path, O_RDONLY | O_CLOEXEC);
        if (reader < 0 || fstat(reader, &about) != 0)
            abort();
        streams[i] = (stream_t){file, reader, about.st_size};
        return;
    }
    abort();
}

static void note_open(int fd, const char *path, int existed, int emptied)
{
    uint64_t file = file_of(fd);
    note((io_head_t){.kind = existed ? IO_OPEN : IO_CREATE, .file = file}, relative(path), NULL,
         NULL);
    if (existed && emptied)
        note((io_head_t){.kind = IO_TRUNCATE, .file = file}, NULL, NULL, NULL);
}

#define PWRITE(name)                                                                               \
    ssize_t name(int fd, const void *data, size_t bytes, off_t offset)                             \
    {                                                                                              \
        NEXT(ssize_t, name, int, const void *, size_t, off_t);                                     \
        if (!is_below_fd(fd))                                                                      \
            return next(fd, data, bytes, offset);                                                  \
        enter();                                                                                   \
        ssize_t done = next(fd, data, bytes, offset);                                              \
        if (done > 0)                                                                              \
            note_write(fd, offset, data, (size_t)done);                                            \
        leave();                                                                                   \
        return done;                                                                               \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

/* Where a write without an offset has put its DONE bytes. */
static off_t place_of_last(int fd, ssize_t done)
{
    return lseek(fd, 0, SEEK_CUR) - done;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    NEXT(ssize_t, write, int, const void *, size_t);
    if (!is_below_fd(fd))
        return next(fd, data, bytes);
    enter();
    ssize_t done = next(fd, data, bytes);
    if (done > 0)
        note_write(fd, place_of_last(fd, done), data, (size_t)done);
    leave();
    return done;
}

static void note_parts(int fd, off_t offset, const struct iovec *parts, int n, ssize_t done)
{
    for (int i = 0; i < n && done > 0; i++) {
        size_t bytes = (size_t)done < parts[i].iov_len ? (size_t)done : parts[i].iov_len;
        note_write(fd, offset, parts[i].iov_base, bytes);
        offset += (off_t)bytes;
        done -= (ssize_t)bytes;
    }
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    NEXT(ssize_t, writev, int, const struct iovec *, int);
    if (!is_below_fd(fd))
        return next(fd, parts, n);
    enter();
    ssize_t done = next(fd, parts, n);
    if (done > 0)
        note_parts(fd, place_of_last(fd, done), parts, n, done);
    leave();
    return done;
}

#define PWRITEV(name)                                                                              \
    ssize_t name(int fd, const struct iovec *parts, int n, off_t offset)                           \
    {                                                                                              \
        NEXT(ssize_t, name, int, const struct iovec *, int, off_t);                                \
        if (!is_below_fd(fd))                                                                      \
            return next(fd, parts, n, offset);                                                     \
        enter();                                                                                   \
        ssize_t done = next(fd, parts, n, offset);                                                 \
        note_parts(fd, offset, parts, n, done);                                                    \
        leave();                                                                                   \
        return done;                                                                               \
    }
PWRITEV(pwritev)
PWRITEV(pwritev64)

static void note_sync(int fd)
{
    char path[PATH_MAX];
    struct stat about;
    path_of_fd(fd, path);
    if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode))
        note((io_head_t){.kind = IO_SYNC_DIRECTORY}, relative(path), NULL, NULL);
    else
        note((io_head_t){.kind = IO_SYNC, .file = file_of(fd)}, NULL, NULL, NULL);
}

#define SYNC_OF(name)                                                                              \
    int name(int fd)                                                                               \
    {                                                                                              \
        NEXT(int, name, int);                                                                      \
        if (!is_below_fd(fd))                                                                      \
            return next(fd);                                                                       \
        enter();                                                                                   \
        int result = next(fd);                                                                     \
        if (result == 0)                                                                           \
            note_sync(fd);                                                                         \
        leave();                                                                                   \
        return result;                                                                             \
    }
SYNC_OF(fsync)
SYNC_OF(fdatasync)

#define FTRUNCATE(name)                                                                            \
    int name(int fd, off_t bytes)                                                                  \
    {                                                                                              \
        NEXT(int, name, int, off_t);                                                               \
        if (!is_below_fd(fd))                                                                      \
            return next(fd, bytes);                                                                \
        enter();                                                                                   \
        int result = next(fd, bytes);                                                              \
        if (result == 0)                                                                           \
            note((io_head_t){.kind = IO_TRUNCATE, .file = file_of(fd), .offset = bytes}, NULL,     \
                 NULL, NULL);                                                                      \
        leave();                                                                                   \
        return result;                                                                             \
    }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

static void note_reserve(int fd, off_t end)
{
    note((io_head_t){.kind = IO_RESERVE, .file = file_of(fd), .offset = end}, NULL, NULL, NULL);
}

#define FALLOCATE(name)                                                                            \
    int name(int fd, int mode, off_t from, off_t bytes)                                            \
    {                                                                                              \
        NEXT(int, name, int, int, off_t, off_t);                                                   \
        if (!is_below_fd(fd))                                                                      \
            return next(fd, mode, from, bytes);                                                    \
        enter();                                                                                   \
        int result = next(fd, mode, from, bytes);                                                  \
        if (result == 0 && mode == 0)                                                              \
            note_reserve(fd, from + bytes);                                                        \
        leave();                                                                                   \
        return result;                                                                             \
    }
FALLOCATE(fallocate)
FALLOCATE(fallocate64)

#define POSIX_FALLOCATE(name)                                                                      \
    int name(int fd, off_t from, off_t bytes)                                                      \
    {                                                                                              \
        NEXT(int, name, int, off_t, off_t);                                                        \
        if (!is_below_fd(fd))                                                                      \
            return next(fd, from, bytes);                                                          \
        enter();                                                                                   \
        int result = next(fd, from, bytes);                                                        \
        if (result == 0)                                                                           \
            note_reserve(fd, from + bytes);                                                        \
        leave();                                                                                   \
        return result;                                                                             \
    }
POSIX_FALLOCATE(posix_fallocate)
POSIX_FALLOCATE(posix_fallocate64)

static void note_names(io_kind_t kind, int from_at, const char *from, int to_at, const char *to)
{
    char whole[PATH_MAX], whole_to[PATH_MAX];
    whole_path(from_at, from, whole);
    if (to != NULL)
        whole_path(to_at, to, whole_to);
    note((io_head_t){.kind = kind}, relative(whole), to == NULL ? NULL : relative(whole_to), NULL);
}

#define NAMES(kind, name, parameters, types, arguments, at, from, to_at, to)                       \
    int name parameters                                                                            \
    {                                                                                              \
        NEXT(int, name, types);                                                                    \
        if (!is_below_at(at, from))                                                                \
            return next arguments;                                                                 \
        enter();                                                                                   \
        int result = next arguments;                                                               \
        if (result == 0)                                                                           \
            note_names(kind, at, from, to_at, to);                                                 \
        leave();                                                                                   \
        return result;                                                                             \
    }
#define TYPES(...) __VA_ARGS__
#define HERE AT_FDCWD
NAMES(IO_RENAME, rename, (const char *a, const char *b), TYPES(const char *, const char *), (a, b),
      HERE, a, HERE, b)
NAMES(IO_RENAME, renameat, (int x, const char *a, int y, const char *b),
      TYPES(int, const char *, int, const char *), (x, a, y, b), x, a, y, b)
NAMES(IO_LINK, link, (const char *a, const char *b), TYPES(const char *, const char *), (a, b),
      HERE, a, HERE, b)
NAMES(IO_LINK, linkat, (int x, const char *a, int y, const char *b, int flags),
      TYPES(int, const char *, int, const char *, int), (x, a, y, b, flags), x, a, y, b)
NAMES(IO_UNLINK, unlink, (const char *a), TYPES(const char *), (a), HERE, a, HERE, NULL)
NAMES(IO_UNLINK, unlinkat, (int x, const char *a, int flags), TYPES(int, const char *, int),
      (x, a, flags), x, a, HERE, NULL)
NAMES(IO_UNLINK, remove, (const char *a), TYPES(const char *), (a), HERE, a, HERE, NULL)
NAMES(IO_UNLINK, rmdir, (const char *a), TYPES(const char *), (a), HERE, a, HERE, NULL)
NAMES(IO_MAKE_DIRECTORY, mkdir, (const char *a, mode_t mode), TYPES(const char *, mode_t),
      (a, mode), HERE, a, HERE, NULL)
NAMES(IO_MAKE_DIRECTORY, mkdirat, (int x, const char *a, mode_t mode),
      TYPES(int, const char *, mode_t), (x, a, mode), x, a, HERE, NULL)

static int writes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
}

static int exists(const char *whole)
{
    return access(whole, F_OK) == 0;
}

#define OPEN(name, first, types, arguments, at)                                                    \
    int name(first const char *path, int flags, ...)                                               \
    {                                                                                              \
        char whole[PATH_MAX];                                                                      \
        NEXT(int, name, types);                                                                    \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;                                 \
        va_end(args);                                                                              \
        if (!writes(flags) || !is_below_at(at, path))                                              \
            return next arguments;                                                                 \
        whole_path(at, path, whole);                                                               \
        enter();                                                                                   \
        int existed = exists(whole), fd = next arguments;                                          \
        if (fd >= 0)                                                                               \
            note_open(fd, whole, existed, flags &O_TRUNC);                                         \
        leave();                                                                                   \
        return fd;                                                                                 \
    }
#define NOTHING
#define DIRECTORY int directory,
OPEN(open, NOTHING, TYPES(const char *, int, ...), (path, flags, mode), AT_FDCWD)
OPEN(open64, NOTHING, TYPES(const char *, int, ...), (path, flags, mode), AT_FDCWD)
OPEN(openat, DIRECTORY, TYPES(int, const char *, int, ...), (directory, path, flags, mode),
     directory)
OPEN(openat64, DIRECTORY, TYPES(int, const char *, int, ...), (directory, path, flags, mode),
     directory)

#define FOPEN(name)                                                                                \
    FILE *name(const char *path, const char *mode)                                                 \
    {                                                                                              \
        char whole[PATH_MAX];                                                                      \
        NEXT(FILE *, name, const char *, const char *);                                            \
        if (mode[0] == 'r' || !is_below(path))                                                     \
            return next(path, mode);                                                               \
        whole_path(AT_FDCWD, path, whole);                                                         \
        enter();                                                                                   \
        int existed = exists(whole);                                                               \
        FILE *file = next(path, mode);                                                             \
        if (file != NULL) {                                                                        \
            note_open(fileno(file), whole, existed, mode[0] == 'w');                               \
            track(file);                                                                           \
        }                                                                                          \
        leave();                                                                                   \
        return file;                                                                               \
    }
FOPEN(fopen)
FOPEN(fopen64)

FILE *fdopen(int fd, const char *mode)
{
    NEXT(FILE *, fdopen, int, const char *);
    FILE *file = next(fd, mode);
    if (file == NULL || mode[0] == 'r' || !is_below_fd(fd))
        return file;
    enter();
    track(file);
    leave();
    return file;
}

int fflush(FILE *file)
{
    NEXT(int, fflush, FILE *);
    if (watched[0] == '\0')
        return next(file);
    enter();
    int result = next(file);
    leave();
    return result;
}

static stream_t *stream_of(const FILE *file)
{
    for (int i = 0; i < MOST_STREAMS; i++) {
        if (streams[i].file == file)
            return &streams[i];
    }
    return NULL;
}

int fclose(FILE *file)
{
    NEXT(int, fclose, FILE *);
    if (watched[0] == '\0')
        return next(file);
    enter();
    stream_t *stream = stream_of(file);
    int result = next(file);
    if (stream != NULL) {
        look_at(stream);
        close(stream->reader);
        stream->file = NULL;
    }
    leave();
    return result;
}
