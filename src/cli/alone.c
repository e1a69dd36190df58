/* See alone.h. It happens where the launcher and the MPI that mbrun was built with do not speak the
 * same language: mpirun of another MPI, or srun without PMIx. */
#include "cli/alone.h"

#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/say.h"

#define OWN_LAUNCHER "start it with the mpirun of the MPI that mbrun was built with (mbrun info)"
#define SLURM_REMEDY                                                                               \
    "start it with srun --mpi=pmix (srun --mpi=list shows what this Slurm has), or with mpirun "   \
    "of "                                                                                          \
    "the MPI that mbrun was built with (mbrun info)"

/* The launcher nearest to the process first, as in say.c. A batch script of Slurm has SLURM_NTASKS,
 * too, but is one process: only steps of srun have SLURM_STEP_NUM_TASKS. */
static const mb_alone_t launchers[] = {
    {"OMPI_COMM_WORLD_SIZE", "Open MPI's mpirun", OWN_LAUNCHER, 0, 0},
    {"MV2_COMM_WORLD_SIZE", "MVAPICH2's launcher", OWN_LAUNCHER, 0, 0},
    {"PMI_SIZE", "a launcher that speaks PMI (MPICH's or Intel's mpiexec, PALS, srun --mpi=pmi2)",
     OWN_LAUNCHER, 0, 0},
    {"FLUX_JOB_SIZE", "flux run", "start it with flux run -o mpi=pmix, or " OWN_LAUNCHER, 0, 0},
    {"JSM_NAMESPACE_SIZE", "jsrun", OWN_LAUNCHER, 0, 0},
    {"SLURM_STEP_NUM_TASKS", "srun", SLURM_REMEDY, 0, 0}};

/* srun --mpi=pmi2 speaks PMI. */
static bool is_srun(const char *ranks)
{
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    return tasks != NULL && strcmp(tasks, ranks) == 0;
}

mb_alone_t mb_alone_expect(void)
{
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const char *text = getenv(launchers[i].variable);
        if (text == NULL || text[0] == '\0')
            continue;
        mb_alone_t found = launchers[i];
        found.ranks = atoi(text);
        found.rank = mb_launch_rank();
        found.remedy = is_srun(text) ? SLURM_REMEDY : found.remedy;
        return found;
    }
    return (mb_alone_t){0};
}

mb_status_t mb_alone_check(const mb_alone_t *expected, int size)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
    int length;
    if (size > 1 || expected->ranks <= 1)
        return MB_OK;
    MPI_Get_library_version(version, &length);
    version[strcspn(version, ",\n")] = '\0';
    return mb_error_set(
        MB_ERR_MPI,
        "%s started %d processes (%s=%d), but each of them is alone: it and this program's MPI, "
        "%s, "
        "do not know each other. Nothing was written; %s. To run one process on purpose, "
        "unset %s",
        expected->launcher, expected->ranks, expected->variable, expected->ranks, version,
        expected->remedy, expected->variable);
}
