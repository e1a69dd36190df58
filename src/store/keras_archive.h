/* A .keras file: a zip archive of config.json, metadata.json and model.weights.h5, with assets that
 * no layer here has. Source: keras/src/saving/saving_lib.py. */
#ifndef MB_STORE_KERAS_ARCHIVE_H
#define MB_STORE_KERAS_ARCHIVE_H

#include "store/h5_part.h"
#include "store/zip.h"

#define MB_ARCHIVE_CONFIG "config.json"
#define MB_ARCHIVE_METADATA "metadata.json"
#define MB_ARCHIVE_WEIGHTS "model.weights.h5"

typedef struct {
    char *config;        /* config.json */
    char *keras_version; /* of metadata.json; NULL: it does not say */
    mb_h5_part_t weights;
    int unpacked; /* of weights that are deflated: an unnamed file of their own; else -1 */
} mb_keras_archive_t;

/* FD and PATH must stay. VERIFY: the weights' checksum is checked too, which reads all of them.
 * Errors name the file and the member. Close OUT->unpacked. */
mb_status_t mb_keras_archive_open(int fd, int64_t bytes, const char *path, bool verify,
                                  mb_arena_t *arena, mb_keras_archive_t *out);
/* Checks every member of an archive against its checksum; a file that is no archive, or that cannot
 * be opened, is left to others: *IS_ARCHIVE is false. Never enters HDF5. */
mb_status_t mb_keras_archive_check(const char *path, bool *is_archive);

#endif
