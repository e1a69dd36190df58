/* See archive_edit.h. */
#include "store/archive_edit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/io.h"
#include "store/keras_archive.h"
#include "store/zip_write.h"

#define LONGEST_MEMBER ((int64_t)1 << 30)

typedef struct {
    int fd;
    int64_t at;
    const char *path;
} sink_t;

static mb_status_t append(void *user, const void *data, size_t bytes)
{
    sink_t *to = user;
    MB_TRY(mb_io_write(to->fd, data, bytes, to->at, to->path));
    to->at += (int64_t)bytes;
    return MB_OK;
}

static mb_status_t unpack_to(const mb_zip_t *zip, const mb_zip_member_t *member,
                             const char *temporary)
{
    sink_t to = {.fd = -1, .path = temporary};
    MB_TRY(mb_io_open_beside(zip->fd, temporary, &to.fd));
    mb_status_t status = mb_zip_unpack(zip, member, append, &to);
    mb_status_t closed = mb_io_close(&to.fd, temporary);
    return status == MB_OK ? closed : status;
}

/* Every member but the weights is kept in memory. */
static mb_status_t take_members(const mb_zip_t *zip, const char *weights, mb_arena_t *arena,
                                mb_zip_source_t *members)
{
    bool found = false;
    for (int i = 0; i < zip->n_members; i++) {
        const mb_zip_member_t *member = &zip->members[i];
        char *data = NULL;
        members[i] = (mb_zip_source_t){.name = member->name};
        if (strcmp(member->name, MB_ARCHIVE_WEIGHTS) == 0) {
            MB_TRY(unpack_to(zip, member, weights));
            members[i].path = weights;
            found = true;
            continue;
        }
        MB_TRY(mb_zip_read_text(zip, member, LONGEST_MEMBER, arena, &data));
        members[i].data = data;
        members[i].bytes = (size_t)member->bytes;
    }
    return found ? MB_OK
                 : mb_error_set(MB_ERR_FORMAT, "'%s' has no %s", zip->path, MB_ARCHIVE_WEIGHTS);
}

static mb_status_t edit(const char *path, const char *out_path, const char *temporary, int fd,
                        int64_t bytes, mb_arena_t *arena, mb_archive_change_t change, void *user)
{
    mb_zip_t zip;
    if (arena == NULL)
        return mb_error_memory("an archive", 0);
    MB_TRY(mb_zip_open(fd, bytes, path, arena, &zip));
    mb_zip_source_t *members = MB_ARENA_ARRAY(arena, mb_zip_source_t, zip.n_members + 1);
    if (members == NULL)
        return mb_error_memory("an archive", 0);
    MB_TRY(take_members(&zip, temporary, arena, members));
    MB_TRY(change(user, temporary, path));
    return mb_zip_write_beside(fd, out_path, members, zip.n_members);
}

mb_status_t mb_archive_edit(const char *path, const char *out_path, mb_archive_change_t change,
                            void *user)
{
    int64_t bytes = 0;
    int fd = -1;
    char *temporary = mb_io_temporary_name(out_path);
    if (temporary == NULL)
        return mb_error_memory("a path", strlen(out_path));
    mb_arena_t *arena = mb_arena_create();
    mb_status_t status = mb_io_open_read(path, &fd, &bytes);
    if (status == MB_OK)
        status = edit(path, out_path, temporary, fd, bytes, arena, change, user);
    if (fd >= 0)
        close(fd);
    unlink(temporary);
    free(temporary);
    mb_arena_destroy(arena);
    return status;
}
