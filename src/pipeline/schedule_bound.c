/* How short a schedule can be, whatever the order: from what each stage has to do, and what comes
 * in front of that and behind it. Where list scheduling reaches it, it need not go on.
 *
 * Of a stage, for each of its chunks c:
 *   F and B of c and of the stage's later chunks lie behind F of the chunks in front of c, and in
 *   front of B of those and a last W;
 *   of all its work no more than the F that its activations allow lie in front of its first B.
 * What lies in front of a stage's first F counts where the schedule's end does. */
#include "pipeline/schedule_list.h"

#include <math.h>

typedef struct {
    const mb_list_t *list;
    double *head; /* [chunks + 1] F of the chunks in front, and their messages */
    double *back; /* [chunks + 1] the same of B */
} bounding_t;

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void sum_up(bounding_t *b)
{
    const mb_list_t *l = b->list;
    const mb_schedule_t *schedule = l->schedule;
    for (int c = 0; c < schedule->chunks; c++) {
        bool apart = c + 1 < schedule->chunks && schedule->stage_of[c] != schedule->stage_of[c + 1];
        double send = apart ? l->rules->costs[c].send : 0;
        b->head[c + 1] = b->head[c] + mb_list_seconds(l, MB_LIST_F, c) + send;
        b->back[c + 1] = b->back[c] + mb_list_seconds(l, MB_LIST_B, c) + send;
    }
}

/* All that chunk C has to do with a micro-batch, or what others may wait for of it. */
static double work_of(const mb_list_t *l, int c, bool weights)
{
    double work = mb_list_seconds(l, MB_LIST_F, c);
    if (l->rules->training)
        work += mb_list_seconds(l, MB_LIST_B, c);
    if (weights && l->rules->splits_backward)
        work += mb_list_seconds(l, MB_LIST_W, c);
    return work;
}

static double by_chunk(const bounding_t *b, int c)
{
    const mb_list_t *l = b->list;
    double work = 0;
    for (int later = c; later >= 0; later = l->schedule->next_chunk[later])
        work += work_of(l, later, false) * l->schedule->micros;
    double last = l->rules->splits_backward ? mb_list_seconds(l, MB_LIST_W, 0) : 0;
    if (l->rules->by_step)
        return work;
    return b->head[c] + work + (l->rules->training ? b->back[c] + last : 0);
}

/* F in front of the stage's first B: as many as it may hold of its lightest chunk, each as long as
 * that of its slowest. */
static double most_forward(const mb_list_t *l, int stage)
{
    double all = 0, slowest = 0, lightest = INFINITY;
    for (int c = l->schedule->first_chunk[stage]; c >= 0; c = l->schedule->next_chunk[c]) {
        double weight = l->rules->weight == NULL ? 1 : l->rules->weight[c];
        all += mb_list_seconds(l, MB_LIST_F, c) * l->schedule->micros;
        slowest = larger(slowest, mb_list_seconds(l, MB_LIST_F, c));
        lightest = weight < lightest ? weight : lightest;
    }
    if (l->rules->most == NULL || lightest <= 0)
        return all;
    double held = floor(l->rules->most[stage] / lightest) * slowest;
    return held < all ? held : all;
}

static double by_stage(const bounding_t *b, int stage)
{
    const mb_list_t *l = b->list;
    int chunks = l->schedule->chunks, first = l->schedule->first_chunk[stage], last = first;
    double work = 0;
    for (int c = first; c >= 0; c = l->schedule->next_chunk[c]) {
        work += work_of(l, c, true) * l->schedule->micros;
        last = c;
    }
    if (!l->rules->training)
        return (l->rules->by_step ? 0 : b->head[first]) + work;
    double first_back = b->head[chunks] + b->back[chunks] - b->back[last + 1];
    double most = larger(b->head[first] + work, first_back + work - most_forward(l, stage));
    return most - (l->rules->by_step ? b->head[first] : 0);
}

mb_status_t mb_list_bound(const mb_list_t *list, mb_arena_t *arena, double *out)
{
    int chunks = list->schedule->chunks;
    bounding_t b = {.list = list,
                    .head = MB_ARENA_ARRAY(arena, double, chunks + 1),
                    .back = MB_ARENA_ARRAY(arena, double, chunks + 1)};
    double most = 0;
    if (b.head == NULL || b.back == NULL)
        return mb_error_memory("a schedule", (size_t)chunks * sizeof(double));
    sum_up(&b);
    for (int c = 0; c < chunks; c++)
        most = larger(most, by_chunk(&b, c));
    for (int s = 0; s < list->schedule->stages; s++)
        most = larger(most, by_stage(&b, s));
    *out = most * (1 + 1e-12); /* sums in another order than a schedule's */
    return MB_OK;
}
