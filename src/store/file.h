/* A file that several ranks write, each its own ranges: the small interface under a checkpoint,
 * with two implementations.
 *
 *     open    the file, which rank 0 has made, on every rank
 *     write   bytes at an offset; the memory must stand until the sync
 *     sync    this rank's bytes are on disk
 *     close
 *
 *     posix    each call is the rank's own, on any thread: open, pwrite, fsync, close
 *     mpi-io   each call but write is collective, and enters MPI, for which the caller's thread is
 *              the one. Write only takes note; the sync hands the ranges over, which MPI may gather
 *              on the ranks that hints name
 *
 * A failure is the rank's own; a rank whose collective call fails still does its part of it. */
#ifndef MB_STORE_FILE_H
#define MB_STORE_FILE_H

#include "comm/comm.h"
#include "store/io_options.h"

typedef struct mb_file mb_file_t;

typedef struct {
    size_t size;
    bool collective;
    mb_status_t (*open)(mb_file_t *file);
    mb_status_t (*write)(const mb_file_t *file, const void *data, size_t bytes, int64_t offset);
    /* STATUS: what the writes came to; a failure is returned as it is, after the rank's part of
     * what is collective. */
    mb_status_t (*sync)(const mb_file_t *file, mb_status_t status);
    mb_status_t (*close)(mb_file_t *file); /* of one that is not open: nothing */
    /* After a failure on any rank: frees what is this rank's. Never collective: what MPI holds of
     * an open file is left to MPI_Finalize. */
    void (*abandon)(mb_file_t *file);
} mb_file_class_t;

extern const mb_file_class_t mb_file_posix, mb_file_mpi;

typedef struct mb_file_ranges mb_file_ranges_t; /* file_mpi.c */

struct mb_file {
    const mb_file_class_t *class_;
    mb_comm_t *comm;
    const char *path;
    mb_io_options_t *options; /* NULL: none */
    int fd;                   /* posix; -1: not open */
    mb_file_ranges_t *ranges; /* mpi-io; NULL: not open */
};

#endif
