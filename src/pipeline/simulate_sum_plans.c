/* The plans of sums, without places: see simulate_sums.h. */
#include "pipeline/simulate_sums.h"

#include <string.h>

#include "comm/reduce_plan.h"

typedef struct {
    const mb_grid_t *grid; /* of the group */
    const mb_reduce_shape_t *shape;
    mb_arena_t *arena; /* where the plan goes */
    int stride;        /* of the groups that this one exchanges with directly */
    bool runs;         /* some stand for all of them */
} maker_t;

static int64_t bytes_of(const mb_reduce_message_t *message)
{
    return message->count * (int64_t)(message->wide ? sizeof(double) : sizeof(float));
}

static mb_sum_message_t shorten(const mb_reduce_message_t *message, bool shares)
{
    return (mb_sum_message_t){
        .group = message->group,
        .sends = message->sends,
        .kind = (unsigned char)((shares ? MB_SUM_SHARES : 0) | (message->wide ? MB_SUM_WIDE : 0)),
        .bytes = bytes_of(message)};
}

/* ---- runs of groups */

static int distance(const maker_t *m, int from, int to)
{
    return (to - from + m->grid->groups) % m->grid->groups;
}

static int run_of(const maker_t *m, int away)
{
    return (int)((int64_t)away * MB_SUM_RUNS / m->grid->groups);
}

/* The least distance of a group in the run. */
static int first_of(const maker_t *m, int run)
{
    int64_t least = ((int64_t)run * m->grid->groups + MB_SUM_RUNS - 1) / MB_SUM_RUNS;
    int64_t steps = (least + m->stride - 1) / m->stride;
    return (int)(steps == 0 ? m->stride : steps * m->stride);
}

/* Floats of a run, and doubles, behind each other: first what is received. */
static void fill_run(const maker_t *m, int run, bool shares, mb_sum_message_t *out)
{
    int own = m->grid->group, groups = m->grid->groups, away = first_of(m, run);
    for (int i = 0; i < 4; i++) {
        bool sends = i / 2 != 0;
        out[i] = (mb_sum_message_t){
            .group = sends ? (own + away) % groups : (own - away + groups) % groups,
            .sends = sends,
            .kind = (unsigned char)((shares ? MB_SUM_SHARES : 0) | (i % 2))};
    }
}

static int put_runs(const maker_t *m, const mb_reduce_round_t *round, bool shares,
                    mb_sum_message_t *out)
{
    for (int run = 0; run < MB_SUM_RUNS; run++)
        fill_run(m, run, shares, &out[4 * run]);
    for (int i = 0; i < round->n_messages; i++) {
        const mb_reduce_message_t *message = &round->messages[i];
        if (message->sends)
            out[4 * run_of(m, distance(m, m->grid->group, message->group)) + 2 + message->wide]
                .bytes += bytes_of(message);
    }
    return 4 * MB_SUM_RUNS;
}

/* ---- a plan */

static int count_messages(const maker_t *m, const mb_reduce_plan_t *plan)
{
    int n = 0;
    for (int r = 0; r < plan->n_rounds; r++)
        n += plan->rounds[r].n_messages;
    return m->runs ? n + 8 * MB_SUM_RUNS : n;
}

/* The one round of each direction in which groups exchange directly is the last that scatters and
 * the first that shares. */
static bool is_direct(const maker_t *m, const mb_reduce_plan_t *plan, int round)
{
    return m->runs && (round == plan->n_scatter - 1 || round == plan->n_scatter);
}

static void fill(const maker_t *m, const mb_reduce_plan_t *plan, mb_sum_plan_t *out)
{
    int n = 0;
    for (int r = 0; r < plan->n_rounds; r++) {
        const mb_reduce_round_t *round = &plan->rounds[r];
        bool shares = r >= plan->n_scatter, direct = is_direct(m, plan, r);
        out->rounds[r] = (mb_sum_round_t){.first = n,
                                          .gathers = direct && !shares,
                                          .added = (double)mb_reduce_bytes_added(round)};
        if (direct)
            n += put_runs(m, round, shares, &out->messages[n]);
        for (int i = 0; i < round->n_messages && !direct; i++)
            out->messages[n++] = shorten(&round->messages[i], shares);
        out->rounds[r].end = n;
    }
}

static mb_status_t shorten_plan(const maker_t *m, mb_arena_t *scratch, mb_sum_plan_t *out)
{
    mb_reduce_plan_t plan;
    MB_TRY(mb_reduce_plan(m->grid, m->shape, scratch, &plan));
    size_t n = (size_t)count_messages(m, &plan) + 1;
    out->n_rounds = plan.n_rounds;
    out->n_scatter = plan.n_scatter;
    out->rounds = MB_ARENA_ARRAY(m->arena, mb_sum_round_t, plan.n_rounds + 1);
    out->messages = MB_ARENA_ARRAY(m->arena, mb_sum_message_t, n);
    if (out->rounds == NULL || out->messages == NULL)
        return mb_error_memory("a simulation's sums", n * sizeof *out->messages);
    fill(m, &plan, out);
    return MB_OK;
}

static mb_status_t plan_group(const mb_grid_t *grid, const mb_reduce_shape_t *shape,
                              mb_arena_t *arena, mb_sum_plan_t *out)
{
    int blocks = mb_reduce_blocks(grid, shape);
    maker_t m = {.grid = grid,
                 .shape = shape,
                 .arena = arena,
                 .stride = grid->groups / blocks,
                 .runs = blocks > MB_SUM_RUNS + 1};
    mb_arena_t *scratch = mb_arena_create();
    if (scratch == NULL)
        return mb_error_memory("a simulation's sums", 0);
    mb_status_t status = shorten_plan(&m, scratch, out);
    mb_arena_destroy(scratch);
    return status;
}

/* ---- in each other's memory */

/* Groups of a stage that are ranks of one node, of CPUs, sum floats where these stand
 * (comm/reduce_window.h): each says that its own are ready, makes its part of the sum from all of
 * them, which is one pass over a block's bytes to read and one to write, and says that it is done.
 */
static bool is_in_place(const mb_simulation_t *s, int chunk)
{
    const mb_grid_t *grid = s->grid;
    int stage = s->plans[0]->stage_of_chunk[chunk];
    bool near = grid->groups > 1 && s->parts == NULL && s->hardware->inside.occupies > 0;
    for (int g = 1; g < grid->groups && near; g++)
        near = mb_simulated_near(s->hardware, mb_grid_rank(grid, stage, 0),
                                 mb_grid_rank(grid, stage, g));
    return near;
}

static int put_signals(const mb_grid_t *grid, bool done, mb_sum_message_t *out)
{
    int n = 0;
    for (int g = 0; g < 2 * grid->groups; g++) {
        if (g / 2 != grid->group)
            out[n++] = (mb_sum_message_t){.group = g / 2,
                                          .sends = g % 2 != 0,
                                          .kind = done ? MB_SUM_SHARES : 0,
                                          .bytes = (int64_t)sizeof(uint64_t)};
    }
    return n;
}

/* WIDE: of the doubles, which go by messages behind. */
static mb_status_t put_in_front(const mb_grid_t *grid, const mb_reduce_shape_t *shape,
                                mb_arena_t *arena, const mb_sum_plan_t *wide, mb_sum_plan_t *out)
{
    int signals = 2 * (grid->groups - 1);
    int n = wide->n_rounds == 0 ? 0 : wide->rounds[wide->n_rounds - 1].end;
    *out = (mb_sum_plan_t){.n_rounds = 2 + wide->n_rounds,
                           .n_scatter = 2 + wide->n_scatter,
                           .rounds = MB_ARENA_ARRAY(arena, mb_sum_round_t, 2 + wide->n_rounds),
                           .messages = MB_ARENA_ARRAY(arena, mb_sum_message_t, 2 * signals + n)};
    if (out->rounds == NULL || out->messages == NULL)
        return mb_error_memory("a simulation's sums", (size_t)n * sizeof *out->messages);
    out->rounds[0] =
        (mb_sum_round_t){.end = signals, .added = 2 * (double)shape->count * (double)sizeof(float)};
    out->rounds[1] = (mb_sum_round_t){.first = signals, .end = 2 * signals};
    put_signals(grid, false, out->messages);
    put_signals(grid, true, out->messages + signals);
    for (int r = 0; r < wide->n_rounds; r++) {
        out->rounds[2 + r] = wide->rounds[r];
        out->rounds[2 + r].first += 2 * signals;
        out->rounds[2 + r].end += 2 * signals;
    }
    memcpy(out->messages + 2 * signals, wide->messages, (size_t)n * sizeof *wide->messages);
    return MB_OK;
}

static mb_status_t plan_any(const mb_grid_t *grid, const mb_reduce_shape_t *shape,
                            mb_arena_t *arena, mb_sum_plan_t *out)
{
    mb_sum_plan_t wide;
    mb_reduce_shape_t doubles = {.count64 = shape->count64};
    if (!shape->windowed)
        return plan_group(grid, shape, arena, out);
    MB_TRY(plan_group(grid, &doubles, arena, &wide));
    return put_in_front(grid, shape, arena, &wide, out);
}

/* ---- all of them */

static mb_status_t plan_groups(const mb_simulation_t *s, const mb_reduce_shape_t *shape,
                               mb_arena_t *arena, const mb_sum_plan_t **out)
{
    mb_grid_t grid = *s->grid;
    mb_sum_plan_t *plans = MB_ARENA_ARRAY(arena, mb_sum_plan_t, grid.groups);
    if (plans == NULL)
        return mb_error_memory("a simulation's sums", (size_t)grid.groups * sizeof *plans);
    for (int g = 0; g < grid.groups; g++) {
        grid.group = g;
        grid.stage = 0;
        MB_TRY(plan_any(&grid, shape, arena, &plans[g]));
    }
    *out = plans;
    return MB_OK;
}

static mb_reduce_shape_t shape_of(const mb_simulation_t *s, int chunk, int bucket)
{
    bool last = bucket + 1 == s->plans[0]->first_bucket[chunk + 1];
    int64_t bytes = s->gradient_bytes == NULL ? 0 : s->gradient_bytes[bucket];
    return (mb_reduce_shape_t){.count = bytes / (int64_t)sizeof(float),
                               .windowed = bytes > 0 && is_in_place(s, chunk),
                               .count64 = last && s->sum_counts != NULL ? s->sum_counts[chunk] : 0,
                               .bounds = s->parts == NULL ? NULL : s->parts->bounds[bucket]};
}

static bool are_alike(const mb_simulation_t *s, const mb_reduce_shape_t *a,
                      const mb_reduce_shape_t *b)
{
    size_t bounds = ((size_t)s->grid->groups + 1) * sizeof *a->bounds;
    return a->count == b->count && a->count64 == b->count64 && a->windowed == b->windowed &&
           (a->bounds == NULL || memcmp(a->bounds, b->bounds, bounds) == 0);
}

mb_status_t mb_sum_plans(const mb_simulation_t *s, mb_arena_t *arena, const mb_sum_plan_t ***out)
{
    const mb_plan_t *plan = s->plans[0];
    size_t n = (size_t)plan->first_bucket[plan->chunks];
    const mb_sum_plan_t **plans = MB_ARENA_ARRAY(arena, const mb_sum_plan_t *, n);
    mb_reduce_shape_t *shapes = MB_ARENA_ARRAY(arena, mb_reduce_shape_t, n);
    if (plans == NULL || shapes == NULL)
        return mb_error_memory("a simulation's sums", n * sizeof *shapes);
    for (int c = 0; c < plan->chunks; c++) {
        for (int b = plan->first_bucket[c]; b < plan->first_bucket[c + 1]; b++) {
            shapes[b] = shape_of(s, c, b);
            for (int other = 0; other < b && plans[b] == NULL; other++)
                plans[b] = are_alike(s, &shapes[b], &shapes[other]) ? plans[other] : NULL;
            if (plans[b] == NULL)
                MB_TRY(plan_groups(s, &shapes[b], arena, &plans[b]));
        }
    }
    *out = plans;
    return MB_OK;
}
