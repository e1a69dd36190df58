/* Laying out an HDF5 file: groups, datasets whose bytes are written later by others, attributes
 * that h5py and Keras read. The same input gives the same bytes: nothing carries a time. */
#ifndef MB_STORE_H5_WRITE_H
#define MB_STORE_H5_WRITE_H

#include "store/h5.h"
#include "store/h5_image.h"

typedef struct {
    const char *path; /* for messages: the name the file will have */
    mb_h5_image_t *image;
    hid_t file;
    hid_t group_list, dataset_list;
} mb_h5_writer_t;

/* Creates the file at CREATE_AT, where there may be one of zeros whose space is used (NULL: it is
 * only laid out); or opens it for additions. The file itself is written by mb_h5_writer_finish. */
mb_status_t mb_h5_writer_create(const char *create_at, const char *path, mb_h5_writer_t *writer);
mb_status_t mb_h5_writer_update(const char *open_at, const char *path, mb_h5_writer_t *writer);
/* What IMAGE, which is the writer's from here on, holds, at CREATE_AT, for changes. */
mb_status_t mb_h5_writer_reuse(mb_h5_image_t *image, const char *create_at, const char *path,
                               mb_h5_writer_t *writer);
/* The first of the two, with data that stands apart: mb_h5_image_spread; ALIGN of 0: without. */
mb_status_t mb_h5_writer_create_spread(const char *create_at, const char *path, int64_t align,
                                       mb_h5_writer_t *writer);
/* Closes the file and, when STATUS, that of the calls before, is MB_OK, writes it. */
mb_status_t mb_h5_writer_finish(mb_h5_writer_t *writer, mb_status_t status);
/* The same; *IMAGE is what was written, or NULL when it was not. */
mb_status_t mb_h5_writer_keep(mb_h5_writer_t *writer, mb_status_t status, mb_h5_image_t **image);

/* The group at an absolute path, with those above it; an existing one is opened. GROUP may be NULL.
 */
mb_status_t mb_h5_make_group(const mb_h5_writer_t *writer, const char *path, hid_t *group);
/* A contiguous dataset whose space is allocated but not written; its place in the file in *OFFSET
 * (-1: it has no elements). Groups above it are made. */
mb_status_t mb_h5_make_dataset(const mb_h5_writer_t *writer, const char *path, hid_t type,
                               const mb_shape_t *shape, int64_t *offset);
/* One chunk of the whole shape, shuffled and deflated: PACKED_BYTES bytes that somebody else writes
 * at *OFFSET. The shape must not be a scalar's. */
mb_status_t mb_h5_make_packed(const mb_h5_writer_t *writer, const char *path, hid_t type,
                              const mb_shape_t *shape, int64_t packed_bytes, int64_t *offset);
/* New values for an array that is there. */
mb_status_t mb_h5_rewrite_array(const mb_h5_writer_t *writer, const char *path, hid_t memory_type,
                                const void *values);
/* An array with its values. */
mb_status_t mb_h5_write_array(const mb_h5_writer_t *writer, const char *path, hid_t file_type,
                              hid_t memory_type, const mb_shape_t *shape, const void *values);
/* Texts as characters [COUNT, longest], padded by nulls: netCDF 4.9 crashes on a list of strings of
 * fixed length, and strings of variable length have no checksum. */
mb_status_t mb_h5_write_text_list(const mb_h5_writer_t *writer, const char *path, int count,
                                  const char *const *items);
/* A scalar dataset with its value. */
mb_status_t mb_h5_write_scalar(const mb_h5_writer_t *writer, const char *path, hid_t file_type,
                               hid_t memory_type, const void *value);

/* Attributes; one that is there is replaced, where its type stays by the value alone. A list of
 * over 64512 bytes is split as Keras does.
 */
mb_status_t mb_h5_write_text(const mb_h5_writer_t *writer, hid_t object, const char *name,
                             const char *text);
mb_status_t mb_h5_write_names(const mb_h5_writer_t *writer, hid_t object, const char *name,
                              const char *const *items, int count);
mb_status_t mb_h5_write_int(const mb_h5_writer_t *writer, hid_t object, const char *name,
                            int64_t value);
mb_status_t mb_h5_write_ints(const mb_h5_writer_t *writer, hid_t object, const char *name,
                             const int64_t *values, int count);
mb_status_t mb_h5_write_real(const mb_h5_writer_t *writer, hid_t object, const char *name,
                             double value);
mb_status_t mb_h5_remove_attribute(const mb_h5_writer_t *writer, hid_t object, const char *name);

#endif
