/* See writer_slot.h. */
#include "store/writer_slot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/philox.h"
#include "store/io.h"

#define PLACE "/dev/shm"
#define POLL_NANOSECONDS 5000000L

/* Whoever had the lock before has removed the name; a file that nobody finds any more locks nothing
 * out. */
static bool has_its_name(const mb_writer_slot_t *slot)
{
    struct stat held, named;
    return fstat(slot->fd, &held) == 0 && lstat(slot->path, &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static mb_status_t try_take(mb_writer_slot_t *slot, bool *taken)
{
    *taken = false;
    slot->fd = open(slot->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (slot->fd < 0)
        return mb_io_error("create", slot->path);
    int result = flock(slot->fd, LOCK_EX | LOCK_NB);
    int error = errno;
    *taken = result == 0 && has_its_name(slot);
    if (*taken)
        return MB_OK;
    close(slot->fd);
    slot->fd = -1;
    errno = error;
    return result == 0 || error == EWOULDBLOCK || error == EINTR ? MB_OK
                                                                 : mb_io_error("lock", slot->path);
}

mb_status_t mb_writer_slot_take(mb_writer_slot_t *slot, const char *key, int rank, int slots,
                                const atomic_bool *cancelled)
{
    const struct timespec pause = {0, POLL_NANOSECONDS};
    bool taken = false;
    snprintf(slot->path, sizeof slot->path, PLACE "/mbrun-%016" PRIx64 "-%d", mb_hash_name(key),
             rank % slots);
    while (true) {
        if (atomic_load(cancelled))
            return mb_error_set(MB_ERR_STOPPED, "writing '%s' was given up", key);
        MB_TRY(try_take(slot, &taken));
        if (taken)
            return MB_OK;
        nanosleep(&pause, NULL);
    }
}

void mb_writer_slot_give(mb_writer_slot_t *slot)
{
    if (slot->fd < 0)
        return;
    unlink(slot->path);
    close(slot->fd);
    slot->fd = -1;
}
