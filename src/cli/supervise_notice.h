/* What launchers say when ranks or hosts are lost, read line by line: Open MPI's mpirun (and
 * PRRTE's), Hydra's mpiexec (MPICH, Intel MPI), Slurm's srun, and ssh on their behalf. */
#ifndef MB_CLI_SUPERVISE_NOTICE_H
#define MB_CLI_SUPERVISE_NOTICE_H

#include <stdbool.h>

typedef enum {
    MB_NOTICE_KILLED = 1, /* a signal ended ranks */
    MB_NOTICE_HOST_LOST,
    MB_NOTICE_BUSY /* mbrun: another run, which may be about to end, has the directory */
} mb_notice_kind_t;

enum { MB_NOTICE_HOST = 256, MB_NOTICE_TEXT = 64 };

typedef struct {
    mb_notice_kind_t kind;
    char ranks[MB_NOTICE_TEXT];  /* "1", "0-3"; "": not said */
    char host[MB_NOTICE_HOST];   /* "": not said */
    char signal[MB_NOTICE_TEXT]; /* "9 (Killed)" */
} mb_notice_t;

typedef struct {
    char host[MB_NOTICE_HOST]; /* of a notice of several lines: the one it is about */
} mb_notice_reader_t;

/* Whether the line says something of the kind. */
bool mb_notice_read(mb_notice_reader_t *reader, const char *line, mb_notice_t *out);

#endif
