/* What kind of file system a directory is on, and what that asks of those who write one file
 * together. doc/filesystems.md has the facts and their sources. */
#ifndef MB_STORE_FILESYSTEM_H
#define MB_STORE_FILESYSTEM_H

#include "base/error.h"
#include "base/types.h"

typedef struct {
    const char *name; /* "Lustre"; NULL: of no kind that asks for anything */
    bool stripes;     /* files have a layout of stripes that can be set: Lustre */
    int64_t align;    /* bytes: tensors' data stands apart (mb_h5_image_spread); 0: it need not */
} mb_filesystem_t;

/* MAGIC: what statfs(2) gives as f_type; BLOCK_BYTES: what stat(2) gives as st_blksize. */
mb_filesystem_t mb_filesystem_of_magic(uint64_t magic, int64_t block_bytes);
/* MB_ERR_IO. Where the system cannot tell: of no kind. */
mb_status_t mb_filesystem_at(const char *directory, mb_filesystem_t *out);
/* On Lustre: new files in DIRECTORY have stripes of UNIT bytes (0: as many as by default) over
 * FACTOR targets (0: the same; -1: all), as after `lfs setstripe -S UNIT -c FACTOR DIRECTORY`.
 * MB_ERR_IO. */
mb_status_t mb_filesystem_stripe(const char *directory, int64_t unit, int factor);

#endif
