/* Writing a zip archive of stored members, as Keras writes its own. */
#ifndef MB_STORE_ZIP_WRITE_H
#define MB_STORE_ZIP_WRITE_H

#include "base/error.h"
#include "base/types.h"

/* A member's content: BYTES bytes at DATA, or the file at PATH. */
typedef struct {
    const char *name;
    const void *data;
    size_t bytes;
    const char *path;
} mb_zip_source_t;

/* PATH is replaced as a whole, and synced. An archive of 4 GiB or more is refused by name: it would
 * need Zip64. The same members give the same bytes: nothing carries a time. */
mb_status_t mb_zip_write(const char *path, const mb_zip_source_t *members, int count);
/* The same for nobody whom the file open as ORIGINAL is not for. */
mb_status_t mb_zip_write_beside(int original, const char *path, const mb_zip_source_t *members,
                                int count);

#endif
