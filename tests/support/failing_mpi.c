/* Preloaded into a program (LD_PRELOAD), makes the k-th call of one MPI function of one rank fail,
 * hang, or lose its message. The environment says what:
 *
 *     MB_MPI_RANK    in which process of the job (OMPI_COMM_WORLD_RANK)
 *     MB_MPI_CALL    the function: one of the names below; unset: none, calls are only counted
 *     MB_MPI_AT      k, from 1
 *     MB_MPI_HOW     fail (returns MPI_ERR_OTHER), hang (never returns), lose (says that it was
 * done; of Isend and Issend: nothing is sent) MB_MPI_COUNTS  a file to which the process appends
 * "NAME COUNT" lines when it ends
 */
#define _GNU_SOURCE
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ISEND, ISSEND, IRECV, TEST, TESTALL, IALLREDUCE, IDUP, FINALIZE, CALLS };
static const char *const names[CALLS] = {"Isend",   "Issend",     "Irecv",     "Test",
                                         "Testall", "Iallreduce", "Comm_idup", "Finalize"};
enum { GOES_ON, FAILS, IS_LOST };

static struct {
    int call, at, here;
    const char *how;
} plan = {.call = -1};
static int counts[CALLS];

__attribute__((constructor)) static void read_plan(void)
{
    const char *rank = getenv("MB_MPI_RANK"), *own = getenv("OMPI_COMM_WORLD_RANK");
    const char *call = getenv("MB_MPI_CALL"), *at = getenv("MB_MPI_AT");
    unsetenv("LD_PRELOAD");
    plan.here = rank != NULL && own != NULL && strcmp(rank, own) == 0;
    plan.how = getenv("MB_MPI_HOW");
    plan.at = at == NULL ? 0 : atoi(at);
    for (int i = 0; i < CALLS && call != NULL; i++)
        plan.call = strcmp(call, names[i]) == 0 ? i : plan.call;
}

__attribute__((destructor)) static void tell_counts(void)
{
    const char *path = getenv("MB_MPI_COUNTS");
    FILE *file = plan.here && path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL)
        return;
    for (int i = 0; i < CALLS; i++)
        fprintf(file, "%s %d\n", names[i], counts[i]);
    fclose(file);
}

static int meets(int call)
{
    if (!plan.here || ++counts[call] != plan.at || call != plan.call || plan.how == NULL)
        return GOES_ON;
    fprintf(stderr, "call %d of MPI_%s: %s\n", plan.at, names[call], plan.how);
    while (strcmp(plan.how, "hang") == 0)
        pause();
    return strcmp(plan.how, "lose") == 0 ? IS_LOST : FAILS;
}

#define SEND(name, call)                                                                           \
    int MPI_##name(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, \
                   MPI_Request *request)                                                           \
    {                                                                                              \
        int fate = meets(call);                                                                    \
        if (fate == GOES_ON)                                                                       \
            return PMPI_##name(data, count, type, to, tag, comm, request);                         \
        *request = MPI_REQUEST_NULL;                                                               \
        return fate == IS_LOST ? MPI_SUCCESS : MPI_ERR_OTHER;                                      \
    }
SEND(Isend, ISEND)
SEND(Issend, ISSEND)

#define OTHER(name, call, given, passed)                                                           \
    int MPI_##name given                                                                           \
    {                                                                                              \
        return meets(call) == FAILS ? MPI_ERR_OTHER : PMPI_##name passed;                          \
    }
OTHER(Irecv, IRECV,
      (void *data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
       MPI_Request *request),
      (data, count, type, from, tag, comm, request))
OTHER(Test, TEST, (MPI_Request * request, int *flag, MPI_Status *status), (request, flag, status))
OTHER(Testall, TESTALL, (int count, MPI_Request requests[], int *flag, MPI_Status statuses[]),
      (count, requests, flag, statuses))
OTHER(Iallreduce, IALLREDUCE,
      (const void *data, void *into, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
       MPI_Request *request),
      (data, into, count, type, op, comm, request))
OTHER(Comm_idup, IDUP, (MPI_Comm comm, MPI_Comm *made, MPI_Request *request), (comm, made, request))
OTHER(Finalize, FINALIZE, (void), ())
