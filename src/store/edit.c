/* Settings are changed in a copy, which gets its seal and then its name. Tensor data is only
 * copied: HDF5 adds and moves metadata around it, so the seal's blocks stay and the rest is
 * computed anew. */
#include "store/edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/archive_edit.h"
#include "store/h5_write.h"
#include "store/io.h"
#include "store/seal.h"

static mb_status_t check_key(const char *path, const char *key)
{
    if (key[0] == '\0' || strlen(key) > 255)
        return mb_error_set(MB_ERR_ARGUMENT, "'%s': a setting's name must have 1 to 255 characters",
                            path);
    return MB_OK;
}

static mb_status_t change(const mb_h5_writer_t *h5, int n_settings, const mb_setting_t *settings)
{
    hid_t group = H5I_INVALID_HID;
    MB_TRY(mb_h5_make_group(h5, "/mbrun/run", &group));
    mb_status_t status = MB_OK;
    for (int i = 0; i < n_settings && status == MB_OK; i++) {
        status = check_key(h5->path, settings[i].key);
        if (status != MB_OK)
            break;
        if (settings[i].value == NULL)
            status = mb_h5_remove_attribute(h5, group, settings[i].key);
        else
            status = mb_h5_write_text(h5, group, settings[i].key, settings[i].value);
    }
    H5Gclose(group);
    return status;
}

static mb_status_t change_file(const char *temporary, const char *path, int n_settings,
                               const mb_setting_t *settings)
{
    mb_h5_quiet_t quiet;
    mb_h5_quiet_begin(&quiet);
    mb_h5_writer_t h5;
    mb_status_t status = mb_h5_writer_update(temporary, path, &h5);
    if (status == MB_OK) {
        status = change(&h5, n_settings, settings);
        status = mb_h5_writer_finish(&h5, status);
    }
    mb_h5_quiet_end(&quiet);
    return status;
}

typedef struct {
    int n;
    const mb_setting_t *settings;
} changes_t;

static mb_status_t change_member(void *user, const char *temporary, const char *path)
{
    const changes_t *changes = user;
    return change_file(temporary, path, changes->n, changes->settings);
}

static mb_status_t seal_again(int fd, const char *path, mb_seal_t *seal)
{
    MB_TRY(mb_io_size(fd, path, &seal->file_bytes));
    MB_TRY(mb_seal_rest(fd, seal, path, &seal->rest));
    unsigned char *bytes = NULL;
    MB_TRY(mb_seal_encode(seal, &bytes));
    int64_t data = 0;
    for (int i = 0; i < seal->n_extents; i++)
        data += seal->extents[i].bytes;
    size_t length = (size_t)mb_seal_bytes(seal->n_extents, data);
    mb_status_t status = mb_io_write(fd, bytes, length, seal->offset, path);
    free(bytes);
    return status;
}

static mb_status_t finish(const char *temporary, const char *path, mb_seal_state_t state,
                          mb_seal_t *seal)
{
    int fd = -1;
    MB_TRY(mb_io_open_update(temporary, &fd));
    mb_status_t status = MB_OK;
    if (state == MB_SEAL_HOLDS)
        status = seal_again(fd, temporary, seal);
    if (status == MB_OK)
        status = mb_io_sync(fd, temporary);
    mb_status_t closed = mb_io_close(&fd, temporary);
    MB_TRY(status);
    MB_TRY(closed);
    return rename(temporary, path) != 0 ? mb_io_error("replace", path) : MB_OK;
}

static mb_status_t edit(const char *path, const char *out_path, const char *temporary,
                        int n_settings, const mb_setting_t *settings)
{
    mb_seal_t seal = {0};
    mb_seal_state_t state = MB_SEAL_NONE;
    int64_t bytes = 0;
    int fd = -1;
    MB_TRY(mb_io_copy(path, temporary));
    mb_status_t status = mb_io_open_read(temporary, &fd, &bytes);
    if (status == MB_OK)
        status = mb_seal_check(fd, bytes, path, true, &state, &seal);
    if (fd >= 0)
        close(fd);
    if (status == MB_OK)
        status = change_file(temporary, path, n_settings, settings);
    if (status == MB_OK)
        status = finish(temporary, out_path, state, &seal);
    mb_seal_free(&seal);
    if (status != MB_OK)
        unlink(temporary);
    return status == MB_OK ? mb_io_sync_parent(out_path) : status;
}

/* A link is followed, so that the file it names is replaced and not the link. */
mb_status_t mb_model_file_set_settings(const char *path, const char *out_path, int n_settings,
                                       const mb_setting_t *settings)
{
    mb_model_file_t *file = NULL;
    changes_t changes = {n_settings, settings};
    MB_TRY(mb_model_file_open(path, false, false, &file));
    bool archive = file->archive;
    mb_model_file_close(file);
    char *target = out_path == NULL ? realpath(path, NULL) : strdup(out_path);
    if (target == NULL)
        return mb_io_error("find", path);
    if (archive) {
        mb_status_t edited = mb_archive_edit(path, target, change_member, &changes);
        free(target);
        return edited;
    }
    char *temporary = mb_io_temporary_name(target);
    mb_status_t status = temporary == NULL ? mb_error_memory("a path", strlen(target))
                                           : edit(path, target, temporary, n_settings, settings);
    free(temporary);
    free(target);
    return status;
}
