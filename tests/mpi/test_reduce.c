/* Sums over replicas: the bits of the canonical tree for every number of groups, and as many bytes
 * as the formula says. */
#include "comm/reduce.h"
#include "comm/tags.h"
#include "mpi/cases.h"
#include "mpi/devices.h"

#include <stdlib.h>
#include <string.h>

#define MOST_REPLICAS 8

typedef struct {
    mb_comm_t *comm;
    test_device_t device;
    mb_grid_t grid;
    int64_t count, count64;
    float *roots[MB_TREE_MAX_ROOTS];
    double *roots64[MB_TREE_MAX_ROOTS];
    mb_shared_t *shared; /* the floats' roots stand there; NULL: in device memory */
} world_t;

static float value(int replica, int64_t i, int stage)
{
    uint32_t mixed =
        ((uint32_t)replica * 977U + (uint32_t)i * 131U + (uint32_t)stage) * 2654435761U;
    return (float)(mixed >> 8) * 0.37F * (i % 3 == 0 ? -1.0F : 1e-3F);
}

static void add(float *into, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        into[i] += from[i];
}

static void add64(double *into, const double *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        into[i] += from[i];
}

typedef struct {
    float *floats[MOST_REPLICAS + 1];
    double *doubles[MOST_REPLICAS + 1];
} terms_t;

static void make_terms(terms_t *terms, int n, int first, const world_t *world)
{
    for (int r = 0; r < n; r++) {
        terms->floats[r] = malloc((size_t)world->count * 4 + 4);
        terms->doubles[r] = malloc((size_t)world->count64 * 8 + 8);
        for (int64_t i = 0; i < world->count; i++)
            terms->floats[r][i] = value(first + r, i, world->grid.stage);
        for (int64_t i = 0; i < world->count64; i++)
            terms->doubles[r][i] = (double)value(first + r, i + 7, world->grid.stage) * 1.1;
    }
}

static void free_terms(terms_t *terms, int n)
{
    for (int r = 0; r < n; r++) {
        free(terms->floats[r]);
        free(terms->doubles[r]);
    }
}

/* Pairs, then pairs of pairs: the definition. The sum ends in term 0. */
static void sum_all(terms_t *terms, int replicas, const world_t *world)
{
    for (int step = 1; step < replicas; step *= 2) {
        for (int r = 0; r + step < replicas; r += 2 * step) {
            add(terms->floats[r], terms->floats[r + step], world->count);
            add64(terms->doubles[r], terms->doubles[r + step], world->count64);
        }
    }
}

/* What the engine does: replica after replica into the stack of subtrees, here on the host. */
static void make_roots(world_t *world)
{
    int first, count;
    terms_t terms;
    mb_tree_stack_t stack;
    mb_grid_replicas(&world->grid, world->grid.group, &first, &count);
    make_terms(&terms, count, first, world);
    mb_tree_stack_start(&stack, world->grid.replicas, first, count);
    for (int r = 0; r < count; r++) {
        int top = stack.depth;
        memcpy(terms.floats[top], terms.floats[r], (size_t)world->count * 4 * (top != r));
        memcpy(terms.doubles[top], terms.doubles[r], (size_t)world->count64 * 8 * (top != r));
        for (int merges = mb_tree_push(&stack); merges > 0; merges--, top--) {
            add(terms.floats[top - 1], terms.floats[top], world->count);
            add64(terms.doubles[top - 1], terms.doubles[top], world->count64);
        }
    }
    for (int i = 0; i < stack.depth; i++) {
        world->roots[i] = devices_alloc(&world->device, (size_t)world->count * 4);
        world->roots64[i] = devices_alloc(&world->device, (size_t)world->count64 * 8);
        devices_write(&world->device, world->roots[i], terms.floats[i], (size_t)world->count * 4);
        devices_write(&world->device, world->roots64[i], terms.doubles[i],
                      (size_t)world->count64 * 8);
    }
    free_terms(&terms, count);
}

static size_t root_bytes(const world_t *world)
{
    return ((size_t)world->count * 4 + 63) / 64 * 64;
}

/* The floats' roots move to where the others see them. */
static void share_roots(world_t *world)
{
    int first, count;
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
    char *memory = mb_shared_memory(world->shared);
    mb_grid_replicas(&world->grid, world->grid.group, &first, &count);
    int n = mb_tree_roots(world->grid.replicas, first, count, nodes);
    for (int i = 0; i < n; i++) {
        char *to = memory + mb_reduce_window_front() + (size_t)i * root_bytes(world);
        memcpy(to, world->roots[i], (size_t)world->count * 4);
        mb_device_free(world->device.device, world->roots[i]);
        world->roots[i] = (float *)(void *)to;
    }
}

static void free_roots(world_t *world)
{
    int first, count;
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
    mb_grid_replicas(&world->grid, world->grid.group, &first, &count);
    int n = mb_tree_roots(world->grid.replicas, first, count, nodes);
    for (int i = 0; i < n; i++) {
        if (world->shared == NULL)
            mb_device_free(world->device.device, world->roots[i]);
        mb_device_free(world->device.device, world->roots64[i]);
    }
}

static void check_sum(world_t *world)
{
    terms_t terms;
    float *floats = malloc((size_t)world->count * 4 + 4);
    double *doubles = malloc((size_t)world->count64 * 8 + 8);
    make_terms(&terms, world->grid.replicas, 0, world);
    sum_all(&terms, world->grid.replicas, world);
    devices_read(&world->device, floats, world->roots[0], (size_t)world->count * 4);
    devices_read(&world->device, doubles, world->roots64[0], (size_t)world->count64 * 8);
    EXPECT(memcmp(floats, terms.floats[0], (size_t)world->count * 4) == 0);
    EXPECT(memcmp(doubles, terms.doubles[0], (size_t)world->count64 * 8) == 0);
    free_terms(&terms, world->grid.replicas);
    free(floats);
    free(doubles);
}

/* A transport that counts what goes through another. */
typedef struct {
    mb_transport_t base;
    mb_transport_class_t class_;
    mb_transport_t *inner;
    int64_t bytes;
    int outstanding, most;
} counter_t;

static mb_status_t count_isend(mb_transport_t *transport, const void *buffer, size_t bytes,
                               int peer, int tag, mb_request_t **out)
{
    counter_t *counter = (counter_t *)transport;
    counter->bytes += (int64_t)bytes;
    counter->outstanding++;
    counter->most = counter->outstanding > counter->most ? counter->outstanding : counter->most;
    return mb_transport_isend(counter->inner, buffer, bytes, peer, tag, out);
}

static mb_status_t count_irecv(mb_transport_t *transport, void *buffer, size_t bytes, int peer,
                               int tag, mb_request_t **out)
{
    counter_t *counter = (counter_t *)transport;
    counter->outstanding++;
    counter->most = counter->outstanding > counter->most ? counter->outstanding : counter->most;
    return mb_transport_irecv(counter->inner, buffer, bytes, peer, tag, out);
}

static mb_status_t count_test(mb_transport_t *transport, mb_request_t *request, bool *done)
{
    counter_t *counter = (counter_t *)transport;
    MB_TRY(counter->inner->class_->test(counter->inner, request, done));
    counter->outstanding -= *done;
    return MB_OK;
}

static void wrap(counter_t *counter, mb_transport_t *inner)
{
    *counter = (counter_t){.class_ = *inner->class_, .inner = inner};
    counter->class_.isend = count_isend;
    counter->class_.irecv = count_irecv;
    counter->class_.test = count_test;
    counter->base.class_ = &counter->class_;
}

static void reduce_once(world_t *world)
{
    counter_t counter;
    mb_transport_t *transport = NULL;
    mb_reduce_t *reduce = NULL;
    const mb_grid_t *grid = &world->grid;
    mb_reduce_shape_t shape = {.count = world->count, .count64 = world->count64};
    int max_requests;
    size_t max_bytes;
    EXPECT_OK(mb_reduce_needs(grid, &shape, &max_requests, &max_bytes));
    EXPECT_OK(mb_transport_mpi_create(world->comm, &world->device.exec, max_requests, max_bytes,
                                      &transport));
    wrap(&counter, transport);
    EXPECT_OK(mb_reduce_create(world->comm, &counter.base, &world->device.exec, grid, &shape,
                               MB_TAG_REDUCE, &reduce));
    for (int run = 0; run < 2; run++) {
        counter.bytes = 0;
        make_roots(world);
        EXPECT_OK(mb_reduce_run(reduce, world->roots, world->roots64));
        check_sum(world);
        EXPECT(counter.bytes == mb_reduce_bytes(reduce));
        free_roots(world);
    }
    EXPECT(counter.outstanding == 0);
    EXPECT(counter.most <= max_requests);
    mb_reduce_destroy(reduce);
    mb_transport_destroy(transport);
}

static void each_grid(world_t *world, int ranks, int stages, int replicas)
{
    static const int64_t counts[][2] = {{0, 3}, {1, 0}, {17, 1}, {1000, 5}, {40000, 9}};
    mb_grid_set(&world->grid, ranks, cases_rank, stages, replicas);
    if (mb_grid_idle(&world->grid))
        return;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        world->count = counts[i][0];
        world->count64 = counts[i][1];
        reduce_once(world);
    }
}

static void reduce_on(const char *device)
{
    world_t world = {.comm = cases_comm(60)};
    devices_open(device, &world.device);
    for (int replicas = 1; replicas <= MOST_REPLICAS; replicas++) {
        for (int groups = 1; groups <= replicas && groups <= cases_size; groups++)
            each_grid(&world, groups, 1, replicas);
    }
    for (int replicas = 2; replicas <= 3 && cases_size >= 4; replicas++)
        each_grid(&world, cases_size, 2, replicas);
    devices_close(&world.device);
    mb_comm_destroy(world.comm);
}

static void sums_have_the_bits_of_the_tree_on_the_cpu(void)
{
    reduce_on("cpu");
}

static void sums_have_the_bits_of_the_tree_on_the_deferred_device(void)
{
    reduce_on("deferred");
}

/* Two steps, since signals go on counting from one to the next. */
static void reduce_in_window(world_t *world, mb_reduce_window_t *window)
{
    mb_transport_t *transport = NULL;
    mb_reduce_t *reduce = NULL;
    mb_reduce_shape_t shape = {
        .count = world->count, .count64 = world->count64, .windowed = window != NULL};
    EXPECT_OK(mb_transport_mpi_create(world->comm, &world->device.exec, 64, 1 << 20, &transport));
    EXPECT_OK(mb_reduce_create(world->comm, transport, &world->device.exec, &world->grid, &shape,
                               MB_TAG_REDUCE, &reduce));
    mb_reduce_use_window(reduce, window, 3, 0);
    EXPECT(window == NULL || mb_reduce_memory(reduce) < 4096);
    for (int run = 0; run < 2; run++) {
        make_roots(world);
        share_roots(world);
        EXPECT_OK(mb_reduce_start(reduce, world->roots, world->roots64));
        EXPECT_OK(mb_reduce_go_on(reduce));
        EXPECT_OK(mb_reduce_finish(reduce));
        check_sum(world);
        free_roots(world);
    }
    mb_reduce_destroy(reduce);
    mb_transport_destroy(transport);
}

static void window_on_grid(world_t *world, int groups, int replicas)
{
    bool joined;
    mb_reduce_window_t *window = NULL;
    mb_grid_set(&world->grid, groups, cases_rank, 1, replicas);
    bool idle = mb_grid_idle(&world->grid);
    size_t bytes = mb_reduce_window_front() + MOST_REPLICAS * root_bytes(world);
    EXPECT_OK(mb_shared_create(bytes, &world->shared));
    EXPECT_OK(mb_shared_join(world->comm, world->shared, idle ? -1 : 0, world->grid.group, groups,
                             &joined));
    EXPECT(joined != idle || world->shared == NULL);
    if (joined)
        EXPECT_OK(mb_reduce_window_create(world->comm, &world->device.exec, &world->grid,
                                          world->shared, root_bytes(world), &window));
    if (joined && groups > 1)
        reduce_in_window(world, window);
    mb_reduce_window_destroy(window);
    mb_shared_destroy(world->shared);
    world->shared = NULL;
}

static void sums_through_shared_memory_have_the_bits_of_the_tree(void)
{
    static const int64_t counts[] = {1, 17, 1000, 200000};
    world_t world = {.comm = cases_comm(60), .count64 = 5};
    devices_open("cpu", &world.device);
    for (int replicas = 1; replicas <= MOST_REPLICAS; replicas++) {
        for (int groups = 1; groups <= replicas && groups <= cases_size; groups++) {
            world.count = counts[(replicas + groups) % 4];
            window_on_grid(&world, groups, replicas);
        }
    }
    devices_close(&world.device);
    mb_comm_destroy(world.comm);
}

/* A rank that fails, or dies, leaves the others no signal to wait for. */
static void waits_for_signals_end_by_a_notice_and_by_the_deadline(void)
{
    for (int fails = 0; fails < 2; fails++) {
        bool joined;
        mb_reduce_window_t *window = NULL;
        world_t world = {.comm = cases_comm(fails ? 20 : 0.5), .count = 1000};
        devices_open("cpu", &world.device);
        mb_grid_set(&world.grid, cases_size, cases_rank, 1, cases_size);
        EXPECT_OK(mb_shared_create(mb_reduce_window_front() + root_bytes(&world), &world.shared));
        EXPECT_OK(mb_shared_join(world.comm, world.shared, 0, cases_rank, cases_size, &joined));
        if (joined)
            EXPECT_OK(mb_reduce_window_create(world.comm, &world.device.exec, &world.grid,
                                              world.shared, root_bytes(&world), &window));
        mb_window_piece_t piece = {.window = window, .count = world.count};
        MPI_Barrier(MPI_COMM_WORLD);
        mb_status_t status = MB_ERR_PEER;
        if (fails && cases_rank == cases_size - 1)
            mb_comm_fail(world.comm, mb_error_set(MB_ERR_NUMERIC, "NaN"));
        else if (window != NULL && cases_size > 1 && cases_rank != cases_size - 1) {
            EXPECT_OK(mb_window_piece_start(&piece));
            status = mb_window_piece_finish(&piece);
        }
        EXPECT(status == MB_ERR_PEER || (!fails && status == MB_ERR_TIMEOUT));
        mb_comm_settle(world.comm, 5);
        mb_reduce_window_destroy(window);
        mb_shared_destroy(world.shared);
        devices_close(&world.device);
        mb_comm_destroy(world.comm);
    }
}

static void planning_sends_nothing_and_needs_no_memory(void)
{
    mb_transport_t *transport = NULL;
    mb_reduce_t *reduce = NULL;
    world_t world = {.comm = cases_comm(20), .count = 100, .count64 = 3};
    mb_reduce_shape_t shape = {.count = 100, .count64 = 3};
    devices_open("cpu", &world.device);
    mb_grid_set(&world.grid, cases_size, cases_rank, 1, cases_size);
    EXPECT_OK(mb_transport_mpi_create(world.comm, &world.device.exec, 0, 0, &transport));
    EXPECT_OK(mb_reduce_create(world.comm, transport, &world.device.exec, &world.grid, &shape,
                               MB_TAG_REDUCE, &reduce));
    world.device.exec.planning = true;
    EXPECT_OK(mb_reduce_run(reduce, world.roots, world.roots64));
    world.device.exec.planning = false;
    mb_reduce_destroy(reduce);
    mb_transport_destroy(transport);
    devices_close(&world.device);
    mb_comm_destroy(world.comm);
}

static void a_rank_that_never_comes_ends_the_reduction_by_its_notice(void)
{
    mb_transport_t *transport = NULL;
    mb_reduce_t *reduce = NULL;
    world_t world = {.comm = cases_comm(20), .count = 50000, .count64 = 3};
    mb_reduce_shape_t shape = {.count = 50000, .count64 = 3};
    int requests;
    size_t bytes;
    devices_open("deferred", &world.device);
    mb_grid_set(&world.grid, cases_size, cases_rank, 1, cases_size);
    EXPECT_OK(mb_reduce_needs(&world.grid, &shape, &requests, &bytes));
    EXPECT_OK(mb_transport_mpi_create(world.comm, &world.device.exec, requests, bytes, &transport));
    EXPECT_OK(mb_reduce_create(world.comm, transport, &world.device.exec, &world.grid, &shape,
                               MB_TAG_REDUCE, &reduce));
    make_roots(&world);
    if (cases_rank == cases_size - 1)
        mb_comm_fail(world.comm, mb_error_set(MB_ERR_NUMERIC, "NaN"));
    else
        EXPECT(mb_reduce_run(reduce, world.roots, world.roots64) == MB_ERR_PEER);
    EXPECT(mb_comm_settle(world.comm, 5));
    mb_reduce_destroy(reduce);
    mb_transport_destroy(transport);
    free_roots(&world);
    devices_close(&world.device);
    mb_comm_destroy(world.comm);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

int main(int argc, char **argv)
{
    static const case_t cases[] = {
        CASE(sums_have_the_bits_of_the_tree_on_the_cpu),
        CASE(sums_have_the_bits_of_the_tree_on_the_deferred_device),
        CASE(sums_through_shared_memory_have_the_bits_of_the_tree),
        CASE(waits_for_signals_end_by_a_notice_and_by_the_deadline),
        CASE(planning_sends_nothing_and_needs_no_memory),
        CASE(a_rank_that_never_comes_ends_the_reduction_by_its_notice),
    };
    return cases_main(argc, argv, cases, (int)(sizeof(cases) / sizeof(cases[0])));
}
