/* A file that several ranks write and that appears under its name only when it is complete.
 *
 *     begin    rank 0 lays the file out under a temporary name beside PATH; every rank opens it
 *     write    any rank, any bytes
 *     sync     every rank's bytes reach the disk
 *     commit   rank 0 renames it to PATH; or, after a failure on any rank, removes it
 *
 * All but write are collective; comm NULL is one process alone. */
#ifndef MB_STORE_STAGED_H
#define MB_STORE_STAGED_H

#include "store/file.h"

typedef struct {
    mb_comm_t *comm;
    const char *path; /* the caller's, for as long as the file is staged */
    char *temporary;
    bool created; /* rank 0: there is something to remove */
    mb_io_options_t
        *io; /* how it is written; set before the beginning, NULL: by each rank itself */
    mb_file_t file;
} mb_staged_t;

/* Rank 0 only: creates the file TEMPORARY and fills NUMBERS, which all ranks get. */
typedef mb_status_t (*mb_staged_create_t)(void *user, const char *temporary, int64_t *numbers);

mb_status_t mb_staged_begin(mb_comm_t *comm, const char *path, int64_t expected_bytes,
                            mb_staged_create_t create, void *user, int64_t *numbers,
                            size_t n_numbers, mb_staged_t *staged);
mb_status_t mb_staged_write(const mb_staged_t *staged, const void *data, size_t bytes,
                            int64_t offset);
/* The end of this rank's writes, which came to STATUS: they are on disk, rank 0's with the commit.
 * Not collective and for any thread; but where IO says MPI-IO, and then the memory of what was
 * written must stand until here. Rank 0 can still write. */
mb_status_t mb_staged_settle(mb_staged_t *staged, mb_status_t status);
/* STATUS: of this rank's writes. The descriptor stays open. Not for MPI-IO. */
mb_status_t mb_staged_sync(mb_staged_t *staged, mb_status_t status);
/* Rank 0's part of a commit, which any thread may do: what was written is on disk, MAY_COMMIT
 * (NULL: nobody) agrees, the file gets its name. Not collective. */
mb_status_t mb_staged_publish(mb_staged_t *staged, mb_status_t (*may_commit)(void *), void *user);
/* STATUS: of what this rank did since. Frees. */
mb_status_t mb_staged_commit(mb_staged_t *staged, mb_status_t status);
/* Gives up without talking to anyone. Frees. Harmless after a failed begin or a commit. */
void mb_staged_discard(mb_staged_t *staged);

#endif
