/* See reduce_window.h. */
#include "comm/reduce_window.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "comm/reduce_fold.h"

enum {
    PIECES = 128,
    MOST_ROOTS = 64,
    STRETCH = 32768 /* floats of a root: those of a few lie in a second-level cache */
};

typedef struct { /* apart, so that who waits for one does not slow down who writes the other */
    _Alignas(64) _Atomic uint64_t ready;
    _Alignas(64) _Atomic uint64_t done;
} signals_t;

struct mb_reduce_window {
    mb_comm_t *comm;
    mb_exec_t *exec;
    mb_grid_t grid;
    signals_t **signals; /* [groups][PIECES] */
    int n_roots;         /* of all groups, in the tree's order */
    float *roots[MOST_ROOTS];
    bool first[MOST_ROOTS]; /* of their group: they get the sum */
    int n_merges, into[MOST_ROOTS], from[MOST_ROOTS];
};

size_t mb_reduce_window_front(void)
{
    return PIECES * sizeof(signals_t);
}

int mb_reduce_window_pieces(void)
{
    return PIECES;
}

static bool list_roots(mb_reduce_window_t *window, const mb_shared_t *shared, size_t root_bytes,
                       mb_tree_node_t *nodes)
{
    const mb_grid_t *grid = &window->grid;
    for (int g = 0; g < grid->groups; g++) {
        int first, count;
        mb_tree_node_t own[MB_TREE_MAX_ROOTS];
        char *memory = mb_shared_of(shared, g);
        window->signals[g] = (signals_t *)(void *)memory;
        mb_grid_replicas(grid, g, &first, &count);
        int n = mb_tree_roots(grid->replicas, first, count, own);
        for (int i = 0; i < n; i++) {
            if (window->n_roots == MOST_ROOTS)
                return false;
            nodes[window->n_roots] = own[i];
            window->first[window->n_roots] = i == 0;
            window->roots[window->n_roots++] =
                (float *)(void *)(memory + mb_reduce_window_front() + (size_t)i * root_bytes);
        }
    }
    return true;
}

mb_status_t mb_reduce_window_create(mb_comm_t *comm, mb_exec_t *exec, const mb_grid_t *grid,
                                    const mb_shared_t *shared, size_t root_bytes,
                                    mb_reduce_window_t **out)
{
    mb_tree_node_t nodes[MOST_ROOTS];
    mb_reduce_window_t *window = calloc(1, sizeof *window);
    *out = NULL;
    if (window == NULL)
        return mb_error_memory("a window", sizeof *window);
    *window = (mb_reduce_window_t){.comm = comm, .exec = exec, .grid = *grid};
    window->signals = calloc((size_t)grid->groups, sizeof(signals_t *));
    if (window->signals == NULL) {
        mb_reduce_window_destroy(window);
        return mb_error_memory("a window", (size_t)grid->groups * sizeof(signals_t *));
    }
    if (!list_roots(window, shared, root_bytes, nodes)) {
        mb_reduce_window_destroy(window);
        return MB_OK;
    }
    window->n_merges =
        mb_tree_combine(grid->replicas, nodes, window->n_roots, window->into, window->from);
    *out = window;
    return MB_OK;
}

void mb_reduce_window_destroy(mb_reduce_window_t *window)
{
    if (window == NULL)
        return;
    free(window->signals);
    free(window);
}

/* ---- signals */

static signals_t *signals_of(const mb_window_piece_t *piece, int group)
{
    return &piece->window->signals[group][piece->number];
}

/* The first group that has not come so far; -1: all have. */
static int missing(const mb_window_piece_t *piece, bool done)
{
    for (int g = 0; g < piece->window->grid.groups; g++) {
        signals_t *signals = signals_of(piece, g);
        uint64_t turn =
            atomic_load_explicit(done ? &signals->done : &signals->ready, memory_order_acquire);
        if (turn < piece->turn)
            return g;
    }
    return -1;
}

static mb_status_t all_ready(void *user, bool *done)
{
    *done = missing(user, false) < 0;
    return MB_OK;
}

static mb_status_t all_done(void *user, bool *done)
{
    *done = missing(user, true) < 0;
    return MB_OK;
}

static mb_status_t await(mb_window_piece_t *piece, bool done)
{
    mb_reduce_window_t *window = piece->window;
    int group = missing(piece, done);
    mb_comm_note_t note = {
        .action = done ? "waiting for a replica's part of the gradients' sum"
                       : "waiting for gradients of replicas",
        .stage = window->grid.stage,
        .micro = -1,
        .peer = group < 0 ? -1 : mb_grid_rank(&window->grid, window->grid.stage, group),
        .tag = -1};
    return mb_comm_wait(window->comm, done ? all_done : all_ready, piece, &note);
}

/* ---- sums */

static mb_status_t give_out(const mb_reduce_window_t *window, int64_t at, int64_t count)
{
    for (int i = 1; i < window->n_roots; i++) {
        mb_copy_rows_args_t copy = {.rows = 1,
                                    .columns = count,
                                    .ld_from = count,
                                    .ld_to = count,
                                    .from = window->roots[0] + at,
                                    .to = window->roots[i] + at};
        if (window->first[i])
            MB_TRY(mb_run_copy_rows(window->exec, &copy));
    }
    return MB_OK;
}

static mb_status_t add_stretch(const mb_reduce_window_t *window, int64_t at, int64_t count)
{
    for (int i = 0; i < window->n_merges; i++) {
        float *into = window->roots[window->into[i]] + at;
        mb_add_args_t args = {
            .count = count, .a = into, .b = window->roots[window->from[i]] + at, .y = into};
        MB_TRY(mb_run_add(window->exec, &args));
    }
    return give_out(window, at, count);
}

static mb_status_t add_part(mb_window_piece_t *piece)
{
    const mb_reduce_window_t *window = piece->window;
    int groups = window->grid.groups, group = window->grid.group;
    int64_t end = piece->first + mb_reduce_even_bound(piece->count, false, groups, group + 1);
    int64_t at = piece->first + mb_reduce_even_bound(piece->count, false, groups, group);
    for (; at < end; at += STRETCH)
        MB_TRY(add_stretch(window, at, end - at < STRETCH ? end - at : STRETCH));
    piece->added = true;
    atomic_store_explicit(&signals_of(piece, group)->done, piece->turn, memory_order_release);
    return MB_OK;
}

static mb_status_t plan(const mb_window_piece_t *piece)
{
    int64_t longest = piece->count < STRETCH ? piece->count : STRETCH;
    return add_stretch(piece->window, piece->first, longest);
}

mb_status_t mb_window_piece_start(mb_window_piece_t *piece)
{
    const mb_reduce_window_t *window = piece->window;
    if (window->exec->planning)
        return plan(piece);
    piece->turn++;
    piece->under_way = true;
    piece->added = false;
    atomic_store_explicit(&signals_of(piece, window->grid.group)->ready, piece->turn,
                          memory_order_release);
    return MB_OK;
}

mb_status_t mb_window_piece_go_on(mb_window_piece_t *piece)
{
    if (!piece->under_way || piece->added || missing(piece, false) >= 0)
        return MB_OK;
    return add_part(piece);
}

mb_status_t mb_window_piece_finish(mb_window_piece_t *piece)
{
    if (!piece->under_way)
        return MB_OK;
    if (!piece->added) {
        MB_TRY(await(piece, false));
        MB_TRY(add_part(piece));
    }
    piece->under_way = false;
    return await(piece, true);
}
