/* The header of a NumPy array file (numpy.lib.format, versions 1 to 3): a magic number, a Python
 * dictionary of type, order and shape, then the elements. */
#ifndef MB_DATA_NPY_H
#define MB_DATA_NPY_H

#include "base/error.h"
#include "base/types.h"

typedef struct {
    mb_dtype_t dtype; /* booleans are uint8 */
    bool swap;        /* stored in the other byte order */
    mb_shape_t shape; /* the first axis counts samples */
    int64_t header_bytes;
    int64_t data_bytes;
} mb_npy_header_t;

/* Gives the next BYTES bytes of the file. */
typedef mb_status_t (*mb_npy_read_t)(void *user, size_t bytes, void *to);

bool mb_npy_looks_like(const unsigned char *head, size_t bytes);
/* WHERE names the file, and the member where it is one's, in messages. Refused by name: Fortran
 * order of several axes, types that hold no numbers, an array without samples. */
mb_status_t mb_npy_read_header(const char *where, mb_npy_read_t read, void *user,
                               mb_npy_header_t *out);

#endif
