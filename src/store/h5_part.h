/* A stretch of a file that HDF5 reads as a file of its own: the weights inside an archive, where
 * they lie. Nothing is copied, and what HDF5 says of places in the file counts from the stretch's
 * beginning. */
#ifndef MB_STORE_H5_PART_H
#define MB_STORE_H5_PART_H

#include <hdf5.h>
#include "base/error.h"
#include "base/types.h"

typedef struct {
    const char *path; /* for messages */
    int fd;
    int64_t base, bytes;
} mb_h5_part_t;

/* Makes a file that is opened for reading with ACCESS, under any name, be the part, which must stay
 * as long as the file is open, and so must what is HELD: leave that behind it. */
bool mb_h5_part_use(const mb_h5_part_t *part, hid_t access, hid_t *held);
void mb_h5_part_leave(hid_t held);

#endif
