/* See deferred_memory.h: first fit in a list of blocks ordered by address. */
#define _GNU_SOURCE
#include "support/deferred_memory.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RESERVED ((size_t)1 << 36)
#define PAGE ((size_t)4096)

struct deferred_block {
    size_t offset, bytes;
    deferred_block_t *next;
};

mb_status_t deferred_memory_create(deferred_memory_t *memory)
{
    memset(memory, 0, sizeof *memory);
    void *base =
        mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return mb_error_memory("the deferred device's addresses", RESERVED);
    memory->base = base;
    pthread_mutex_init(&memory->gate, NULL);
    return MB_OK;
}

void deferred_memory_destroy(deferred_memory_t *memory)
{
    while (memory->blocks != NULL) {
        deferred_block_t *next = memory->blocks->next;
        free(memory->blocks);
        memory->blocks = next;
    }
    munmap(memory->base, RESERVED);
    pthread_mutex_destroy(&memory->gate);
}

void deferred_memory_open(deferred_memory_t *memory)
{
    pthread_mutex_lock(&memory->gate);
    if (memory->used > 0 && mprotect(memory->base, memory->used, PROT_READ | PROT_WRITE) != 0)
        abort();
}

void deferred_memory_close(deferred_memory_t *memory)
{
    if (memory->used > 0 && mprotect(memory->base, memory->used, PROT_NONE) != 0)
        abort();
    pthread_mutex_unlock(&memory->gate);
}

/* The link after which a block of BYTES fits, with its offset. */
static deferred_block_t **find_gap(deferred_memory_t *memory, size_t bytes, size_t *offset)
{
    deferred_block_t **link = &memory->blocks;
    *offset = 0;
    while (*link != NULL && (*link)->offset - *offset < bytes) {
        *offset = (*link)->offset + (*link)->bytes;
        link = &(*link)->next;
    }
    return link;
}

mb_status_t deferred_memory_alloc(deferred_memory_t *memory, size_t bytes, void **out)
{
    if (bytes > RESERVED / 2)
        return mb_error_memory("device memory", bytes);
    size_t rounded = (bytes / PAGE + 1) * PAGE;
    deferred_block_t *block = malloc(sizeof *block);
    if (block == NULL)
        return mb_error_memory("a block of device memory", sizeof *block);
    pthread_mutex_lock(&memory->gate);
    size_t offset;
    deferred_block_t **link = find_gap(memory, rounded, &offset);
    bool fits = offset + rounded <= RESERVED;
    if (fits) {
        *block = (deferred_block_t){offset, rounded, *link};
        *link = block;
        if (offset + rounded > memory->used)
            memory->used = offset + rounded;
    }
    pthread_mutex_unlock(&memory->gate);
    if (!fits) {
        free(block);
        return mb_error_memory("device memory", bytes);
    }
    deferred_memory_open(memory);
    memset(memory->base + offset, 255, bytes);
    deferred_memory_close(memory);
    *out = memory->base + offset;
    return MB_OK;
}

void deferred_memory_free(deferred_memory_t *memory, void *address)
{
    size_t offset = (size_t)((char *)address - memory->base);
    pthread_mutex_lock(&memory->gate);
    deferred_block_t **link = &memory->blocks;
    while (*link != NULL && (*link)->offset != offset)
        link = &(*link)->next;
    if (*link == NULL)
        abort(); /* not a block of this device */
    deferred_block_t *block = *link;
    *link = block->next;
    madvise(memory->base + block->offset, block->bytes, MADV_DONTNEED);
    free(block);
    pthread_mutex_unlock(&memory->gate);
}
