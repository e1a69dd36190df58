/* One source for several instruction sets: a function marked MB_MULTIVERSION is compiled for each
 * of them, and the loader picks the best that the machine has. Loops in it carry `#pragma omp
 * simd`.
 *
 * Compilers without target_clones build the plain version. The Makefile's FLOAT_CFLAGS let square
 * roots and comparisons vectorize, and keep products and sums apart. */
#ifndef MB_DEVICE_CPU_SIMD_H
#define MB_DEVICE_CPU_SIMD_H

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__) &&       \
    !defined(__SANITIZE_THREAD__)
#define MB_MULTIVERSION                                                                            \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MB_MULTIVERSION
#endif

/* The plain version need not vectorize. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

#endif
