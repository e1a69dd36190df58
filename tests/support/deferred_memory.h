/* Memory that can be read and written only while its gate is open. One range of addresses is
 * reserved; its protection changes as a whole. */
#ifndef MB_TESTS_SUPPORT_DEFERRED_MEMORY_H
#define MB_TESTS_SUPPORT_DEFERRED_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

typedef struct deferred_block deferred_block_t;

typedef struct {
    char *base;
    size_t used; /* bytes from base that the gate covers */
    deferred_block_t *blocks;
    pthread_mutex_t gate;
} deferred_memory_t;

mb_status_t deferred_memory_create(deferred_memory_t *memory);
void deferred_memory_destroy(deferred_memory_t *memory);

/* One thread at a time is behind the gate. */
void deferred_memory_open(deferred_memory_t *memory);
void deferred_memory_close(deferred_memory_t *memory);

/* Filled with bytes 255: NaN as float and as double, -1 as integer. */
mb_status_t deferred_memory_alloc(deferred_memory_t *memory, size_t bytes, void **out);
void deferred_memory_free(deferred_memory_t *memory, void *block);

#endif
