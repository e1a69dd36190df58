/* How the ranks write files together: the settings `io` and `io-hints`, read. */
#ifndef MB_STORE_IO_OPTIONS_H
#define MB_STORE_IO_OPTIONS_H

#include "base/error.h"
#include "base/types.h"

enum { MB_IO_MOST_HINTS = 32, MB_IO_HINT_TEXT = 256 };

typedef struct {
    char key[48], value[MB_IO_HINT_TEXT];
} mb_io_hint_t;

typedef struct {
    bool mpi_io;           /* by MPI-IO, collectively; else each rank by itself (POSIX) */
    int64_t align;         /* bytes: mb_h5_image_spread; 0: not at all; -1: not told */
    int64_t striping_unit; /* bytes; 0: not told */
    int striping_factor;   /* -1: all; 0: not told */
    int writers_per_node;  /* that write at one time; 0: all */
    int n_hints;           /* for MPI_Info, as they were given; the striping ones, too */
    mb_io_hint_t hints[MB_IO_MOST_HINTS];
    char untaken[MB_IO_HINT_TEXT]; /* rank 0, once a file was opened: those that MPI-IO has not
                                      taken, by name; "": all were */
} mb_io_options_t;

/* WAY: posix or mpi-io. HINTS: "KEY=VALUE,KEY=VALUE"; NULL: none. A part without '=' goes on with
 * the value before, which may have commas. MB_ERR_ARGUMENT: an unknown key (with the nearest one),
 * a value that it cannot have, or a key that only MPI-IO knows where POSIX is asked for. */
mb_status_t mb_io_options_read(const char *way, const char *hints, mb_io_options_t *out);

#endif
