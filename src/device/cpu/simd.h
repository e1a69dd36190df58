/* One source for several instruction sets: a function marked MB_MULTIVERSION is compiled for each
 * of them, and the loader picks the best that the machine has. Loops in it carry `#pragma omp
 * simd`.
 *
 * Compilers without target_clones build the plain version. */
#ifndef MB_DEVICE_CPU_SIMD_H
#define MB_DEVICE_CPU_SIMD_H

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__) &&       \
    !defined(__SANITIZE_THREAD__)
#define MB_MULTIVERSION                                                                            \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MB_MULTIVERSION
#endif

/* errno of sqrtf and traps of comparisons would keep loops from being vectorized. Products and sums
 * are not fused: an element must not depend on whether it falls into the vector part of a loop. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed"
#elif defined(__GNUC__)
#pragma GCC optimize("no-math-errno", "no-trapping-math", "fp-contract=off")
#endif

#endif
