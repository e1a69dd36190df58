/* The record of what a run does to the files below one directory, as recording_io.c writes it and
 * the replay (crash_record.c) reads it: calls in the order in which they were made, over all ranks
 * and threads. Each is this head, then its path, the path it leads to, and data. */
#ifndef TESTS_SUPPORT_IO_RECORD_H
#define TESTS_SUPPORT_IO_RECORD_H

#include <stdint.h>

typedef enum {
    IO_ROOT = 0, /* PATH is the directory: the first of each process */
    IO_CREATE,   /* PATH, a new FILE */
    IO_OPEN,     /* PATH, a FILE that was there */
    IO_WRITE,    /* DATA at OFFSET of FILE */
    IO_TRUNCATE, /* FILE to OFFSET bytes */
    IO_RESERVE,  /* FILE to at least OFFSET bytes */
    IO_SYNC,     /* FILE */
    IO_SYNC_DIRECTORY,
    IO_RENAME,
    IO_LINK,
    IO_UNLINK,
    IO_MAKE_DIRECTORY,
    IO_KINDS
} io_kind_t;

typedef struct {
    uint32_t kind;
    int32_t rank;
    uint64_t file; /* its inode's number, which a later file may have again */
    int64_t offset;
    uint64_t bytes; /* of DATA */
    uint32_t path_bytes, to_bytes;
} io_head_t;

#endif
