/* See keras_archive.h. Stored weights are read where they lie; deflated ones, which Keras does not
 * write but other programs make of its files, are unpacked once into a file without a name. */
#include "store/keras_archive.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/config.h"
#include "store/io.h"

#define LONGEST_TEXT ((int64_t)256 << 20)

static mb_status_t find(const mb_zip_t *zip, const char *name, const mb_zip_member_t **out)
{
    *out = mb_zip_find(zip, name);
    if (*out != NULL)
        return MB_OK;
    if (strcmp(name, MB_ARCHIVE_WEIGHTS) == 0 && mb_zip_find(zip, "model.weights.npz") != NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s' keeps its weights as model.weights.npz; save the model with "
                            "Keras' own model.weights.h5: model.save('model.keras')",
                            zip->path);
    return mb_error_set(MB_ERR_FORMAT,
                        "'%s' is a zip archive but not a model of Keras': it has no %s; save one "
                        "with model.save('model.keras')",
                        zip->path, name);
}

static mb_status_t read_version(const mb_zip_t *zip, mb_arena_t *arena, char **version)
{
    const mb_zip_member_t *member = mb_zip_find(zip, MB_ARCHIVE_METADATA);
    char *text = NULL;
    json_t *metadata = NULL;
    if (member == NULL)
        return MB_OK;
    MB_TRY(mb_zip_read_text(zip, member, LONGEST_TEXT, arena, &text));
    MB_TRY(mb_json_parse(text, (size_t)member->bytes, zip->path, &metadata));
    const char *given = json_string_value(json_object_get(metadata, "keras_version"));
    *version = given == NULL ? NULL : mb_arena_strdup(arena, given);
    bool lost = given != NULL && *version == NULL;
    json_decref(metadata);
    return lost ? mb_error_memory("an archive's version", 0) : MB_OK;
}

static mb_status_t make_unnamed(const char *path, int *fd)
{
    FILE *file = tmpfile();
    *fd = file == NULL ? -1 : fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
    if (file != NULL)
        fclose(file);
    return *fd < 0 ? mb_io_error("make a temporary file to unpack", path) : MB_OK;
}

typedef struct {
    int fd;
    int64_t at;
    const char *path;
} unnamed_t;

static mb_status_t append(void *user, const void *data, size_t bytes)
{
    unnamed_t *to = user;
    MB_TRY(mb_io_write(to->fd, data, bytes, to->at, to->path));
    to->at += (int64_t)bytes;
    return MB_OK;
}

static mb_status_t unpack_weights(const mb_zip_t *zip, const mb_zip_member_t *member,
                                  mb_keras_archive_t *out)
{
    MB_TRY(make_unnamed(zip->path, &out->unpacked));
    unnamed_t to = {.fd = out->unpacked, .path = zip->path};
    out->weights = (mb_h5_part_t){zip->path, out->unpacked, 0, member->bytes};
    return mb_zip_unpack(zip, member, append, &to);
}

static mb_status_t open_weights(const mb_zip_t *zip, bool verify, mb_keras_archive_t *out)
{
    const mb_zip_member_t *member = NULL;
    MB_TRY(find(zip, MB_ARCHIVE_WEIGHTS, &member));
    if (member->deflated)
        return unpack_weights(zip, member, out);
    out->weights = (mb_h5_part_t){zip->path, zip->fd, member->offset, member->bytes};
    return verify ? mb_zip_unpack(zip, member, NULL, NULL) : MB_OK;
}

mb_status_t mb_keras_archive_open(int fd, int64_t bytes, const char *path, bool verify,
                                  mb_arena_t *arena, mb_keras_archive_t *out)
{
    mb_zip_t zip;
    const mb_zip_member_t *config = NULL;
    *out = (mb_keras_archive_t){.unpacked = -1};
    MB_TRY(mb_zip_open(fd, bytes, path, arena, &zip));
    MB_TRY(find(&zip, MB_ARCHIVE_CONFIG, &config));
    MB_TRY(mb_zip_read_text(&zip, config, LONGEST_TEXT, arena, &out->config));
    if (strlen(out->config) != (size_t)config->bytes)
        return mb_error_set(MB_ERR_FORMAT, "'%s': %s holds zeros; copy or save it again", path,
                            MB_ARCHIVE_CONFIG);
    MB_TRY(read_version(&zip, arena, &out->keras_version));
    return open_weights(&zip, verify, out);
}

/* Other archives (of arrays) are none of this. */
static mb_status_t check_members(int fd, int64_t bytes, const char *path, mb_arena_t *arena,
                                 bool *is_archive)
{
    mb_zip_t zip;
    if (arena == NULL)
        return mb_error_memory("an archive's directory", 0);
    MB_TRY(mb_zip_open(fd, bytes, path, arena, &zip));
    *is_archive = mb_zip_find(&zip, MB_ARCHIVE_CONFIG) != NULL;
    for (int i = 0; i < zip.n_members && *is_archive; i++)
        MB_TRY(mb_zip_unpack(&zip, &zip.members[i], NULL, NULL));
    return MB_OK;
}

mb_status_t mb_keras_archive_check(const char *path, bool *is_archive)
{
    unsigned char start[4] = {0};
    int64_t bytes = 0;
    int fd = -1;
    *is_archive = false;
    if (mb_io_open_read(path, &fd, &bytes) != MB_OK)
        return MB_OK;
    if (bytes >= (int64_t)sizeof start && mb_io_read(fd, start, sizeof start, 0, path) == MB_OK)
        *is_archive = mb_zip_begins(start, sizeof start);
    mb_arena_t *arena = mb_arena_create();
    mb_status_t status = *is_archive ? check_members(fd, bytes, path, arena, is_archive) : MB_OK;
    mb_arena_destroy(arena);
    close(fd);
    return status;
}
