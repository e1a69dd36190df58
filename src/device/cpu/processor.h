/* The processor as far as bits depend on it beside its instruction set: oneDNN cuts products by the
 * sizes of caches and knows kinds of processors, and libm's functions are its version's. */
#ifndef MB_DEVICE_CPU_PROCESSOR_H
#define MB_DEVICE_CPU_PROCESSOR_H

#include <stddef.h>

/* "GenuineIntel family 6 model 143, caches 48/2048/38400 KiB, glibc 2.36". A family and a model are
 * one design, whatever the name that it is sold by; a size of 0 is not known. */
void mb_processor_describe(char *text, size_t capacity);

#endif
