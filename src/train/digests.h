/* Digests of what a rank computes and holds, to be compared with another rank's (check.h):
 *
 *     first, second   of one micro-batch, twice: by part (engine/look.h) and call
 *     sums            gradients summed over replicas, by call
 *     weights, moments   by parameter
 *
 * A digest is a CRC-32C of all values, with a mark above it; 0: there is none here. */
#ifndef MB_TRAIN_DIGESTS_H
#define MB_TRAIN_DIGESTS_H

#include "train/update.h"

typedef struct {
    int n_nodes, n_params;
    size_t bytes;    /* of all that goes in a message */
    char *message;   /* host, then the numbers */
    uint64_t *first; /* [MB_LOOK_PARTS][n_nodes], as second is */
    uint64_t *second, *sums, *weights, *moments;
} mb_digests_t;

enum { MB_DIGESTS_HOST = 64 };

/* A message's, which stays the caller's. */
mb_digests_t mb_digests_of(const mb_graph_t *graph, char *message);
size_t mb_digests_bytes(const mb_graph_t *graph);

/* A look (engine/look.h) that adds up what is seen. */
typedef struct {
    mb_exec_t *exec;
    uint64_t *into; /* first or second */
    int n_nodes;
    int index; /* this micro-batch of the group; -1: any */
    bool of_weights, of_others;
    char *host; /* where a device's memory comes to; NULL: nothing yet */
    size_t capacity;
} mb_digester_t;
mb_status_t mb_digester_see(void *digester, const mb_micro_t *micro, const mb_seen_t *seen);

/* Of what UPDATE's rank holds: weights, and where all groups hold the same, sums and moments. Not
 * collective. */
mb_status_t mb_digests_hold(mb_digests_t *digests, mb_digester_t *digester,
                            const mb_update_t *update);

#endif
