/* Preloaded into a program (LD_PRELOAD), makes the k-th allocation of the program itself fail: of
 * those whose caller lies in its executable, not in a library. The environment says what:
 *
 *     MB_FAIL_RANK     in which process of the job (OMPI_COMM_WORLD_RANK; 0 where there is none)
 *     MB_FAIL_AT       k, from 1; 0 only counts
 *     MB_FAIL_LEAST    bytes (0): smaller ones are not counted
 *     MB_FAIL_COUNTS   a file that gets a line "K PLACE" for each call, as it is made: its number,
 * and where in the executable it stands
 *
 * It is of no use beside a sanitizer, which has allocations of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include "support/interposed.h"

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static struct {
    uintptr_t begin, end, base; /* of the executable's code */
    int at, told;               /* told: the file of counts, or -1 */
    size_t least;
} plan = {.told = -1};
static atomic_int made;

/* The executable is the first object of all. */
static int find_code(struct dl_phdr_info *object, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            plan.base = object->dlpi_addr;
            plan.end = plan.base + part->p_vaddr + part->p_memsz;
            plan.begin = plan.base + part->p_vaddr;
        }
    }
    return 1;
}

__attribute__((constructor)) static void begin(void)
{
    const char *counts = getenv("MB_FAIL_COUNTS");
    unsetenv("LD_PRELOAD"); /* what the program starts, MPI's helpers above all, is not meant */
    if (getenv("MB_FAIL_AT") == NULL || number("MB_FAIL_RANK") != own_rank())
        return;
    plan.at = number("MB_FAIL_AT");
    plan.least = (size_t)number("MB_FAIL_LEAST");
    if (counts != NULL)
        plan.told = open(counts, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    dl_iterate_phdr(find_code, NULL);
}

/* Counts a call from PLACE; whether it is to fail. */
static int fails(const void *place, size_t bytes)
{
    uintptr_t at = (uintptr_t)place;
    if (at < plan.begin || at >= plan.end || bytes < plan.least)
        return 0;
    int call = atomic_fetch_add(&made, 1) + 1;
    if (plan.told >= 0)
        dprintf(plan.told, "%d %lx\n", call, (unsigned long)(at - plan.base));
    if (call != plan.at)
        return 0;
    errno = ENOMEM;
    return 1;
}

#define FAILS(bytes) fails(__builtin_return_address(0), bytes)

void *malloc(size_t bytes)
{
    return FAILS(bytes) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return FAILS(count * bytes) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    return FAILS(bytes) ? NULL : __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return FAILS(bytes) ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    void *got = FAILS(bytes) ? NULL : __libc_memalign(alignment, bytes);
    if (got == NULL)
        return ENOMEM;
    *memory = got;
    return 0;
}

char *strndup(const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    char *copy = FAILS(length + 1) ? NULL : __libc_malloc(length + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *strdup(const char *text)
{
    size_t length = strlen(text) + 1;
    char *copy = FAILS(length) ? NULL : __libc_malloc(length);
    return copy == NULL ? NULL : memcpy(copy, text, length);
}
