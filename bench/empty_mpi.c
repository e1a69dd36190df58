/* An MPI program that does nothing: what bench/first_step.sh measures mbrun's start against. */
#include <mpi.h>

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Finalize();
    return 0;
}
