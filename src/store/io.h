/* Bytes in and out of files: interruptions and short transfers are finished, and each failure
 * becomes one message that names the file and the remedy. */
#ifndef MB_STORE_IO_H
#define MB_STORE_IO_H

#include "base/error.h"
#include "base/types.h"

/* From errno: "cannot DOING PATH: reason; what to do". Returns MB_ERR_IO. */
mb_status_t mb_io_error(const char *doing, const char *path);

mb_status_t mb_io_read(int fd, void *data, size_t bytes, int64_t offset, const char *path);
mb_status_t mb_io_write(int fd, const void *data, size_t bytes, int64_t offset, const char *path);
mb_status_t mb_io_sync(int fd, const char *path);
/* Has the system begin with bytes that were written, so that the sync to come finds less to do.
 * Only a hint: it promises nothing, and cannot fail. */
void mb_io_begin_sync(int fd, int64_t offset, size_t bytes);
mb_status_t mb_io_cut(int fd, int64_t bytes, const char *path);
mb_status_t mb_io_close(int *fd, const char *path); /* of a file that was written */
/* One that is not there is no error. */
mb_status_t mb_io_remove(const char *path);
/* The directory entry of PATH, so that a rename lasts. */
mb_status_t mb_io_sync_parent(const char *path);
/* Claims the space of the first BYTES bytes, so that a full disk shows before the work is done. A
 * file system that cannot promise space is not an error. */
mb_status_t mb_io_reserve(int fd, int64_t bytes, const char *path);

/* Opens a regular file for reading, refusing what would block or make no sense. Sets its size. */
mb_status_t mb_io_open_read(const char *path, int *fd, int64_t *bytes);
/* The same of a file that mbrun itself wrote: a link is refused, and so it is by all below. */
mb_status_t mb_io_open_own(const char *path, int *fd, int64_t *bytes);
mb_status_t mb_io_size(int fd, const char *path, int64_t *bytes);
/* A new file; it must not exist. The umask decides who may read it, as of all files. */
mb_status_t mb_io_open_new(const char *path, int *fd);
/* A new file for nobody whom the file open as ORIGINAL is not for. */
mb_status_t mb_io_open_beside(int original, const char *path, int *fd);
mb_status_t mb_io_open_update(const char *path, int *fd);
/* For adding at the end; made where there is none. */
mb_status_t mb_io_open_append(const char *path, int *fd);

/* FROM to the new file TO, for nobody whom FROM is not for. Not synced. */
mb_status_t mb_io_copy(const char *from, const char *to);
/* The whole of a small file, zero-terminated; *text is malloc'ed, NULL when there is no such file.
 */
mb_status_t mb_io_read_text(const char *path, size_t limit, char **text);
mb_status_t mb_io_read_own_text(const char *path, size_t limit, char **text);
/* PATH gets TEXT as a whole or stays as it was. Not synced: for what is of no use once the machine
 * went down. */
mb_status_t mb_io_replace_text(const char *path, const char *text);

/* "PATH.tmp-<16 hexadecimal digits>", malloc'ed: a name nobody else uses or can guess. */
char *mb_io_temporary_name(const char *path);
/* Whether NAME is one that mb_io_temporary_name gives. */
bool mb_io_is_temporary(const char *name);
uint64_t mb_io_nonce(void); /* of the kernel's random bytes */

#endif
