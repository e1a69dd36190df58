/* The hosts that a launcher's command line is for, and the same command for those that are left.
 *
 * Of mpirun (mpiexec, orterun, prterun) hosts are those of --host, -H, --hostfile, --machinefile
 * or -f, else of the Slurm job around it; of srun the job's. Without a lost host:
 *   - a list of hosts keeps the others, a file becomes another one with the others' lines; where
 *     neither was given, -host names the others (mpirun), or --exclude the lost, --nodes and
 *     --ntasks what is left (srun);
 *   - so many ranks as before if the slots that are left are enough for them; otherwise as many as
 *     there are slots left, where there were slots for all before, and else in proportion;
 *   - --stages of mbrun is left out where it wants more ranks than there are. */
#ifndef MB_CLI_SUPERVISE_HOSTS_H
#define MB_CLI_SUPERVISE_HOSTS_H

#include <stdbool.h>

#include "base/error.h"

typedef struct {
    char name[256];
    int slots;  /* those that are not told count as one */
    int killed; /* times that a signal ended a rank there */
    bool lost;
} mb_host_t;

typedef enum { MB_LAUNCHER_NONE = 0, MB_LAUNCHER_MPIRUN, MB_LAUNCHER_SRUN } mb_launcher_t;

typedef struct {
    char *const *words; /* as they were given; NULL behind the last */
    int n;
    mb_launcher_t launcher;
    int at;    /* of the launcher's name; -1 */
    int mbrun; /* of mbrun's; n: there is none */
    int n_hosts;
    mb_host_t *hosts;
    const char *file;    /* that names them; NULL: none */
    bool adds_file;      /* the command that supervises was given it */
    char left_file[256]; /* the file of hosts that was made; "": none */
    char **made;         /* the command for those that are left; NULL: as it was given */
    int n_made;
    bool failed; /* no memory for a word of it */
} mb_supervised_t;

/* HOSTFILE: of the command that supervises; NULL: none. MB_ERR_ARGUMENT, MB_ERR_IO. */
mb_status_t mb_supervised_open(char *const *words, int n, const char *hostfile,
                               mb_supervised_t *out);
void mb_supervised_close(mb_supervised_t *command);

/* By the name that a launcher uses, which may be the first part of a longer one, or the longer one.
 * NULL: it is none of them. */
mb_host_t *mb_supervised_host(mb_supervised_t *command, const char *name);
int mb_supervised_left(const mb_supervised_t *command);
/* Makes the command anew for the hosts that are not lost. */
mb_status_t mb_supervised_rewrite(mb_supervised_t *command);
/* What is to be started now. */
char *const *mb_supervised_words(const mb_supervised_t *command);
/* The value of -np, -n or the like, or of what the job says; 0: it is not told. */
int mb_supervised_ranks(const mb_supervised_t *command);

#endif
