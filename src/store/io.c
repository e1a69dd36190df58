/* Transfers at offsets, syncing and reserving space, in terms of POSIX. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fallocate, sync_file_range */
#endif
#include "store/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/random.h>
#endif
#include "base/philox.h"

/* Linux moves at most 0x7ffff000 bytes a call. */
#define LARGEST_TRANSFER ((size_t)1 << 30)
#define COPY_BYTES ((size_t)1 << 20)

static const char *remedy(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return "; free space there or choose another directory";
    case EFBIG:
        return "; raise the limit on file sizes (ulimit -f) or use a file system without one";
    case EACCES:
    case EPERM:
        return "; check the permissions of the file and its directory";
    case EROFS:
        return "; choose a directory that can be written";
    case ENOENT:
        return "; check the path";
    case ENOTDIR:
        return "; a part of the path is a file, not a directory";
    case EISDIR:
        return "; it is a directory, give a file";
    case EMFILE:
    case ENFILE:
        return "; raise the limit on open files (ulimit -n)";
    case ELOOP:
        return "; it is a symbolic link where a file must stand: remove it";
    default:
        return "";
    }
}

mb_status_t mb_io_error(const char *doing, const char *path)
{
    int error = errno;
    mb_error_set(MB_ERR_IO, "cannot %s '%s': %s%s", doing, path, strerror(error), remedy(error));
    errno = error;
    return MB_ERR_IO;
}

mb_status_t mb_io_read(int fd, void *data, size_t bytes, int64_t offset, const char *path)
{
    char *to = data;
    while (bytes > 0) {
        size_t part = bytes < LARGEST_TRANSFER ? bytes : LARGEST_TRANSFER;
        ssize_t done = pread(fd, to, part, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return mb_io_error("read", path);
        if (done == 0)
            return mb_error_set(MB_ERR_IO,
                                "'%s' ends at byte %" PRId64 ", %zu bytes short: it was cut while "
                                "it was read; copy it again",
                                path, offset, bytes);
        to += done;
        offset += done;
        bytes -= (size_t)done;
    }
    return MB_OK;
}

mb_status_t mb_io_write(int fd, const void *data, size_t bytes, int64_t offset, const char *path)
{
    const char *from = data;
    while (bytes > 0) {
        size_t part = bytes < LARGEST_TRANSFER ? bytes : LARGEST_TRANSFER;
        ssize_t done = pwrite(fd, from, part, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = ENOSPC;
        if (done <= 0)
            return mb_io_error("write", path);
        from += done;
        offset += done;
        bytes -= (size_t)done;
    }
    return MB_OK;
}

mb_status_t mb_io_sync(int fd, const char *path)
{
    while (fsync(fd) != 0) {
        if (errno != EINTR)
            return mb_io_error("write to disk", path);
    }
    return MB_OK;
}

void mb_io_begin_sync(int fd, int64_t offset, size_t bytes)
{
#ifdef __linux__
    int error = errno;
    sync_file_range(fd, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
    errno = error;
#else
    (void)fd, (void)offset, (void)bytes;
#endif
}

mb_status_t mb_io_cut(int fd, int64_t bytes, const char *path)
{
    while (ftruncate(fd, (off_t)bytes) != 0) {
        if (errno != EINTR)
            return mb_io_error("set the length of", path);
    }
    return MB_OK;
}

mb_status_t mb_io_remove(const char *path)
{
    return unlink(path) == 0 || errno == ENOENT ? MB_OK : mb_io_error("remove", path);
}

/* Network file systems report a failed write at close. */
mb_status_t mb_io_close(int *fd, const char *path)
{
    if (*fd < 0)
        return MB_OK;
    int result = close(*fd);
    *fd = -1;
    if (result != 0 && errno != EINTR)
        return mb_io_error("write", path);
    return MB_OK;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

mb_status_t mb_io_sync_parent(const char *path)
{
    char *parent = parent_of(path);
    if (parent == NULL)
        return mb_error_memory("a path", strlen(path));
    mb_status_t status = MB_OK;
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        /* A directory that may be written but not listed cannot be opened. */
        if (errno != EACCES)
            status = mb_io_error("open", parent);
    } else {
        if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EINTR)
            status = mb_io_error("write to disk", parent);
        close(fd);
    }
    free(parent);
    return status;
}

/* Not posix_fallocate: where the file system has no such call, it would write every block. */
mb_status_t mb_io_reserve(int fd, int64_t bytes, const char *path)
{
    if (bytes <= 0)
        return MB_OK;
#ifdef __linux__
    while (fallocate(fd, 0, 0, (off_t)bytes) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
            return MB_OK;
        int error = errno;
        return mb_error_set(MB_ERR_IO, "cannot reserve %" PRId64 " bytes for '%s': %s%s", bytes,
                            path, strerror(error), remedy(error));
    }
#else
    (void)fd;
    (void)path;
#endif
    return MB_OK;
}

static mb_status_t check_regular(int fd, const char *doing, const char *path, int64_t *bytes)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return mb_io_error("look at", path);
    if (S_ISDIR(about.st_mode))
        return mb_error_set(MB_ERR_IO, "cannot %s '%s': it is a directory, give a file", doing,
                            path);
    if (!S_ISREG(about.st_mode))
        return mb_error_set(MB_ERR_IO, "cannot %s '%s': it is not a regular file", doing, path);
    *bytes = (int64_t)about.st_size;
    return MB_OK;
}

/* What was opened is looked at, not the name: that may stand for another file by then. O_NONBLOCK,
 * because opening a pipe would wait for its other end. */
static mb_status_t open_regular(const char *path, int flags, const char *doing, int *fd,
                                int64_t *bytes)
{
    *fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    if (*fd < 0)
        return mb_io_error("open", path);
    mb_status_t status = check_regular(*fd, doing, path, bytes);
    if (status != MB_OK) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

mb_status_t mb_io_open_read(const char *path, int *fd, int64_t *bytes)
{
    return open_regular(path, O_RDONLY, "read", fd, bytes);
}

mb_status_t mb_io_open_own(const char *path, int *fd, int64_t *bytes)
{
    return open_regular(path, O_RDONLY | O_NOFOLLOW, "read", fd, bytes);
}

mb_status_t mb_io_open_update(const char *path, int *fd)
{
    int64_t bytes = 0;
    return open_regular(path, O_RDWR | O_NOFOLLOW, "write", fd, &bytes);
}

mb_status_t mb_io_open_append(const char *path, int *fd)
{
    int64_t bytes = 0;
    return open_regular(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, "write", fd, &bytes);
}

mb_status_t mb_io_size(int fd, const char *path, int64_t *bytes)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return mb_io_error("look at", path);
    *bytes = (int64_t)about.st_size;
    return MB_OK;
}

static mb_status_t open_new(const char *path, mode_t mode, int *fd)
{
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return *fd < 0 ? mb_io_error("create", path) : MB_OK;
}

mb_status_t mb_io_open_new(const char *path, int *fd)
{
    return open_new(path, 0666, fd);
}

mb_status_t mb_io_open_beside(int original, const char *path, int *fd)
{
    struct stat about;
    if (fstat(original, &about) != 0)
        return mb_io_error("look at the original of", path);
    return open_new(path, (about.st_mode & 0666) | 0600, fd);
}

static mb_status_t copy_bytes(int from, int to, int64_t bytes, const char *from_path,
                              const char *to_path)
{
    char *buffer = malloc(COPY_BYTES);
    if (buffer == NULL)
        return mb_error_memory("copying a file", COPY_BYTES);
    mb_status_t status = MB_OK;
    for (int64_t at = 0; at < bytes && status == MB_OK;) {
        size_t part = bytes - at < (int64_t)COPY_BYTES ? (size_t)(bytes - at) : COPY_BYTES;
        status = mb_io_read(from, buffer, part, at, from_path);
        if (status == MB_OK)
            status = mb_io_write(to, buffer, part, at, to_path);
        at += (int64_t)part;
    }
    free(buffer);
    return status;
}

mb_status_t mb_io_copy(const char *from, const char *to)
{
    int in = -1, out = -1;
    int64_t bytes = 0;
    MB_TRY(mb_io_open_read(from, &in, &bytes));
    mb_status_t status = mb_io_open_beside(in, to, &out);
    bool created = status == MB_OK;
    if (status == MB_OK)
        status = mb_io_reserve(out, bytes, to);
    if (status == MB_OK)
        status = copy_bytes(in, out, bytes, from, to);
    close(in);
    mb_status_t closed = mb_io_close(&out, to);
    if (status == MB_OK)
        status = closed;
    if (status != MB_OK && created)
        unlink(to);
    return status;
}

/* Those of one that is open: BYTES of them were there when it was. */
static mb_status_t read_text(int fd, int64_t bytes, size_t limit, const char *path, char **text)
{
    if ((uint64_t)bytes > limit)
        return mb_error_set(MB_ERR_FORMAT, "'%s' has %" PRId64 " bytes, expected at most %zu", path,
                            bytes, limit);
    char *buffer = malloc((size_t)bytes + 1);
    mb_status_t status = buffer == NULL ? mb_error_memory("reading a file", (size_t)bytes)
                                        : mb_io_read(fd, buffer, (size_t)bytes, 0, path);
    if (status != MB_OK) {
        free(buffer);
        return status;
    }
    buffer[bytes] = '\0';
    *text = buffer;
    return MB_OK;
}

static mb_status_t open_text(const char *path, int flags, size_t limit, char **text)
{
    int fd = -1;
    int64_t bytes = 0;
    *text = NULL;
    errno = 0;
    mb_status_t status = open_regular(path, O_RDONLY | flags, "read", &fd, &bytes);
    if (status != MB_OK)
        return errno == ENOENT ? MB_OK : status;
    status = read_text(fd, bytes, limit, path, text);
    close(fd);
    return status;
}

mb_status_t mb_io_read_text(const char *path, size_t limit, char **text)
{
    return open_text(path, 0, limit, text);
}

mb_status_t mb_io_read_own_text(const char *path, size_t limit, char **text)
{
    return open_text(path, O_NOFOLLOW, limit, text);
}

mb_status_t mb_io_replace_text(const char *path, const char *text)
{
    char *temporary = mb_io_temporary_name(path);
    if (temporary == NULL)
        return mb_error_memory("a path", strlen(path));
    int fd = -1;
    mb_status_t status = mb_io_open_new(temporary, &fd);
    bool created = status == MB_OK;
    if (status == MB_OK)
        status = mb_io_write(fd, text, strlen(text), 0, temporary);
    if (status == MB_OK) /* or a crash might leave the name with nothing behind it */
        status = mb_io_sync(fd, temporary);
    mb_status_t closed = mb_io_close(&fd, temporary);
    if (status == MB_OK)
        status = closed;
    if (status == MB_OK && rename(temporary, path) != 0)
        status = mb_io_error("replace", path);
    if (status != MB_OK && created)
        unlink(temporary);
    free(temporary);
    return status;
}

/* Where the kernel gives no random bytes: different for each call, process and host, by the clock,
 * the process and a place in its memory. */
static uint64_t derive_nonce(void)
{
    static _Thread_local uint32_t calls;
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    char text[400];
    snprintf(text, sizeof(text), "%s %ld %lld %ld %u %p", host, (long)getpid(),
             (long long)now.tv_sec, now.tv_nsec, calls++, (void *)&now);
    return mb_hash_name(text);
}

static bool take_random(void *to, size_t bytes)
{
#ifdef __linux__
    if (getrandom(to, bytes, GRND_NONBLOCK) == (ssize_t)bytes)
        return true;
#endif
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool got = fd >= 0 && read(fd, to, bytes) == (ssize_t)bytes;
    if (fd >= 0)
        close(fd);
    return got;
}

/* A name that others could guess would let them take it first. That would be refused, since new
 * files are created exclusively, but the run would not start. */
uint64_t mb_io_nonce(void)
{
    uint64_t nonce = 0;
    int before = errno;
    if (!take_random(&nonce, sizeof nonce))
        nonce = derive_nonce();
    errno = before;
    return nonce;
}

#define SUFFIX ".tmp-"
#define SUFFIX_DIGITS 16

char *mb_io_temporary_name(const char *path)
{
    size_t bytes = strlen(path) + sizeof(SUFFIX) + SUFFIX_DIGITS;
    char *name = malloc(bytes);
    if (name != NULL)
        snprintf(name, bytes, "%s" SUFFIX "%0*" PRIx64, path, SUFFIX_DIGITS, mb_io_nonce());
    return name;
}

bool mb_io_is_temporary(const char *name)
{
    size_t length = strlen(name), tail = strlen(SUFFIX) + SUFFIX_DIGITS;
    if (length <= tail)
        return false;
    const char *suffix = name + length - tail;
    return strncmp(suffix, SUFFIX, strlen(SUFFIX)) == 0 &&
           strspn(suffix + strlen(SUFFIX), "0123456789abcdef") == SUFFIX_DIGITS;
}
