/* The operations that a plugin's layer is composed of, as operations of the device. */
#include "plugin/inside.h"

#include <ctype.h>
#include <stdio.h>

#include "base/str.h"
#include "model/layers/view.h"

static const mb_run_t *run_of(const mb_plugin_run_t *run)
{
    return run->internals->run;
}

/* A result without an address is not wanted, but planned. */
static bool is_wanted(const mb_plugin_run_t *run, const void *y)
{
    return y != NULL || run_of(run)->exec->planning;
}

/* ---- map */

enum { WORD = 48 };

static const char *lower(const char *name, char word[WORD])
{
    int i = 0;
    for (; name[i] != '\0' && i + 1 < WORD; i++)
        word[i] = (char)tolower((unsigned char)name[i]);
    word[i] = '\0';
    return word;
}

static bool is_function(mb_map_t function, const char *name)
{
    const char *own = mb_map_name(function);
    int i = 0;
    while (name[i] != '\0' && tolower((unsigned char)own[i]) == name[i])
        i++;
    return name[i] == '\0' && own[i] == '\0';
}

static mb_status_t no_function(const char *name)
{
    char words[MB_MAP_COUNT][WORD];
    const char *names[MB_MAP_COUNT];
    for (int f = 0; f < MB_MAP_COUNT; f++)
        names[f] = lower(mb_map_name((mb_map_t)f), words[f]);
    const char *nearest = mb_str_nearest(name, names, MB_MAP_COUNT);
    return mb_error_set(MB_ERR_ARGUMENT, "map has no function '%s'%s%s%s", name,
                        nearest == NULL ? "" : ": do you mean '", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "'?");
}

static mb_status_t find_function(const char *name, int n, mb_map_t *out)
{
    for (int f = 0; f < MB_MAP_COUNT; f++) {
        *out = (mb_map_t)f;
        if (!is_function(*out, name))
            continue;
        if (mb_map_inputs(*out) == n)
            return MB_OK;
        return mb_error_set(MB_ERR_ARGUMENT, "map's function '%s' takes %d operands, found %d",
                            name, mb_map_inputs(*out), n);
    }
    return no_function(name);
}

/* The samples, then AXES dimensions, those that the shape lacks in front. */
static mb_view_t view_of(const mb_plugin_run_t *run, mb_plugin_kind_t kind,
                         const mb_plugin_shape_t *shape, int axes)
{
    mb_shape_t own = mb_plugin_shape_in(shape);
    mb_view_t view = mb_view_of(kind == MB_PLUGIN_WEIGHT ? 1 : run->samples, &own);
    while (view.axes < axes + 1)
        mb_view_insert(&view, 1, 1, 0);
    return view;
}

static mb_status_t unite(mb_view_t *whole, const mb_view_t *view, const char *function)
{
    for (int d = 0; d < whole->axes; d++) {
        if (view->dim[d] == 1 || view->dim[d] == whole->dim[d])
            continue;
        if (whole->dim[d] != 1)
            return mb_error_set(MB_ERR_SHAPE,
                                "map '%s': operands of %lld and %lld elements along axis %d do not "
                                "broadcast to one another",
                                function, (long long)whole->dim[d], (long long)view->dim[d], d);
        whole->dim[d] = view->dim[d];
    }
    return MB_OK;
}

typedef struct {
    const mb_plugin_run_t *run;
    const char *function;
    int n, axes;
    const mb_plugin_operand_t *operands;
    const mb_plugin_result_t *y;
    mb_view_t whole; /* all axes in their full length; the strides say nothing */
} map_t;

static mb_status_t find_whole(map_t *m)
{
    m->axes = m->y->shape->rank;
    for (int i = 0; i < m->n; i++) {
        bool shaped = m->operands[i].kind != MB_PLUGIN_NUMBER;
        if (shaped && m->operands[i].shape->rank > m->axes)
            m->axes = m->operands[i].shape->rank;
    }
    m->whole = view_of(m->run, m->y->kind, m->y->shape, m->axes);
    for (int i = 0; i < m->n; i++) {
        const mb_plugin_operand_t *operand = &m->operands[i];
        if (operand->kind == MB_PLUGIN_NUMBER)
            continue;
        mb_view_t view = view_of(m->run, operand->kind, operand->shape, m->axes);
        MB_TRY(unite(&m->whole, &view, m->function));
    }
    return MB_OK;
}

static mb_map_input_t input_of(const map_t *m, int i)
{
    const mb_plugin_operand_t *operand = &m->operands[i];
    if (operand->kind == MB_PLUGIN_NUMBER)
        return mb_map_constant(operand->number);
    mb_view_t view = view_of(m->run, operand->kind, operand->shape, m->axes);
    mb_view_broadcast(&view, &m->whole);
    return operand->kind == MB_PLUGIN_WEIGHT ? mb_map_weight(operand->data, view)
                                             : mb_map_tensor(operand->data, view);
}

mb_status_t mb_plugin_map(const mb_plugin_run_t *run, const char *function, int n,
                          const mb_plugin_operand_t *operands, const mb_plugin_result_t *y)
{
    map_t m = {.run = run, .function = function, .n = n, .operands = operands, .y = y};
    mb_map_call_t call = {.y = y->data,
                          .is_wide = y->kind == MB_PLUGIN_WEIGHT,
                          .reduction = (mb_reduction_t)y->reduction,
                          .accumulate = y->add != 0,
                          .scale = y->scale};
    if (!is_wanted(run, y->data))
        return MB_OK;
    MB_TRY(find_function(function, n, &call.function));
    MB_TRY(find_whole(&m));
    for (int i = 0; i < n; i++)
        call.inputs[i] = input_of(&m, i);
    call.view = view_of(run, y->kind, y->shape, m.axes);
    mb_view_broadcast(&call.view, &m.whole);
    call.reduced = mb_view_repeats(&call.view);
    return mb_run_strided(run_of(run), &call);
}

/* ---- linear */

static mb_status_t check_linear(const mb_plugin_run_t *run, const mb_plugin_linear_t *l)
{
    const mb_plugin_kept_t *kept = mb_plugin_kept(run_of(run)->call);
    bool kernel = l->kernel >= 0 && l->kernel < kept->n_weights;
    bool bias = l->bias < kept->n_weights;
    if (kernel && bias && kept->specs[l->kernel].operand &&
        (l->bias < 0 || kept->specs[l->bias].operand))
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "linear takes weights that take_weight declares as factors of a product");
}

static mb_linear_t linear_of(const mb_plugin_linear_t *l)
{
    return (mb_linear_t){.rows = l->rows, .in = l->in, .out = l->out};
}

static int bias_of(const mb_plugin_linear_t *l)
{
    return l->bias < 0 ? MB_NO_PARAM : l->bias;
}

mb_status_t mb_plugin_linear(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                             const void *x, void *y)
{
    mb_linear_t own = linear_of(linear);
    MB_TRY(check_linear(run, linear));
    return mb_linear_forward(run_of(run), &own, linear->kernel, bias_of(linear), x, y);
}

mb_status_t mb_plugin_linear_input(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                                   const void *dy, void *dx)
{
    mb_linear_t own = linear_of(linear);
    MB_TRY(check_linear(run, linear));
    if (!is_wanted(run, dx))
        return MB_OK;
    return mb_linear_backward_input(run_of(run), &own, linear->kernel, false, dy, dx);
}

mb_status_t mb_plugin_linear_weights(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                                     const void *x, const void *dy)
{
    mb_linear_t own = linear_of(linear);
    MB_TRY(check_linear(run, linear));
    return mb_linear_backward_weights(run_of(run), &own, linear->kernel, bias_of(linear), x, dy);
}

/* ---- rows */

static void run_tile(mb_host_tile_t *t)
{
    const mb_plugin_rows_t *work = t->args->user;
    mb_plugin_tile_t tile = {.rows = t->rows};
    for (int i = 0; i < work->reads; i++) {
        tile.read[i] = t->reads[i];
        tile.columns[i] = t->args->read_columns[i];
    }
    for (int i = 0; i < work->writes; i++)
        tile.write[i] = t->writes[i];
    for (int i = 0; i < work->sums; i++)
        tile.sum[i] = t->sums[i];
    work->function(t->args->settings, &tile);
}

static mb_status_t check_rows(const mb_plugin_rows_t *work, int64_t rows)
{
    bool good = rows >= 0 && work->reads >= 0 && work->reads <= MB_PLUGIN_READS &&
                work->writes >= 0 && work->writes <= MB_PLUGIN_WRITES && work->sums >= 0 &&
                work->sums <= MB_PLUGIN_SUMS;
    return good ? MB_OK
                : mb_error_set(MB_ERR_ARGUMENT, "rows takes at most %d reads, %d writes, %d sums",
                               MB_PLUGIN_READS, MB_PLUGIN_WRITES, MB_PLUGIN_SUMS);
}

mb_status_t mb_plugin_rows(const mb_plugin_run_t *run, const mb_plugin_rows_t *work, int64_t rows,
                           const mb_plugin_read_t *reads, const mb_plugin_write_t *writes,
                           const mb_plugin_write_t *sums)
{
    MB_TRY(check_rows(work, rows));
    mb_host_args_t args = {.type = mb_run_type(run_of(run)),
                           .function = run_tile,
                           .user = work,
                           .settings = run->call->settings,
                           .rows = rows,
                           .valid = rows,
                           .accumulate = run->accumulate != 0,
                           .n_reads = work->reads,
                           .n_writes = work->writes,
                           .n_sums = work->sums};
    for (int i = 0; i < work->reads; i++) {
        args.reads[i] = reads[i].data;
        args.read_columns[i] = reads[i].columns;
    }
    for (int i = 0; i < work->writes; i++) {
        args.writes[i] = writes[i].data;
        args.write_columns[i] = writes[i].columns;
    }
    for (int i = 0; i < work->sums; i++) {
        args.sums[i] = sums[i].data;
        args.sum_columns[i] = sums[i].columns;
    }
    return mb_run_host(run_of(run)->exec, &args);
}
