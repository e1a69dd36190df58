/* Leaks of the test, apart from those of Open MPI, whose plugins come and go: what they leak in
 * MPI_Init is not looked at, and ours are looked for before MPI_Finalize closes the rest of them.
 * With ASAN_OPTIONS=leak_check_at_exit=0. Without LeakSanitizer nothing happens. */
#ifndef TESTS_MPI_LEAKS_H
#define TESTS_MPI_LEAKS_H

#include <mpi.h>
#include <stddef.h>

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));

static inline void leaks_mpi_init(int *argc, char ***argv)
{
    if (__lsan_disable != NULL)
        __lsan_disable();
    MPI_Init(argc, argv);
    if (__lsan_enable != NULL)
        __lsan_enable();
}

static inline int leaks_found(void)
{
    return __lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0;
}

#endif
