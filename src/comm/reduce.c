/* See reduce.h. A round is over when all its messages are; then come its additions, and the next
 * round is handed over. What a sharing round writes, an earlier one has sent: that is over too. */
#include "comm/reduce.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    float *floats;
    double *doubles;
} root_t;

struct mb_reduce {
    mb_comm_t *comm;
    mb_transport_t *transport;
    mb_exec_t *exec;
    mb_arena_t *arena;
    mb_grid_t grid;
    mb_reduce_shape_t shape;
    mb_reduce_plan_t plan;
    int tag;
    bool keeps_parts;
    root_t *roots; /* [plan.n_roots] of the run */
    root_t received;
    mb_request_t **requests; /* [of the longest round] */
    bool under_way, gathers;
    int round;               /* the one whose messages are under way */
    mb_reduce_link_t *link;  /* NULL: the plan */
    mb_window_piece_t piece; /* of a shape that is windowed */
};

static int most_messages(const mb_reduce_plan_t *plan)
{
    int most = 0;
    for (int r = 0; r < plan->n_rounds; r++)
        most = plan->rounds[r].n_messages > most ? plan->rounds[r].n_messages : most;
    return most;
}

static size_t bytes_of(const mb_reduce_message_t *message)
{
    return (size_t)message->count * (message->wide ? sizeof(double) : sizeof(float));
}

mb_status_t mb_reduce_needs(const mb_grid_t *grid, const mb_reduce_shape_t *shape, int *requests,
                            size_t *bytes)
{
    mb_reduce_plan_t plan;
    mb_arena_t *arena = mb_arena_create();
    if (arena == NULL)
        return mb_error_memory("a reduction's plan", sizeof plan);
    mb_status_t status = mb_reduce_plan(grid, shape, arena, &plan);
    *requests = status == MB_OK ? most_messages(&plan) : 0;
    *bytes = 0;
    for (int r = 0; status == MB_OK && r < plan.n_rounds; r++) {
        for (int i = 0; i < plan.rounds[r].n_messages; i++) {
            size_t one = bytes_of(&plan.rounds[r].messages[i]);
            *bytes = one > *bytes ? one : *bytes;
        }
    }
    mb_arena_destroy(arena);
    return status;
}

/* Kept parts are given out when they are gathered, doubles at once. What a window moves is as much
 * as messages would carry: it counts. */
static bool counts(const mb_reduce_t *reduce, const mb_reduce_message_t *message, bool shares,
                   bool gathers)
{
    if (gathers)
        return shares && !message->wide;
    return message->wide || !reduce->keeps_parts || !shares;
}

static bool is_due(const mb_reduce_t *reduce, const mb_reduce_message_t *message, bool shares,
                   bool gathers)
{
    return (message->wide || !reduce->shape.windowed) && counts(reduce, message, shares, gathers);
}

static int64_t bytes_sent(const mb_reduce_t *reduce, bool gathers)
{
    int64_t bytes = 0;
    for (int r = 0; r < reduce->plan.n_rounds; r++) {
        const mb_reduce_round_t *round = &reduce->plan.rounds[r];
        for (int i = 0; i < round->n_messages; i++) {
            bool due = counts(reduce, &round->messages[i], r >= reduce->plan.n_scatter, gathers);
            if (due && round->messages[i].sends)
                bytes += (int64_t)bytes_of(&round->messages[i]);
        }
    }
    return bytes;
}

int64_t mb_reduce_bytes(const mb_reduce_t *reduce)
{
    return bytes_sent(reduce, false);
}

/* For floats that come in, of its own. */
static bool takes_memory(const mb_reduce_t *reduce)
{
    return !reduce->shape.borrows && !reduce->shape.windowed;
}

int64_t mb_reduce_memory(const mb_reduce_t *reduce)
{
    int64_t floats = takes_memory(reduce) ? reduce->plan.received : 0;
    return floats * (int64_t)sizeof(float) + reduce->plan.received64 * (int64_t)sizeof(double);
}

int64_t mb_reduce_received(const mb_reduce_t *reduce)
{
    return reduce->plan.received;
}

void mb_reduce_lend(mb_reduce_t *reduce, float *memory)
{
    reduce->received.floats = memory;
}

int64_t mb_reduce_gather_bytes(const mb_reduce_t *reduce)
{
    return bytes_sent(reduce, true);
}

static mb_status_t keep_bounds(mb_reduce_t *reduce)
{
    size_t n = (size_t)reduce->grid.groups + 1;
    if (reduce->shape.bounds == NULL)
        return MB_OK;
    int64_t *bounds = MB_ARENA_ARRAY(reduce->arena, int64_t, n);
    if (bounds == NULL)
        return mb_error_memory("the parts of a reduction", n * sizeof *bounds);
    memcpy(bounds, reduce->shape.bounds, n * sizeof *bounds);
    reduce->shape.bounds = bounds;
    return MB_OK;
}

static mb_status_t take(mb_reduce_t *reduce, int64_t count, size_t size, void **out)
{
    *out = NULL;
    return count == 0 ? MB_OK : mb_device_alloc(reduce->exec->device, (size_t)count * size, out);
}

static mb_status_t prepare(mb_reduce_t *reduce)
{
    void *memory;
    reduce->arena = mb_arena_create();
    if (reduce->arena == NULL)
        return mb_error_memory("a reduction", sizeof *reduce);
    MB_TRY(keep_bounds(reduce));
    MB_TRY(mb_reduce_plan(&reduce->grid, &reduce->shape, reduce->arena, &reduce->plan));
    size_t requests = (size_t)most_messages(&reduce->plan) + 1;
    reduce->requests = MB_ARENA_ARRAY(reduce->arena, mb_request_t *, requests);
    reduce->roots = MB_ARENA_ARRAY(reduce->arena, root_t, reduce->plan.n_roots + 1);
    if (reduce->requests == NULL || reduce->roots == NULL)
        return mb_error_memory("the requests of a reduction", requests);
    MB_TRY(take(reduce, takes_memory(reduce) ? reduce->plan.received : 0, sizeof(float), &memory));
    reduce->received.floats = memory;
    MB_TRY(take(reduce, reduce->plan.received64, sizeof(double), &memory));
    reduce->received.doubles = memory;
    return MB_OK;
}

mb_status_t mb_reduce_create(mb_comm_t *comm, mb_transport_t *transport, mb_exec_t *exec,
                             const mb_grid_t *grid, const mb_reduce_shape_t *shape, int tag,
                             mb_reduce_t **out)
{
    mb_reduce_t *reduce = calloc(1, sizeof *reduce);
    if (reduce == NULL)
        return mb_error_memory("a reduction", sizeof *reduce);
    *reduce = (mb_reduce_t){.comm = comm,
                            .transport = transport,
                            .exec = exec,
                            .grid = *grid,
                            .shape = *shape,
                            .tag = tag};
    mb_status_t status = prepare(reduce);
    if (status != MB_OK) {
        mb_reduce_destroy(reduce);
        return status;
    }
    *out = reduce;
    return MB_OK;
}

void mb_reduce_destroy(mb_reduce_t *reduce)
{
    if (reduce == NULL)
        return;
    int n = reduce->requests == NULL ? 0 : most_messages(&reduce->plan);
    for (int i = 0; i < n; i++) {
        if (reduce->requests[i] != NULL)
            reduce->transport->class_->cancel(reduce->transport, reduce->requests[i]);
    }
    if (!reduce->shape.borrows)
        mb_device_free(reduce->exec->device, reduce->received.floats);
    mb_device_free(reduce->exec->device, reduce->received.doubles);
    mb_arena_destroy(reduce->arena);
    free(reduce);
}

void mb_reduce_use_link(mb_reduce_t *reduce, mb_reduce_link_t *link)
{
    reduce->link = link;
}

void mb_reduce_use_window(mb_reduce_t *reduce, mb_reduce_window_t *window, int number,
                          int64_t first)
{
    reduce->piece = (mb_window_piece_t){
        .window = window, .number = number, .first = first, .count = reduce->shape.count};
}

void mb_reduce_keep_parts(mb_reduce_t *reduce)
{
    reduce->keeps_parts = true;
}

/* While planning there is no memory yet, and all places are nowhere. */
static void *find(const mb_reduce_t *reduce, mb_reduce_place_t place, bool wide)
{
    const root_t *base = place.root < 0 ? &reduce->received : &reduce->roots[place.root];
    if (reduce->exec->planning)
        return NULL;
    return wide ? (void *)(base->doubles + place.at) : (void *)(base->floats + place.at);
}

static const mb_reduce_round_t *current(const mb_reduce_t *reduce)
{
    return &reduce->plan.rounds[reduce->round];
}

static bool shares(const mb_reduce_t *reduce)
{
    return reduce->round >= reduce->plan.n_scatter;
}

static int rank_of(const mb_reduce_t *reduce, int group)
{
    return mb_grid_rank(&reduce->grid, reduce->grid.stage, group);
}

/* Roots of one group come in order, and each of its messages of a round is another's answer. */
static int tag_of(const mb_reduce_t *reduce, bool wide)
{
    return reduce->tag + 2 * shares(reduce) + wide;
}

static mb_status_t hand_over(mb_reduce_t *reduce, const mb_reduce_message_t *message,
                             mb_request_t **request)
{
    void *memory = find(reduce, message->place, message->wide);
    int peer = rank_of(reduce, message->group), tag = tag_of(reduce, message->wide);
    if (message->sends)
        return mb_transport_isend(reduce->transport, memory, bytes_of(message), peer, tag, request);
    return mb_transport_irecv(reduce->transport, memory, bytes_of(message), peer, tag, request);
}

static mb_status_t open_round(mb_reduce_t *reduce)
{
    const mb_reduce_round_t *round = current(reduce);
    if (reduce->exec->planning)
        return MB_OK;
    MB_TRY(mb_transport_group_begin(reduce->transport));
    for (int i = 0; i < round->n_messages; i++) {
        if (is_due(reduce, &round->messages[i], shares(reduce), reduce->gathers))
            MB_TRY(hand_over(reduce, &round->messages[i], &reduce->requests[i]));
    }
    return mb_transport_group_end(reduce->transport);
}

static mb_status_t add(mb_reduce_t *reduce, const mb_reduce_sum_t *sum)
{
    void *y = find(reduce, sum->y, sum->wide);
    const void *a = find(reduce, sum->a, sum->wide), *b = find(reduce, sum->b, sum->wide);
    mb_add_args_t args = {.count = sum->count, .a = a, .b = b, .y = y};
    mb_add_f64_args_t wide = {.count = sum->count, .a = a, .b = b, .y = y};
    return sum->wide ? mb_run_add_f64(reduce->exec, &wide) : mb_run_add(reduce->exec, &args);
}

/* The round's messages are over. Small numbers' additions take no time worth counting. */
static mb_status_t close_round(mb_reduce_t *reduce)
{
    const mb_reduce_round_t *round = current(reduce);
    for (int i = 0; i < round->n_sums; i++) {
        if (round->sums[i].wide || !reduce->shape.windowed)
            MB_TRY(add(reduce, &round->sums[i]));
    }
    if (!reduce->exec->planning && reduce->tag < MB_TAG_REDUCE_END &&
        mb_comm_is_virtual(reduce->comm))
        mb_comm_work(reduce->comm, MB_COMM_WORK_ADDS, -1, (double)mb_reduce_bytes_added(round));
    reduce->round++;
    reduce->under_way = reduce->round < reduce->plan.n_rounds;
    return reduce->under_way ? open_round(reduce) : MB_OK;
}

static mb_status_t test_round(mb_reduce_t *reduce, bool *over)
{
    const mb_transport_class_t *class_ = reduce->transport->class_;
    *over = true;
    for (int i = 0; i < current(reduce)->n_messages; i++) {
        bool done = true;
        if (reduce->requests[i] == NULL)
            continue;
        MB_TRY(class_->test(reduce->transport, reduce->requests[i], &done));
        if (done)
            reduce->requests[i] = NULL;
        *over = *over && done;
    }
    return MB_OK;
}

static mb_status_t await_round(mb_reduce_t *reduce)
{
    for (int i = 0; i < current(reduce)->n_messages; i++) {
        const mb_reduce_message_t *message = &current(reduce)->messages[i];
        mb_comm_note_t note = {.action = message->sends ? "sending gradients of replicas"
                                                        : "receiving gradients of replicas",
                               .stage = reduce->grid.stage,
                               .micro = -1,
                               .peer = rank_of(reduce, message->group),
                               .tag = tag_of(reduce, message->wide)};
        MB_TRY(mb_transport_wait(reduce->transport, reduce->comm, &reduce->requests[i], &note));
    }
    return MB_OK;
}

static mb_status_t start(mb_reduce_t *reduce, int round, bool gathers)
{
    reduce->gathers = gathers;
    reduce->round = round;
    reduce->under_way = round < reduce->plan.n_rounds;
    return reduce->under_way ? open_round(reduce) : MB_OK;
}

mb_status_t mb_reduce_start(mb_reduce_t *reduce, float *const *roots, double *const *roots64)
{
    const mb_reduce_shape_t *shape = &reduce->shape;
    /* One group holds all replicas: its stack of subtrees has come to one root. */
    if (reduce->grid.groups == 1)
        return MB_OK;
    if (reduce->link != NULL)
        return mb_reduce_link_start(reduce->link, reduce->plan.n_roots, shape->count,
                                    shape->count64, roots, roots64);
    for (int i = 0; i < reduce->plan.n_roots; i++)
        reduce->roots[i] =
            (root_t){shape->count == 0 ? NULL : roots[i], shape->count64 == 0 ? NULL : roots64[i]};
    if (reduce->piece.window != NULL)
        MB_TRY(mb_window_piece_start(&reduce->piece));
    return start(reduce, 0, false);
}

/* Where the host does not see messages arrive (an ordered transport's are awaited by the stream),
 * looking after them would hold up the computing. */
mb_status_t mb_reduce_go_on(mb_reduce_t *reduce)
{
    bool over = true;
    MB_TRY(mb_window_piece_go_on(&reduce->piece));
    while (reduce->under_way && over && !reduce->transport->class_->ordered) {
        MB_TRY(test_round(reduce, &over));
        if (over)
            MB_TRY(close_round(reduce));
    }
    return MB_OK;
}

mb_status_t mb_reduce_finish(mb_reduce_t *reduce)
{
    if (reduce->link != NULL && reduce->grid.groups > 1)
        return mb_reduce_link_finish(reduce->link);
    MB_TRY(mb_window_piece_finish(&reduce->piece));
    while (reduce->under_way) {
        MB_TRY(await_round(reduce));
        MB_TRY(close_round(reduce));
    }
    return MB_OK;
}

mb_status_t mb_reduce_run(mb_reduce_t *reduce, float *const *roots, double *const *roots64)
{
    MB_TRY(mb_reduce_start(reduce, roots, roots64));
    return mb_reduce_finish(reduce);
}

mb_status_t mb_reduce_gather(mb_reduce_t *reduce, float *values)
{
    if (reduce->grid.groups == 1 || reduce->shape.count == 0)
        return MB_OK;
    reduce->roots[0] = (root_t){values, NULL};
    MB_TRY(start(reduce, reduce->plan.n_scatter, true));
    while (reduce->under_way) {
        MB_TRY(await_round(reduce));
        MB_TRY(close_round(reduce));
    }
    return MB_OK;
}
