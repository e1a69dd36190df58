/* Sums over replicas: every group's rank combines one shard of all roots in tree order, then the
 * finished shards go to everyone. Doubles are few and go to group 0 whole. See reduce.h. */
#include "comm/reduce.h"

#include <stdlib.h>

#define SHARD_UNIT 16 /* floats: 64 bytes, so that every shard is aligned */
#define TAG_ROOT_DOUBLES (MB_TAG_REDUCE + MB_TREE_MAX_ROOTS)
#define TAG_SUM (MB_TAG_REDUCE + 2 * MB_TREE_MAX_ROOTS)
#define TAG_SUM_DOUBLES (TAG_SUM + 1)

typedef struct { /* a root of some group: this rank's own, or received */
    int group, index;
    float *shard;
    double *doubles;
    mb_request_t *shard_request, *doubles_request;
} root_t;

struct mb_reduce {
    mb_comm_t *comm;
    mb_transport_t *transport;
    mb_exec_t *exec;
    mb_grid_t grid;
    int64_t count, count64;
    int64_t first, shard; /* this rank's shard: where it begins, how long it is */
    int n_roots, n_own;
    root_t *roots; /* all groups', in replica order */
    int *into, *from;
    int n_merges;
    int n_sends;
    mb_request_t **sends;
    void *received, *received64;
    mb_reduce_link_t *link; /* NULL: the tree */
};

static int64_t shard_first(const mb_grid_t *grid, int64_t count, int group)
{
    int64_t units = (count + SHARD_UNIT - 1) / SHARD_UNIT;
    int64_t per_group = units / grid->groups, rest = units % grid->groups;
    int64_t first = per_group * group + (group < rest ? group : rest);
    return first * SHARD_UNIT < count ? first * SHARD_UNIT : count;
}

static int64_t shard_count(const mb_grid_t *grid, int64_t count, int group)
{
    return shard_first(grid, count, group + 1) - shard_first(grid, count, group);
}

static int group_roots(const mb_grid_t *grid, int group, mb_tree_node_t *nodes)
{
    int first, count;
    mb_grid_replicas(grid, group, &first, &count);
    return mb_tree_roots(grid->replicas, first, count, nodes);
}

static int all_roots(const mb_grid_t *grid)
{
    int n = 0;
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
    for (int group = 0; group < grid->groups; group++)
        n += group_roots(grid, group, nodes);
    return n;
}

int mb_reduce_max_requests(const mb_grid_t *grid)
{
    if (mb_grid_idle(grid) || grid->groups == 1)
        return 0;
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
    int own = group_roots(grid, grid->group, nodes), others = grid->groups - 1;
    int scatter = own * others + own + 2 * (all_roots(grid) - own);
    return scatter + 4 * others;
}

size_t mb_reduce_max_bytes(const mb_grid_t *grid, int64_t count, int64_t count64)
{
    if (mb_grid_idle(grid) || grid->groups == 1)
        return 0;
    size_t floats = (size_t)shard_count(grid, count, 0) * sizeof(float);
    size_t doubles = (size_t)count64 * sizeof(double);
    return floats > doubles ? floats : doubles;
}

int64_t mb_reduce_bytes(const mb_grid_t *grid, int64_t count, int64_t count64)
{
    if (mb_grid_idle(grid) || grid->groups == 1)
        return 0;
    mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
    int64_t own = group_roots(grid, grid->group, nodes), others = grid->groups - 1;
    int64_t shard = shard_count(grid, count, grid->group);
    int64_t floats = own * (count - shard) + others * shard;
    int64_t doubles = (grid->group == 0 ? others : own) * count64;
    return floats * (int64_t)sizeof(float) + doubles * (int64_t)sizeof(double);
}

static mb_status_t find_roots(mb_reduce_t *reduce)
{
    size_t n = (size_t)all_roots(&reduce->grid);
    mb_tree_node_t *nodes = calloc(n + MB_TREE_MAX_ROOTS, sizeof(*nodes));
    reduce->roots = calloc(n, sizeof(*reduce->roots));
    reduce->into = calloc(n, sizeof(*reduce->into));
    reduce->from = calloc(n, sizeof(*reduce->from));
    if (nodes == NULL || reduce->roots == NULL || reduce->into == NULL || reduce->from == NULL) {
        free(nodes);
        return mb_error_memory("the roots of a reduction", n * sizeof(*reduce->roots));
    }
    for (int group = 0; group < reduce->grid.groups; group++) {
        int of_group = group_roots(&reduce->grid, group, nodes + reduce->n_roots);
        for (int i = 0; i < of_group; i++)
            reduce->roots[reduce->n_roots++] = (root_t){.group = group, .index = i};
        if (group == reduce->grid.group)
            reduce->n_own = of_group;
    }
    reduce->n_merges =
        mb_tree_combine(reduce->grid.replicas, nodes, reduce->n_roots, reduce->into, reduce->from);
    free(nodes);
    return MB_OK;
}

/* Device memory for the shards that come from the other groups. */
static mb_status_t allocate(mb_reduce_t *reduce)
{
    bool owns_doubles = reduce->grid.group == 0;
    int64_t stride = (reduce->shard + SHARD_UNIT - 1) / SHARD_UNIT * SHARD_UNIT;
    int64_t stride64 = (reduce->count64 + 7) / 8 * 8;
    size_t others = (size_t)(reduce->n_roots - reduce->n_own);
    mb_device_t *device = reduce->exec->device;
    reduce->sends =
        calloc((size_t)mb_reduce_max_requests(&reduce->grid) + 1, sizeof(mb_request_t *));
    if (reduce->sends == NULL)
        return mb_error_memory("the requests of a reduction", sizeof(mb_request_t *));
    if (stride > 0)
        MB_TRY(mb_device_alloc(device, others * (size_t)stride * sizeof(float), &reduce->received));
    if (stride64 > 0 && owns_doubles)
        MB_TRY(mb_device_alloc(device, others * (size_t)stride64 * sizeof(double),
                               &reduce->received64));
    int64_t other = 0;
    for (int i = 0; i < reduce->n_roots; i++) {
        root_t *root = &reduce->roots[i];
        if (root->group == reduce->grid.group)
            continue;
        if (reduce->received != NULL)
            root->shard = (float *)reduce->received + other * stride;
        if (reduce->received64 != NULL)
            root->doubles = (double *)reduce->received64 + other * stride64;
        other++;
    }
    return MB_OK;
}

mb_status_t mb_reduce_create(mb_comm_t *comm, mb_transport_t *transport, mb_exec_t *exec,
                             const mb_grid_t *grid, int64_t count, int64_t count64,
                             mb_reduce_t **out)
{
    mb_reduce_t *reduce = calloc(1, sizeof(*reduce));
    if (reduce == NULL)
        return mb_error_memory("a reduction", sizeof(*reduce));
    *reduce = (mb_reduce_t){.comm = comm,
                            .transport = transport,
                            .exec = exec,
                            .grid = *grid,
                            .count = count,
                            .count64 = count64,
                            .first = shard_first(grid, count, grid->group),
                            .shard = shard_count(grid, count, grid->group)};
    mb_status_t status = MB_OK;
    if (grid->groups > 1)
        status = find_roots(reduce);
    if (status == MB_OK && grid->groups > 1)
        status = allocate(reduce);
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
    const mb_transport_class_t *class_ = reduce->transport->class_;
    for (int i = 0; i < reduce->n_sends; i++) {
        if (reduce->sends[i] != NULL)
            class_->cancel(reduce->transport, reduce->sends[i]);
    }
    for (int i = 0; i < reduce->n_roots; i++) {
        if (reduce->roots[i].shard_request != NULL)
            class_->cancel(reduce->transport, reduce->roots[i].shard_request);
        if (reduce->roots[i].doubles_request != NULL)
            class_->cancel(reduce->transport, reduce->roots[i].doubles_request);
    }
    mb_device_free(reduce->exec->device, reduce->received);
    mb_device_free(reduce->exec->device, reduce->received64);
    free(reduce->sends);
    free(reduce->roots);
    free(reduce->into);
    free(reduce->from);
    free(reduce);
}

static int rank_of(const mb_reduce_t *reduce, int group)
{
    return mb_grid_rank(&reduce->grid, reduce->grid.stage, group);
}

static mb_status_t receive(mb_reduce_t *reduce, void *buffer, int64_t bytes, int group, int tag,
                           mb_request_t **request)
{
    if (bytes == 0)
        return MB_OK;
    return mb_transport_irecv(reduce->transport, buffer, (size_t)bytes, rank_of(reduce, group), tag,
                              request);
}

static mb_status_t send(mb_reduce_t *reduce, const void *buffer, int64_t bytes, int group, int tag)
{
    if (bytes == 0)
        return MB_OK;
    MB_TRY(mb_transport_isend(reduce->transport, buffer, (size_t)bytes, rank_of(reduce, group), tag,
                              &reduce->sends[reduce->n_sends]));
    reduce->n_sends++;
    return MB_OK;
}

static mb_status_t await(mb_reduce_t *reduce, mb_request_t **request, const char *action, int group,
                         int tag)
{
    mb_comm_note_t note = {.action = action,
                           .stage = reduce->grid.stage,
                           .micro = -1,
                           .peer = group < 0 ? -1 : rank_of(reduce, group),
                           .tag = tag};
    return mb_transport_wait(reduce->transport, reduce->comm, request, &note);
}

static mb_status_t await_sends(mb_reduce_t *reduce)
{
    for (int i = 0; i < reduce->n_sends; i++)
        MB_TRY(await(reduce, &reduce->sends[i], "sending gradients of replicas", -1, -1));
    reduce->n_sends = 0;
    return MB_OK;
}

static mb_status_t post_roots(mb_reduce_t *reduce)
{
    int64_t bytes = reduce->shard * (int64_t)sizeof(float);
    int64_t bytes64 = reduce->grid.group == 0 ? reduce->count64 * (int64_t)sizeof(double) : 0;
    for (int i = 0; i < reduce->n_roots; i++) {
        root_t *root = &reduce->roots[i];
        if (root->group == reduce->grid.group)
            continue;
        MB_TRY(receive(reduce, root->shard, bytes, root->group, MB_TAG_REDUCE + root->index,
                       &root->shard_request));
        MB_TRY(receive(reduce, root->doubles, bytes64, root->group, TAG_ROOT_DOUBLES + root->index,
                       &root->doubles_request));
    }
    return MB_OK;
}

/* Begins with the next group, so that the ranks do not all send to the same one at once. */
static mb_status_t send_roots(mb_reduce_t *reduce, float *const *roots, double *const *roots64)
{
    const mb_grid_t *grid = &reduce->grid;
    for (int step = 1; step < grid->groups; step++) {
        int group = (grid->group + step) % grid->groups;
        int64_t first = shard_first(grid, reduce->count, group);
        int64_t bytes = shard_count(grid, reduce->count, group) * (int64_t)sizeof(float);
        int64_t bytes64 = group == 0 ? reduce->count64 * (int64_t)sizeof(double) : 0;
        for (int i = 0; i < reduce->n_own; i++) {
            if (bytes > 0)
                MB_TRY(send(reduce, roots[i] + first, bytes, group, MB_TAG_REDUCE + i));
            if (bytes64 > 0)
                MB_TRY(send(reduce, roots64[i], bytes64, group, TAG_ROOT_DOUBLES + i));
        }
    }
    return MB_OK;
}

static mb_status_t add(mb_reduce_t *reduce, float *y, const float *a, const float *b)
{
    mb_add_args_t args = {.count = reduce->shard, .a = a, .b = b, .y = y};
    return args.count == 0 ? MB_OK : mb_run_add(reduce->exec, &args);
}

static mb_status_t add64(mb_reduce_t *reduce, double *y, const double *a, const double *b)
{
    mb_add_f64_args_t args = {.count = reduce->count64, .a = a, .b = b, .y = y};
    bool mine = reduce->grid.group == 0;
    return args.count == 0 || !mine ? MB_OK : mb_run_add_f64(reduce->exec, &args);
}

static mb_status_t await_root(mb_reduce_t *reduce, root_t *root)
{
    const char *action = "receiving gradients of replicas";
    MB_TRY(await(reduce, &root->shard_request, action, root->group, MB_TAG_REDUCE + root->index));
    return await(reduce, &root->doubles_request, action, root->group,
                 TAG_ROOT_DOUBLES + root->index);
}

/* The last addition writes the whole sum to where it belongs, this rank's root 0. */
static mb_status_t combine(mb_reduce_t *reduce, float *sum, double *sum64)
{
    for (int i = 0; i < reduce->n_merges; i++) {
        root_t *into = &reduce->roots[reduce->into[i]], *from = &reduce->roots[reduce->from[i]];
        bool last = i + 1 == reduce->n_merges;
        MB_TRY(await_root(reduce, into));
        MB_TRY(await_root(reduce, from));
        MB_TRY(add(reduce, last ? sum : into->shard, into->shard, from->shard));
        MB_TRY(add64(reduce, last ? sum64 : into->doubles, into->doubles, from->doubles));
    }
    return MB_OK;
}

/* Root 0 is sent from and then written by the finished shards: its sends must be done first. */
static mb_status_t share_sums(mb_reduce_t *reduce, float *sums, double *sums64)
{
    const mb_grid_t *grid = &reduce->grid;
    int64_t bytes = reduce->shard * (int64_t)sizeof(float);
    int64_t bytes64 = reduce->count64 * (int64_t)sizeof(double);
    MB_TRY(await_sends(reduce));
    MB_TRY(mb_transport_group_begin(reduce->transport));
    for (int step = 1; step < grid->groups; step++) {
        int group = (grid->group + step) % grid->groups;
        int64_t first = shard_first(grid, reduce->count, group);
        int64_t count = shard_count(grid, reduce->count, group);
        if (count > 0)
            MB_TRY(receive(reduce, sums + first, count * (int64_t)sizeof(float), group, TAG_SUM,
                           &reduce->sends[reduce->n_sends++]));
        if (group == 0)
            MB_TRY(receive(reduce, sums64, bytes64, group, TAG_SUM_DOUBLES,
                           &reduce->sends[reduce->n_sends++]));
    }
    for (int step = 1; step < grid->groups; step++) {
        int group = (grid->group + step) % grid->groups;
        if (bytes > 0)
            MB_TRY(send(reduce, sums + reduce->first, bytes, group, TAG_SUM));
        if (grid->group == 0)
            MB_TRY(send(reduce, sums64, bytes64, group, TAG_SUM_DOUBLES));
    }
    MB_TRY(mb_transport_group_end(reduce->transport));
    return await_sends(reduce);
}

static mb_status_t plan_adds(mb_reduce_t *reduce)
{
    MB_TRY(add(reduce, NULL, NULL, NULL));
    return add64(reduce, NULL, NULL, NULL);
}

static void place_own_roots(mb_reduce_t *reduce, float *const *roots, double *const *roots64)
{
    for (int i = 0; i < reduce->n_roots; i++) {
        root_t *root = &reduce->roots[i];
        if (root->group != reduce->grid.group)
            continue;
        root->shard = reduce->shard == 0 ? NULL : roots[root->index] + reduce->first;
        root->doubles = reduce->count64 == 0 ? NULL : roots64[root->index];
    }
}

void mb_reduce_use_link(mb_reduce_t *reduce, mb_reduce_link_t *link)
{
    reduce->link = link;
}

mb_status_t mb_reduce_run(mb_reduce_t *reduce, float *const *roots, double *const *roots64)
{
    /* One group holds all replicas: its stack of subtrees has come to one root. */
    if (reduce->grid.groups == 1)
        return MB_OK;
    if (reduce->link != NULL)
        return mb_reduce_link_run(reduce->link, reduce->n_own, reduce->count, reduce->count64,
                                  roots, roots64);
    if (reduce->exec->planning)
        return plan_adds(reduce);
    float *sums = reduce->count == 0 ? NULL : roots[0];
    double *sums64 = reduce->count64 == 0 ? NULL : roots64[0];
    place_own_roots(reduce, roots, roots64);
    MB_TRY(mb_transport_group_begin(reduce->transport));
    MB_TRY(post_roots(reduce));
    MB_TRY(send_roots(reduce, roots, roots64));
    MB_TRY(mb_transport_group_end(reduce->transport));
    MB_TRY(combine(reduce, reduce->shard == 0 ? NULL : sums + reduce->first, sums64));
    return share_sums(reduce, sums, sums64);
}
