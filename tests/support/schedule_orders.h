/* Whether some order of a pipeline's compute actions ends by a given time: an exact search, for a
 * few stages and micro-batches.
 *
 * It is over all orders in which micro-batches of a chunk go forward, and back, in ascending order,
 * with a limit on what every stage holds, each micro-batch in each chunk from its F to its W or BW.
 * F, B and W take 1, BW takes 2, messages nothing. */
#ifndef MB_TESTS_SCHEDULE_ORDERS_H
#define MB_TESTS_SCHEDULE_ORDERS_H

#include <stdbool.h>

enum { ORDERS_MOST_STAGES = 4, ORDERS_MOST_CHUNKS = 16 };

typedef struct {
    int stages, chunks, micros;
    int limit;           /* chunks' activations that a stage holds at most */
    const int *stage_of; /* [chunks] */
    bool split;          /* into B and W */
} orders_t;

bool orders_end_by(const orders_t *orders, int end);

#endif
