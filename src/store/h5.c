/* HDF5's error stack kept quiet and turned into messages; objects opened by hard links. */
#include "store/h5.h"
#include "store/h5_storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mb_h5_quiet_begin(mb_h5_quiet_t *quiet)
{
    *quiet = (mb_h5_quiet_t){0};
    H5Eget_auto2(H5E_DEFAULT, &quiet->print, &quiet->user);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void mb_h5_quiet_end(const mb_h5_quiet_t *quiet)
{
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, quiet->print, quiet->user);
}

static _Thread_local const char *volatile worked_on;

const char *mb_h5_work_on(const char *path)
{
    const char *before = worked_on;
    worked_on = path;
    return before;
}

const char *mb_h5_works_on(void)
{
    return worked_on;
}

typedef struct {
    char *text;
    size_t capacity;
} reason_t;

/* "file read failed: time = ..., errno = 5, error message = 'Input/output error', buf = ...", over
 * several lines, becomes "file read failed: Input/output error". */
static void shorten(char *text)
{
    static const char mark[] = "error message = '";
    char *colon = strchr(text, ':'), *cause = strstr(text, mark);
    size_t length = cause == NULL ? 0 : strcspn(cause + strlen(mark), "'");
    if (cause != NULL && colon != NULL && colon < cause) {
        memmove(colon + 2, cause + strlen(mark), length);
        colon[1] = ' ';
        colon[2 + length] = '\0';
    }
    for (char *line = strchr(text, '\n'); line != NULL; line = strchr(line, '\n'))
        *line = ' ';
}

/* Walking downward ends at the function that failed first. */
static herr_t keep_reason(unsigned n, const H5E_error2_t *error, void *user)
{
    (void)n;
    reason_t *reason = user;
    if (error->desc != NULL && error->desc[0] != '\0')
        snprintf(reason->text, reason->capacity, "%s", error->desc);
    return 0;
}

const char *mb_h5_reason(char *buffer, size_t capacity)
{
    snprintf(buffer, capacity, "unknown reason");
    reason_t reason = {buffer, capacity};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_reason, &reason);
    shorten(buffer);
    return buffer;
}

mb_status_t mb_h5_error(mb_status_t status, const char *path, const char *doing, const char *object)
{
    char reason[512];
    mb_h5_reason(reason, sizeof(reason));
    return mb_error_set(status, "'%s': cannot %s %s (HDF5: %s)", path, doing, object, reason);
}

void mb_h5_close(hid_t *object)
{
    if (*object < 0)
        return;
    if (H5Iget_type(*object) == H5I_ATTR)
        H5Aclose(*object);
    else
        H5Oclose(*object);
    *object = H5I_INVALID_HID;
}

static const char *type_name(H5I_type_t type)
{
    return type == H5I_GROUP ? "a group" : type == H5I_DATASET ? "a dataset" : "another object";
}

/* One step down; *child stays invalid when there is no such link. */
static mb_status_t open_child(const mb_h5_reader_t *reader, hid_t parent, const char *component,
                              const char *object_path, hid_t *child)
{
    *child = H5I_INVALID_HID;
    if (strcmp(component, ".") == 0)
        return mb_error_set(MB_ERR_FORMAT, "'%s': '%s' is not a path of an HDF5 object",
                            reader->path, object_path);
    htri_t exists = H5Lexists(parent, component, H5P_DEFAULT);
    if (exists == 0)
        return MB_OK;
    H5L_info_t link;
    if (exists < 0 || H5Lget_info(parent, component, &link, H5P_DEFAULT) < 0)
        return mb_h5_error(MB_ERR_FORMAT, reader->path, "look up", object_path);
    if (link.type != H5L_TYPE_HARD)
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': '%s' is reached by %s link, which could name any file; copy the "
                            "data into the model file (h5repack, or save it anew)",
                            reader->path, object_path,
                            link.type == H5L_TYPE_SOFT ? "a soft" : "an external");
    *child = H5Oopen(parent, component, H5P_DEFAULT);
    if (*child < 0)
        return mb_h5_error(MB_ERR_FORMAT, reader->path, "open", object_path);
    return MB_OK;
}

/* Follows the components of a path; *object is invalid when one of them is missing. */
static mb_status_t walk(const mb_h5_reader_t *reader, const char *object_path, char *components,
                        hid_t *object)
{
    char *rest = NULL;
    hid_t at = H5Oopen(reader->file, "/", H5P_DEFAULT);
    if (at < 0)
        return mb_h5_error(MB_ERR_FORMAT, reader->path, "open", "the root group");
    mb_status_t status = MB_OK;
    for (char *component = strtok_r(components, "/", &rest); component != NULL && at >= 0;
         component = strtok_r(NULL, "/", &rest)) {
        hid_t child = H5I_INVALID_HID;
        if (H5Iget_type(at) == H5I_GROUP)
            status = open_child(reader, at, component, object_path, &child);
        H5Oclose(at);
        at = child;
        if (status != MB_OK)
            return status;
    }
    *object = at;
    return MB_OK;
}

mb_status_t mb_h5_open_object(const mb_h5_reader_t *reader, const char *object_path,
                              H5I_type_t type, bool may_miss, hid_t *object)
{
    *object = H5I_INVALID_HID;
    char *components = strdup(object_path);
    if (components == NULL)
        return mb_error_memory("a path", strlen(object_path));
    mb_status_t status = walk(reader, object_path, components, object);
    free(components);
    MB_TRY(status);
    if (*object < 0) {
        if (may_miss)
            return MB_OK;
        return mb_error_set(MB_ERR_FORMAT,
                            "'%s': '%s' is named by the file but is not in it; save the model "
                            "again",
                            reader->path, object_path);
    }
    H5I_type_t found = H5Iget_type(*object);
    if (found == type && type != H5I_DATASET)
        return MB_OK;
    if (found == type)
        status = mb_h5_check_storage(reader->file, *object, reader->path, object_path);
    if (found == type && status == MB_OK)
        return MB_OK;
    mb_h5_close(object);
    MB_TRY(status);
    return mb_error_set(MB_ERR_FORMAT, "'%s': '%s' is %s, expected %s", reader->path, object_path,
                        type_name(found), type_name(type));
}
