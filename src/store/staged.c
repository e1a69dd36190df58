/* The commit protocol of DESIGN section 6. */
#include "store/staged.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/io.h"
#include "store/ranks.h"

void mb_staged_discard(mb_staged_t *staged)
{
    if (staged->file.class_ != NULL)
        staged->file.class_->abandon(&staged->file);
    if (staged->created)
        unlink(staged->temporary);
    free(staged->temporary);
    *staged = (mb_staged_t){.file = {.fd = -1}};
}

/* A full disk shows here, before anything is written. */
static mb_status_t try_space(const char *temporary, int64_t expected_bytes, bool *created)
{
    int fd = -1;
    MB_TRY(mb_io_open_new(temporary, &fd));
    *created = true;
    mb_status_t status = mb_io_reserve(fd, expected_bytes, temporary);
    mb_status_t closed = mb_io_close(&fd, temporary);
    return status != MB_OK ? status : closed;
}

static mb_status_t reserve_final(const char *temporary)
{
    struct stat about;
    int fd = -1;
    if (stat(temporary, &about) != 0)
        return mb_io_error("look at", temporary);
    MB_TRY(mb_io_open_update(temporary, &fd));
    mb_status_t status = mb_io_reserve(fd, (int64_t)about.st_size, temporary);
    mb_status_t closed = mb_io_close(&fd, temporary);
    return status != MB_OK ? status : closed;
}

static mb_status_t check_target(const char *path)
{
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        return mb_error_set(MB_ERR_IO, "cannot write '%s': there is a %s of that name", path,
                            S_ISDIR(about.st_mode) ? "directory" : "special file");
    return MB_OK;
}

static mb_status_t create_file(mb_staged_t *staged, int64_t expected_bytes,
                               mb_staged_create_t create, void *user, int64_t *numbers)
{
    MB_TRY(check_target(staged->path));
    staged->temporary = mb_io_temporary_name(staged->path);
    if (staged->temporary == NULL)
        return mb_error_memory("a path", strlen(staged->path));
    MB_TRY(try_space(staged->temporary, expected_bytes, &staged->created));
    MB_TRY(create(user, staged->temporary, numbers));
    return reserve_final(staged->temporary);
}

/* Rank 0's temporary name, whose length the others do not know. */
static mb_status_t share_name(mb_staged_t *staged, int rank)
{
    int64_t length = rank == 0 ? (int64_t)strlen(staged->temporary) : 0;
    MB_TRY(mb_ranks_broadcast(staged->comm, &length, sizeof(length)));
    if (rank != 0) {
        staged->temporary = calloc(1, (size_t)length + 1);
        if (staged->temporary == NULL)
            return mb_error_memory("a path", (size_t)length);
    }
    return mb_ranks_broadcast(staged->comm, staged->temporary, (size_t)length);
}

static mb_status_t begin(mb_staged_t *staged, int64_t expected_bytes, mb_staged_create_t create,
                         void *user, int64_t *numbers, size_t n_numbers)
{
    int rank = mb_ranks_rank(staged->comm);
    mb_status_t status = MB_OK;
    if (rank == 0)
        status = create_file(staged, expected_bytes, create, user, numbers);
    MB_TRY(mb_ranks_agree(staged->comm, status));
    MB_TRY(share_name(staged, rank));
    MB_TRY(mb_ranks_broadcast(staged->comm, numbers, n_numbers * sizeof(*numbers)));
    staged->file.path = staged->temporary;
    status = staged->file.class_->open(&staged->file);
    if (status != MB_OK && rank != 0)
        mb_error_prefix(status,
                        "rank %d does not see the file that rank 0 made (is the directory "
                        "shared?): ",
                        rank);
    return mb_ranks_agree(staged->comm, status);
}

mb_status_t mb_staged_begin(mb_comm_t *comm, const char *path, int64_t expected_bytes,
                            mb_staged_create_t create, void *user, int64_t *numbers,
                            size_t n_numbers, mb_staged_t *staged)
{
    bool by_mpi = staged->io != NULL && staged->io->mpi_io && comm != NULL;
    *staged = (mb_staged_t){.comm = comm,
                            .path = path,
                            .io = staged->io,
                            .file = {.class_ = by_mpi ? &mb_file_mpi : &mb_file_posix,
                                     .comm = comm,
                                     .options = staged->io,
                                     .fd = -1}};
    mb_status_t status = begin(staged, expected_bytes, create, user, numbers, n_numbers);
    if (status != MB_OK)
        mb_staged_discard(staged);
    return status;
}

mb_status_t mb_staged_write(const mb_staged_t *staged, const void *data, size_t bytes,
                            int64_t offset)
{
    return staged->file.class_->write(&staged->file, data, bytes, offset);
}

/* From here on rank 0 alone goes on with the file. */
static mb_status_t end_collective(mb_staged_t *staged, mb_status_t status)
{
    mb_error_message_t kept;
    mb_file_t *file = &staged->file;
    status = file->class_->sync(file, status);
    mb_error_keep(&kept);
    mb_status_t closed = file->class_->close(file);
    if (status != MB_OK)
        mb_error_restore(&kept);
    MB_TRY(status);
    MB_TRY(closed);
    file->class_ = &mb_file_posix;
    return mb_comm_rank(staged->comm) == 0 ? file->class_->open(file) : MB_OK;
}

mb_status_t mb_staged_settle(mb_staged_t *staged, mb_status_t status)
{
    mb_file_t *file = &staged->file;
    if (file->class_->collective)
        return end_collective(staged, status);
    return mb_ranks_rank(staged->comm) == 0 ? status : file->class_->sync(file, status);
}

/* A rank's bytes may stand in the cache of its own node; rank 0's are synced with the commit. */
mb_status_t mb_staged_sync(mb_staged_t *staged, mb_status_t status)
{
    if (status == MB_OK && mb_ranks_rank(staged->comm) != 0)
        status = staged->file.class_->sync(&staged->file, status);
    return mb_ranks_agree(staged->comm, status);
}

mb_status_t mb_staged_publish(mb_staged_t *staged, mb_status_t (*may_commit)(void *), void *user)
{
    MB_TRY(staged->file.class_->sync(&staged->file, MB_OK));
    if (may_commit != NULL)
        MB_TRY(may_commit(user));
    MB_TRY(staged->file.class_->close(&staged->file));
    if (rename(staged->temporary, staged->path) != 0)
        return mb_io_error("replace", staged->path);
    staged->created = false;
    return mb_io_sync_parent(staged->path);
}

mb_status_t mb_staged_commit(mb_staged_t *staged, mb_status_t status)
{
    mb_comm_t *comm = staged->comm;
    if (status == MB_OK && mb_ranks_rank(comm) == 0)
        status = mb_staged_publish(staged, NULL, NULL);
    mb_staged_discard(staged);
    return mb_ranks_agree(comm, status);
}
