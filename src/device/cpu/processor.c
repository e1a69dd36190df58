/* See processor.h. */
#include "device/cpu/processor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif

#define KIND_TEXT 64

enum { LEVELS = 3 };

#if defined(__x86_64__)
/* Leaves 0 and 1 of CPUID: AMD's and Intel's manuals, "Function 1: Family, Model, Stepping". */
static void describe_kind(char *text, size_t capacity)
{
    unsigned most = 0, version = 0, vendor[3] = {0}, other[2];
    __get_cpuid(0, &most, &vendor[0], &vendor[2], &vendor[1]);
    __get_cpuid(1, &version, &other[0], &other[1], &most);
    unsigned family = version >> 8 & 15, model = version >> 4 & 15;
    if (family == 6 || family == 15)
        model += (version >> 16 & 15) << 4;
    if (family == 15)
        family += version >> 20 & 255;
    snprintf(text, capacity, "%.12s family %u model %u", (const char *)vendor, family, model);
}

/* "Deterministic Cache Parameters": leaf 4, which AMD has at 0x8000001D; a subleaf a cache. Type 2
 * is of instructions, 0 the end. */
static void find_caches(unsigned *kib)
{
    static const unsigned leaves[] = {4, 0x8000001D};
    unsigned a, b, c, d;
    for (size_t l = 0; l < sizeof leaves / sizeof leaves[0]; l++) {
        for (unsigned i = 0; __get_cpuid_count(leaves[l], i, &a, &b, &c, &d) && (a & 31) != 0;
             i++) {
            unsigned level = a >> 5 & 7;
            size_t ways = (b >> 22) + 1, parts = (b >> 12 & 1023) + 1, line = (b & 4095) + 1;
            if ((a & 31) != 2 && level >= 1 && level <= LEVELS)
                kib[level - 1] = (unsigned)(ways * parts * line * ((size_t)c + 1) / 1024);
        }
    }
}
#else
/* The main identification register, which Linux shows on Arm. */
static void describe_kind(char *text, size_t capacity)
{
    char id[KIND_TEXT] = "of an unknown kind";
    FILE *file = fopen("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "r");
    if (file != NULL && fgets(id, sizeof id, file) != NULL)
        id[strcspn(id, "\n")] = '\0';
    if (file != NULL)
        fclose(file);
    snprintf(text, capacity, "processor %.40s", id);
}

static void find_caches(unsigned *kib)
{
    static const int names[LEVELS] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE,
                                      _SC_LEVEL3_CACHE_SIZE};
    for (int level = 0; level < LEVELS; level++) {
        long bytes = sysconf(names[level]);
        kib[level] = bytes > 0 ? (unsigned)(bytes / 1024) : 0;
    }
}
#endif

static const char *libm_version(void)
{
#if defined(__GLIBC__)
    return gnu_get_libc_version();
#else
    return "";
#endif
}

void mb_processor_describe(char *text, size_t capacity)
{
    char kind[KIND_TEXT];
    unsigned kib[LEVELS] = {0};
    const char *version = libm_version();
    describe_kind(kind, sizeof kind);
    find_caches(kib);
    snprintf(text, capacity, "%s, caches %u/%u/%u KiB, %s%.16s", kind, kib[0], kib[1], kib[2],
             version[0] == '\0' ? "another libc" : "glibc ", version);
}
