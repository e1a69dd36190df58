/* HDF5 as the store uses it: silent, with its reason in our message, and every string flavour read.
 *
 * HDF5 prints its error stack by itself unless told otherwise. Public functions of the store put
 * their calls between mb_h5_quiet_begin and mb_h5_quiet_end, so that the host program's setting is
 * as it was afterwards. */
#ifndef MB_STORE_H5_H
#define MB_STORE_H5_H

#include <hdf5.h>
#include "base/arena.h"
#include "base/error.h"
#include "base/types.h"
#include "store/h5_part.h"

typedef struct {
    H5E_auto2_t print;
    void *user;
} mb_h5_quiet_t;

void mb_h5_quiet_begin(mb_h5_quiet_t *quiet);
void mb_h5_quiet_end(const mb_h5_quiet_t *quiet);

/* HDF5 1.10 may be led out of its memory by a damaged file. These say which file it is working on,
 * so that a program whose signal handler finds one can name it. Returns what was said before, to be
 * said again behind the work; a path must live as long. Of the calling thread. */
const char *mb_h5_work_on(const char *path);
const char *mb_h5_works_on(void);

/* "'PATH': cannot DOING OBJECT (HDF5: reason)"; the reason is the deepest of HDF5's error stack. */
mb_status_t mb_h5_error(mb_status_t status, const char *path, const char *doing,
                        const char *object);
/* The deepest reason of the error stack in BUFFER. */
const char *mb_h5_reason(char *buffer, size_t capacity);

/* A file that is being read: what limits and messages need. */
typedef struct {
    const char *path;
    hid_t file;
    int64_t bytes; /* of the file: nothing in it can be larger, unless compressed */
    mb_arena_t *arena;
    const mb_h5_part_t *part; /* where in another file it lies; NULL: it is the file at PATH */
} mb_h5_reader_t;

typedef struct {
    int count;
    const char **items;
} mb_h5_names_t;

/* The object at an absolute path, followed by hard links only; OBJECT is H5I_INVALID_HID when there
 * is none and MISSING may be so. */
mb_status_t mb_h5_open_object(const mb_h5_reader_t *reader, const char *object_path,
                              H5I_type_t type, bool may_miss, hid_t *object);
void mb_h5_close(hid_t *object);

/* A text attribute of any flavour: text in the reader's arena, NULL when absent. */
mb_status_t mb_h5_read_text(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                            const char *name, const char **text);
/* A list of texts, joined when it is split as NAME0, NAME1 ...; present says whether it is there.
 */
mb_status_t mb_h5_read_names(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                             const char *name, mb_h5_names_t *names, bool *present);
/* Number attributes. Absent: *value is left as it is. */
mb_status_t mb_h5_read_int(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                           const char *name, int64_t *value);
mb_status_t mb_h5_read_real(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                            const char *name, double *value);
/* A list of up to CAPACITY whole numbers; *count is -1 when absent. */
mb_status_t mb_h5_read_ints(const mb_h5_reader_t *reader, hid_t object, const char *object_path,
                            const char *name, int capacity, int64_t *values, int *count);

#endif
