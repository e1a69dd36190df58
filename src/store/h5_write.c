/* Groups, datasets and attributes for h5_write.h. */
#include "store/h5_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Larger objects begin on a page, so that ranks' pieces meet on pages; smaller ones stay packed. */
#define ALIGNED_BYTES 65536
#define ALIGNMENT 4096
/* Where data stands apart, the rest stands together. */
#define METADATA_BLOCK_BYTES 65536
/* Keras' limit on the bytes of one attribute. */
#define ATTRIBUTE_LIMIT 64512
/* Up to this many attributes stay in an object's header, which is smaller than HDF5's own index. */
#define COMPACT_ATTRIBUTES 32
#define DEFLATE_LEVEL 6 /* told to readers; the bytes come from elsewhere */

static mb_status_t fail(const mb_h5_writer_t *writer, const char *doing, const char *object)
{
    return mb_h5_error(MB_ERR_IO, writer->path, doing, object);
}

static hid_t file_access(mb_h5_image_t *image, bool spread)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 2)
    H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
#else
    H5Pset_libver_bounds(list, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
#endif
    if (spread)
        H5Pset_meta_block_size(list, METADATA_BLOCK_BYTES);
    else
        H5Pset_alignment(list, ALIGNED_BYTES, ALIGNMENT);
    if (list >= 0 && !mb_h5_image_use(image, list)) {
        H5Pclose(list);
        return H5I_INVALID_HID;
    }
    return list;
}

static mb_status_t make_lists(mb_h5_writer_t *writer)
{
    writer->group_list = H5Pcreate(H5P_GROUP_CREATE);
    writer->dataset_list = H5Pcreate(H5P_DATASET_CREATE);
    if (writer->group_list < 0 || writer->dataset_list < 0 ||
        H5Pset_obj_track_times(writer->group_list, false) < 0 ||
        H5Pset_obj_track_times(writer->dataset_list, false) < 0 ||
        H5Pset_attr_phase_change(writer->group_list, COMPACT_ATTRIBUTES, 0) < 0 ||
        H5Pset_attr_phase_change(writer->dataset_list, COMPACT_ATTRIBUTES, 0) < 0 ||
        H5Pset_alloc_time(writer->dataset_list, H5D_ALLOC_TIME_EARLY) < 0 ||
        H5Pset_fill_time(writer->dataset_list, H5D_FILL_TIME_NEVER) < 0)
        return fail(writer, "prepare", "the file");
    return MB_OK;
}

static bool close_file(mb_h5_writer_t *writer)
{
    if (writer->group_list >= 0)
        H5Pclose(writer->group_list);
    if (writer->dataset_list >= 0)
        H5Pclose(writer->dataset_list);
    bool closed = writer->file < 0 || H5Fclose(writer->file) >= 0;
    writer->file = writer->group_list = writer->dataset_list = H5I_INVALID_HID;
    return closed;
}

mb_status_t mb_h5_writer_keep(mb_h5_writer_t *writer, mb_status_t status, mb_h5_image_t **image)
{
    bool closed = close_file(writer);
    if (status == MB_OK && !closed)
        status = fail(writer, "write", "the file's layout");
    if (status == MB_OK)
        status = mb_h5_image_save(writer->image);
    if (status != MB_OK)
        mb_h5_image_free(writer->image);
    *image = status == MB_OK ? writer->image : NULL;
    writer->image = NULL;
    return status;
}

mb_status_t mb_h5_writer_finish(mb_h5_writer_t *writer, mb_status_t status)
{
    mb_h5_image_t *image;
    status = mb_h5_writer_keep(writer, status, &image);
    mb_h5_image_free(image);
    return status;
}

static mb_status_t create_file(mb_h5_writer_t *writer, bool spread)
{
    hid_t access = file_access(writer->image, spread), creation = H5Pcreate(H5P_FILE_CREATE);
    if (access >= 0 && creation >= 0 && H5Pset_obj_track_times(creation, false) >= 0)
        writer->file = H5Fcreate(writer->path, H5F_ACC_TRUNC, creation, access);
    mb_status_t status = mb_h5_image_failed(writer->image);
    if (status == MB_OK && writer->file < 0)
        status = fail(writer, "create", "the file");
    H5Pclose(creation);
    H5Pclose(access);
    return status;
}

static mb_status_t open_file(mb_h5_writer_t *writer)
{
    hid_t access = file_access(writer->image, false);
    if (access >= 0)
        writer->file = H5Fopen(writer->path, H5F_ACC_RDWR, access);
    mb_status_t status = writer->file < 0 ? fail(writer, "open", "the file as HDF5") : MB_OK;
    H5Pclose(access);
    return status;
}

static mb_h5_writer_t writer_of(mb_h5_image_t *image, const char *path)
{
    return (mb_h5_writer_t){.path = path,
                            .image = image,
                            .file = H5I_INVALID_HID,
                            .group_list = H5I_INVALID_HID,
                            .dataset_list = H5I_INVALID_HID};
}

/* STATUS: of the file that was opened. */
static mb_status_t prepare(mb_h5_writer_t *writer, mb_status_t status)
{
    if (status == MB_OK)
        status = make_lists(writer);
    return status == MB_OK ? MB_OK : mb_h5_writer_finish(writer, status);
}

/* SPREAD > 0: data stands apart, as in mb_h5_image_spread. */
static mb_status_t begin(const char *at, const char *path, bool fresh, int64_t spread,
                         mb_h5_writer_t *writer)
{
    *writer = writer_of(NULL, path);
    MB_TRY(mb_h5_image_open(at, fresh, &writer->image));
    mb_h5_image_spread(writer->image, spread);
    return prepare(writer, fresh ? create_file(writer, spread > 0) : open_file(writer));
}

mb_status_t mb_h5_writer_reuse(mb_h5_image_t *image, const char *create_at, const char *path,
                               mb_h5_writer_t *writer)
{
    *writer = writer_of(image, path);
    mb_status_t status = mb_h5_image_move(image, create_at);
    return prepare(writer, status == MB_OK ? open_file(writer) : status);
}

mb_status_t mb_h5_writer_create(const char *create_at, const char *path, mb_h5_writer_t *writer)
{
    return begin(create_at, path, true, 0, writer);
}

mb_status_t mb_h5_writer_create_spread(const char *create_at, const char *path, int64_t align,
                                       mb_h5_writer_t *writer)
{
    return begin(create_at, path, true, align, writer);
}

mb_status_t mb_h5_writer_update(const char *open_at, const char *path, mb_h5_writer_t *writer)
{
    return begin(open_at, path, false, 0, writer);
}

static mb_status_t open_or_create(const mb_h5_writer_t *writer, hid_t parent, const char *component,
                                  const char *path, hid_t *group)
{
    *group = H5I_INVALID_HID;
    if (component[0] == '\0' || strcmp(component, ".") == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "'%s': '%s' cannot be a path in an HDF5 file",
                            writer->path, path);
    htri_t exists = H5Lexists(parent, component, H5P_DEFAULT);
    if (exists > 0)
        *group = H5Gopen2(parent, component, H5P_DEFAULT);
    else if (exists == 0)
        *group = H5Gcreate2(parent, component, H5P_DEFAULT, writer->group_list, H5P_DEFAULT);
    return *group < 0 ? fail(writer, "create the group", path) : MB_OK;
}

/* Cuts COMPONENTS at slashes. Not strtok, which would let an empty component pass. */
static mb_status_t make_groups(const mb_h5_writer_t *writer, const char *path, char *components,
                               hid_t *group)
{
    hid_t at = H5Gopen2(writer->file, "/", H5P_DEFAULT);
    if (at < 0)
        return fail(writer, "open", "the root group");
    for (char *next = components; next != NULL;) {
        char *component = next;
        next = strchr(component, '/');
        if (next != NULL)
            *next++ = '\0';
        hid_t child;
        mb_status_t status = open_or_create(writer, at, component, path, &child);
        H5Gclose(at);
        MB_TRY(status);
        at = child;
    }
    *group = at;
    return MB_OK;
}

mb_status_t mb_h5_make_group(const mb_h5_writer_t *writer, const char *path, hid_t *group)
{
    char *components = strdup(path[0] == '/' ? path + 1 : path);
    if (components == NULL)
        return mb_error_memory("a path", strlen(path));
    hid_t made = H5I_INVALID_HID;
    mb_status_t status = make_groups(writer, path, components, &made);
    free(components);
    MB_TRY(status);
    if (group != NULL)
        *group = made;
    else
        H5Gclose(made);
    return MB_OK;
}

static hid_t make_space(const mb_shape_t *shape)
{
    hsize_t dims[MB_MAX_RANK];
    for (int i = 0; i < shape->rank; i++)
        dims[i] = (hsize_t)shape->dim[i];
    return shape->rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(shape->rank, dims, NULL);
}

/* Makes the groups above PATH and an empty dataset there. */
static mb_status_t create_with(const mb_h5_writer_t *writer, const char *path, hid_t type,
                               const mb_shape_t *shape, hid_t list, hid_t *dataset)
{
    const char *slash = strrchr(path, '/');
    *dataset = H5I_INVALID_HID;
    if (slash == NULL || slash[1] == '\0' || strcmp(slash, "/.") == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "'%s': '%s' cannot be a path in an HDF5 file",
                            writer->path, path);
    if (slash != path) {
        char *above = strndup(path, (size_t)(slash - path));
        if (above == NULL)
            return mb_error_memory("a path", strlen(path));
        mb_status_t status = mb_h5_make_group(writer, above, NULL);
        free(above);
        MB_TRY(status);
    }
    hid_t space = make_space(shape);
    if (space >= 0)
        *dataset = H5Dcreate2(writer->file, path, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (space >= 0)
        H5Sclose(space);
    return *dataset < 0 ? fail(writer, "create the dataset", path) : MB_OK;
}

static mb_status_t create_dataset(const mb_h5_writer_t *writer, const char *path, hid_t type,
                                  const mb_shape_t *shape, hid_t *dataset)
{
    return create_with(writer, path, type, shape, writer->dataset_list, dataset);
}

mb_status_t mb_h5_make_dataset(const mb_h5_writer_t *writer, const char *path, hid_t type,
                               const mb_shape_t *shape, int64_t *offset)
{
    hid_t dataset;
    *offset = -1;
    MB_TRY(create_dataset(writer, path, type, shape, &dataset));
    haddr_t at = H5Dget_offset(dataset);
    if (at != HADDR_UNDEF)
        *offset = (int64_t)at;
    H5Dclose(dataset);
    if (*offset < 0 && mb_shape_elements(shape) > 0)
        return fail(writer, "find the place of", path);
    return MB_OK;
}

static hid_t packed_list(const mb_h5_writer_t *writer, const mb_shape_t *shape)
{
    hsize_t chunk[MB_MAX_RANK];
    for (int i = 0; i < shape->rank; i++)
        chunk[i] = (hsize_t)shape->dim[i];
    hid_t list = H5Pcopy(writer->dataset_list);
    if (list >= 0 && H5Pset_alloc_time(list, H5D_ALLOC_TIME_INCR) >= 0 &&
        H5Pset_chunk(list, shape->rank, chunk) >= 0 && H5Pset_shuffle(list) >= 0 &&
        H5Pset_deflate(list, DEFLATE_LEVEL) >= 0)
        return list;
    if (list >= 0)
        H5Pclose(list);
    return H5I_INVALID_HID;
}

/* HDF5 gives a packed chunk its place only when it writes it: zeros, of the right length. */
static bool place_chunk(hid_t dataset, int64_t bytes, int64_t *offset)
{
#if H5_VERSION_GE(1, 10, 5)
    const hsize_t first[MB_MAX_RANK] = {0};
    hsize_t found[MB_MAX_RANK], size = 0;
    unsigned mask = 0;
    haddr_t at = HADDR_UNDEF;
    void *zeros = calloc(1, (size_t)bytes);
    if (zeros == NULL)
        return false;
    hid_t space = H5Dget_space(dataset);
    bool placed = space >= 0 &&
                  H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, first, (size_t)bytes, zeros) >= 0 &&
                  H5Dget_chunk_info(dataset, space, 0, found, &mask, &at, &size) >= 0 &&
                  at != HADDR_UNDEF && size == (hsize_t)bytes;
    if (space >= 0)
        H5Sclose(space);
    free(zeros);
    *offset = placed ? (int64_t)at : -1;
    return placed;
#else
    (void)dataset, (void)bytes, (void)offset;
    return false; /* there is no telling where a chunk lies */
#endif
}

mb_status_t mb_h5_make_packed(const mb_h5_writer_t *writer, const char *path, hid_t type,
                              const mb_shape_t *shape, int64_t packed_bytes, int64_t *offset)
{
    *offset = -1;
    hid_t list = packed_list(writer, shape), dataset = H5I_INVALID_HID;
    if (list < 0)
        return fail(writer, "make one chunk of", path);
    mb_status_t status = create_with(writer, path, type, shape, list, &dataset);
    H5Pclose(list);
    MB_TRY(status);
    if (!place_chunk(dataset, packed_bytes, offset))
        status = fail(writer, "find the place of", path);
    H5Dclose(dataset);
    return status;
}

mb_status_t mb_h5_write_array(const mb_h5_writer_t *writer, const char *path, hid_t file_type,
                              hid_t memory_type, const mb_shape_t *shape, const void *values)
{
    hid_t dataset;
    MB_TRY(create_dataset(writer, path, file_type, shape, &dataset));
    bool written = mb_shape_elements(shape) == 0 ||
                   H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    H5Dclose(dataset);
    return written ? MB_OK : fail(writer, "write", path);
}

mb_status_t mb_h5_rewrite_array(const mb_h5_writer_t *writer, const char *path, hid_t memory_type,
                                const void *values)
{
    hid_t dataset = H5Dopen2(writer->file, path, H5P_DEFAULT);
    bool written =
        dataset >= 0 && H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (dataset >= 0)
        H5Dclose(dataset);
    return written ? MB_OK : fail(writer, "write", path);
}

mb_status_t mb_h5_write_scalar(const mb_h5_writer_t *writer, const char *path, hid_t file_type,
                               hid_t memory_type, const void *value)
{
    hid_t dataset;
    const mb_shape_t scalar = {0};
    MB_TRY(create_dataset(writer, path, file_type, &scalar, &dataset));
    herr_t result = H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value);
    H5Dclose(dataset);
    return result < 0 ? fail(writer, "write", path) : MB_OK;
}

mb_status_t mb_h5_remove_attribute(const mb_h5_writer_t *writer, hid_t object, const char *name)
{
    htri_t exists = H5Aexists(object, name);
    if (exists < 0 || (exists > 0 && H5Adelete(object, name) < 0))
        return fail(writer, "replace the attribute", name);
    return MB_OK;
}

/* Whether the number NAME is there and of that type; then it is VALUE now, and all else of the
 * object stays where it is. */
static bool change_number(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                          const void *value)
{
    if (H5Aexists(object, name) <= 0)
        return false;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = attribute < 0 ? H5I_INVALID_HID : H5Aget_type(attribute);
    hid_t space = attribute < 0 ? H5I_INVALID_HID : H5Aget_space(attribute);
    bool changed = type >= 0 && space >= 0 && H5Tequal(type, file_type) > 0 &&
                   H5Sget_simple_extent_type(space) == H5S_SCALAR &&
                   H5Awrite(attribute, memory_type, value) >= 0;
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (attribute >= 0)
        H5Aclose(attribute);
    return changed;
}

/* COUNT < 0 makes a single value instead of a list. */
static mb_status_t write_attribute(const mb_h5_writer_t *writer, hid_t object, const char *name,
                                   hid_t file_type, hid_t memory_type, int count,
                                   const void *values)
{
    if (count < 0 && change_number(object, name, file_type, memory_type, values))
        return MB_OK;
    MB_TRY(mb_h5_remove_attribute(writer, object, name));
    hsize_t length = count < 0 ? 1 : (hsize_t)count;
    hid_t space = count < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &length, NULL);
    hid_t attribute = H5I_INVALID_HID;
    if (space >= 0)
        attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool written = attribute >= 0 && (count == 0 || H5Awrite(attribute, memory_type, values) >= 0);
    mb_status_t status = written ? MB_OK : fail(writer, "write the attribute", name);
    if (attribute >= 0)
        H5Aclose(attribute);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

static hid_t text_type(size_t bytes)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && H5Tset_size(type, bytes) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 &&
        H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
        return type;
    if (type >= 0)
        H5Tclose(type);
    return H5I_INVALID_HID;
}

static char *pack_texts(const char *const *items, size_t count, size_t bytes)
{
    char *packed = calloc(count == 0 ? 1 : count, bytes);
    for (size_t i = 0; packed != NULL && i < count; i++)
        memcpy(packed + i * bytes, items[i], strlen(items[i]));
    return packed;
}

/* Fixed length, padded by nulls: strings of variable length lie in HDF5's global heap, which has no
 * checksum, and HDF5 crashes on a damaged one. Everything else in a new-style file has one. */
static mb_status_t write_strings(const mb_h5_writer_t *writer, hid_t object, const char *name,
                                 int count, const char *const *items, size_t bytes)
{
    size_t n = count < 0 ? 1 : (size_t)count;
    char *packed = pack_texts(items, n, bytes);
    if (packed == NULL)
        return mb_error_memory("a list of strings", n * bytes);
    hid_t type = text_type(bytes);
    mb_status_t status = type < 0
                             ? fail(writer, "make the type of the attribute", name)
                             : write_attribute(writer, object, name, type, type, count, packed);
    if (type >= 0)
        H5Tclose(type);
    free(packed);
    return status;
}

mb_status_t mb_h5_write_text_list(const mb_h5_writer_t *writer, const char *path, int count,
                                  const char *const *items)
{
    size_t bytes = 1;
    for (int i = 0; i < count; i++)
        bytes = strlen(items[i]) > bytes ? strlen(items[i]) : bytes;
    char *packed = pack_texts(items, (size_t)count, bytes);
    if (packed == NULL)
        return mb_error_memory("a list of strings", (size_t)count * bytes);
    const mb_shape_t shape = {.rank = 2, .dim = {count, (int64_t)bytes}};
    hid_t type = text_type(1);
    mb_status_t status = type < 0 ? fail(writer, "make the type of", path)
                                  : mb_h5_write_array(writer, path, type, type, &shape, packed);
    if (type >= 0)
        H5Tclose(type);
    free(packed);
    return status;
}

mb_status_t mb_h5_write_text(const mb_h5_writer_t *writer, hid_t object, const char *name,
                             const char *text)
{
    size_t length = strlen(text);
    return write_strings(writer, object, name, -1, &text, length == 0 ? 1 : length);
}

mb_status_t mb_h5_write_names(const mb_h5_writer_t *writer, hid_t object, const char *name,
                              const char *const *items, int count)
{
    if (count == 0)
        return write_attribute(writer, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 0, NULL);
    size_t bytes = 1;
    for (int i = 0; i < count; i++)
        bytes = strlen(items[i]) > bytes ? strlen(items[i]) : bytes;
    if (bytes > ATTRIBUTE_LIMIT)
        return mb_error_set(MB_ERR_ARGUMENT, "'%s': a name of %zu bytes, Keras takes at most %d",
                            writer->path, bytes, ATTRIBUTE_LIMIT);
    int most = (int)(ATTRIBUTE_LIMIT / bytes);
    if (count <= most)
        return write_strings(writer, object, name, count, items, bytes);
    for (int first = 0, i = 0; first < count; first += most, i++) {
        char part[96];
        snprintf(part, sizeof(part), "%s%d", name, i);
        int here = count - first < most ? count - first : most;
        MB_TRY(write_strings(writer, object, part, here, items + first, bytes));
    }
    return MB_OK;
}

mb_status_t mb_h5_write_int(const mb_h5_writer_t *writer, hid_t object, const char *name,
                            int64_t value)
{
    return write_attribute(writer, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, -1, &value);
}

mb_status_t mb_h5_write_ints(const mb_h5_writer_t *writer, hid_t object, const char *name,
                             const int64_t *values, int count)
{
    return write_attribute(writer, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, count, values);
}

mb_status_t mb_h5_write_real(const mb_h5_writer_t *writer, hid_t object, const char *name,
                             double value)
{
    return write_attribute(writer, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, -1, &value);
}
