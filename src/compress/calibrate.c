/* See calibrate.h. A layer that is called more than once is calibrated by its first call, which is
 * on the stage that owns it. */
#include "compress/calibrate.h"

#include <stdlib.h>

enum {
    ROWS = 65536, /* of outputs, when --samples does not say it */
    LEAST_SAMPLES = 128,
    MOST_SAMPLES = 2048,
    MOST_LOTS = 16, /* each costs a pass */
};
#define LOT_BYTES (INT64_C(1) << 30)

typedef struct {
    mb_target_t *target;
    int node; /* its layer's first call */
    int lot;
    float *sum; /* [rows, rows] on the device of the rank that has it; NULL: elsewhere */
    int64_t count;
} covariance_t;

typedef struct {
    mb_quantization_t *q;
    int n, n_lots;
    covariance_t *all; /* in node order */
    int lot;           /* the one that is being observed */
    float *patches;    /* what one sample of a convolution's input is multiplied as */
    size_t patches_bytes;
} calibration_t;

bool mb_target_wants_calibration(const mb_quantization_t *q, const mb_target_t *target)
{
    bool method = q->options->method_given &&
                  (q->options->method == MB_METHOD_GPTQ || q->options->method == MB_METHOD_AWQ);
    return method && !q->without_calibration && target->is_matrix && !target->view.lookup &&
           target->format.grain != MB_GRAIN_NONE;
}

static int first_node(const mb_graph_t *graph, int layer)
{
    int node = 0;
    while (node < graph->n_nodes - 1 && graph->nodes[node].layer != layer)
        node++;
    return node;
}

static int by_node(const void *a, const void *b)
{
    const covariance_t *x = a, *y = b;
    if (x->node != y->node)
        return x->node - y->node;
    return x->target->param->index - y->target->param->index;
}

static int64_t covariance_bytes(const mb_target_t *target)
{
    return target->view.rows * target->view.rows * (int64_t)sizeof(float);
}

static int count_nodes(const calibration_t *c)
{
    int nodes = 0;
    for (int i = 0; i < c->n; i++)
        nodes += i == 0 || c->all[i].node != c->all[i - 1].node;
    return nodes;
}

/* Consecutive nodes, a layer's matrices together, within the memory of a lot. */
static void form_lots(calibration_t *c)
{
    int nodes_a_lot = (count_nodes(c) + MOST_LOTS - 1) / MOST_LOTS, nodes = 0;
    int64_t bytes = 0;
    for (int i = 0; i < c->n; i++) {
        bool begins = i == 0 || c->all[i].node != c->all[i - 1].node;
        int64_t more = 0;
        for (int j = i; begins && j < c->n && c->all[j].node == c->all[i].node; j++)
            more += covariance_bytes(c->all[j].target);
        if (begins && (i == 0 || nodes == nodes_a_lot || bytes + more > LOT_BYTES)) {
            c->n_lots++;
            nodes = 0;
            bytes = 0;
        }
        nodes += begins;
        bytes += more;
        c->all[i].lot = c->n_lots - 1;
    }
}

static mb_status_t list(calibration_t *c)
{
    const mb_quantization_t *q = c->q;
    c->all = calloc((size_t)q->n_targets + 1, sizeof *c->all);
    if (c->all == NULL)
        return mb_error_memory("a calibration", 0);
    for (int i = 0; i < q->n_targets; i++) {
        mb_target_t *target = &q->targets[i];
        if (mb_target_wants_calibration(q, target))
            c->all[c->n++] = (covariance_t){
                .target = target, .node = first_node(q->model->graph, target->param->layer)};
    }
    qsort(c->all, (size_t)c->n, sizeof *c->all, by_node);
    form_lots(c);
    return MB_OK;
}

/* The covariance that a call's parameter adds to; NULL: none now. */
static covariance_t *wanted(calibration_t *c, const mb_run_t *run, int param)
{
    const mb_graph_t *graph = c->q->model->graph;
    int index = run->call->layer->params[param];
    for (int i = 0; i < c->n; i++) {
        covariance_t *covariance = &c->all[i];
        if (covariance->lot == c->lot && covariance->target->param->index == index)
            return run->call == &graph->nodes[covariance->node].call && covariance->sum != NULL
                       ? covariance
                       : NULL;
    }
    return NULL;
}

/* The last micro-batch's rows may be fewer than any that a walk would plan. */
static mb_status_t add_rows(covariance_t *covariance, mb_exec_t *exec, const float *x, int64_t rows)
{
    int64_t columns = covariance->target->view.rows;
    mb_gemm_args_t args = {.m = columns,
                           .n = columns,
                           .k = rows,
                           .transpose_a = true,
                           .accumulate = true,
                           .lda = columns,
                           .ldb = columns,
                           .ldc = columns,
                           .a = x,
                           .b = x,
                           .c = covariance->sum};
    covariance->count += rows;
    return mb_exec_run_alone(exec, MB_OP_GEMM, &args, sizeof args);
}

static mb_status_t see_rows(void *user, const mb_run_t *run, int param, const float *x,
                            int64_t rows, int64_t columns)
{
    covariance_t *covariance = wanted(user, run, param);
    if (covariance == NULL || rows == 0)
        return MB_OK;
    if (columns != covariance->target->view.rows)
        return mb_error_set(MB_ERR_INTERNAL, "rows of %lld numbers meet a matrix of %lld rows",
                            (long long)columns, (long long)covariance->target->view.rows);
    return add_rows(covariance, run->exec, x, rows);
}

static mb_status_t reserve_patches(calibration_t *c, mb_exec_t *exec, size_t bytes)
{
    void *memory;
    if (bytes <= c->patches_bytes)
        return MB_OK;
    MB_TRY(mb_exec_sync(exec));
    if (c->patches != NULL)
        mb_device_free(exec->device, c->patches);
    c->patches = NULL;
    c->patches_bytes = 0;
    MB_TRY(mb_device_alloc(exec->device, bytes, &memory));
    c->patches = memory;
    c->patches_bytes = bytes;
    return MB_OK;
}

/* Grouped convolutions have inputs of their own for each group: no one covariance serves them. */
static mb_status_t see_window(void *user, const mb_run_t *run, int param, const mb_window_t *window,
                              const float *x)
{
    calibration_t *c = user;
    covariance_t *covariance = wanted(c, run, param);
    if (covariance == NULL || window->groups != 1)
        return MB_OK;
    int64_t positions = window->out[0] * window->out[1];
    int64_t sample = window->in[0] * window->in[1] * window->channels_in;
    MB_TRY(reserve_patches(c, run->exec,
                           (size_t)(positions * covariance->target->view.rows) * sizeof(float)));
    for (int64_t s = 0; s < run->valid; s++) {
        mb_patches_args_t patches = {.window = *window, .x = x + s * sample, .y = c->patches};
        patches.window.samples = 1;
        MB_TRY(mb_exec_run_alone(run->exec, MB_OP_PATCHES, &patches, sizeof patches));
        MB_TRY(add_rows(covariance, run->exec, c->patches, positions));
    }
    return MB_OK;
}

static mb_status_t make_sums(calibration_t *c)
{
    mb_engine_t *engine = c->q->passes->engine;
    for (int i = 0; i < c->n && !mb_engine_idle(engine); i++) {
        covariance_t *covariance = &c->all[i];
        void *memory;
        if (covariance->lot != c->lot || covariance->target->owner != mb_comm_rank(c->q->comm))
            continue;
        MB_TRY(mb_device_alloc(engine->exec.device, (size_t)covariance_bytes(covariance->target),
                               &memory));
        covariance->sum = memory;
        mb_zero_args_t zero = {.bytes = covariance_bytes(covariance->target), .y = memory};
        MB_TRY(mb_exec_run_alone(&engine->exec, MB_OP_ZERO, &zero, sizeof zero));
    }
    return MB_OK;
}

static mb_status_t encode_one(calibration_t *c, covariance_t *covariance)
{
    mb_exec_t *exec = &c->q->passes->engine->exec;
    size_t bytes = (size_t)covariance_bytes(covariance->target);
    float *host = malloc(bytes);
    if (host == NULL)
        return mb_error_memory("a covariance", bytes);
    mb_calibration_t calibration = {.count = covariance->count, .covariance = host};
    mb_status_t status = mb_exec_copy(exec, host, covariance->sum, bytes, MB_COPY_TO_HOST);
    if (status == MB_OK)
        status = mb_exec_sync(exec);
    if (status == MB_OK)
        status = mb_target_encode(c->q, covariance->target, &calibration);
    free(host);
    return status;
}

static mb_status_t encode_lot(calibration_t *c)
{
    for (int i = 0; i < c->n; i++) {
        covariance_t *covariance = &c->all[i];
        if (covariance->sum == NULL)
            continue;
        MB_TRY(encode_one(c, covariance));
        mb_device_free(c->q->passes->engine->exec.device, covariance->sum);
        covariance->sum = NULL;
    }
    return MB_OK;
}

/* Other stages that compute with a shared tensor cannot make its encoding themselves. */
static mb_status_t put_into_use(calibration_t *c)
{
    for (int i = 0; i < c->n; i++) {
        mb_target_t *target = c->all[i].target;
        if (c->all[i].lot != c->lot)
            continue;
        if (target->shared)
            MB_TRY(mb_target_share(c->q, target));
        MB_TRY(mb_comm_agree(c->q->comm, mb_target_use(c->q, target)));
    }
    return mb_engine_prepare(c->q->passes->engine);
}

static int64_t samples_to_see(const mb_graph_t *graph)
{
    int64_t rows = 1;
    for (int o = 0; o < graph->n_outputs; o++) {
        const mb_shape_t *shape = &graph->nodes[graph->outputs[o].node].call.output;
        int64_t width = shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
        int64_t own = mb_shape_elements(shape) / (width > 0 ? width : 1);
        rows = own > rows ? own : rows;
    }
    int64_t samples = ROWS / rows;
    if (samples < LEAST_SAMPLES)
        return LEAST_SAMPLES;
    return samples < MOST_SAMPLES ? samples : MOST_SAMPLES;
}

static mb_status_t run_lot(calibration_t *c)
{
    mb_passes_t *passes = c->q->passes;
    mb_observer_t observer = {.user = c, .rows = see_rows, .window = see_window};
    bool given = c->q->options->samples > 0;
    mb_pass_t pass = {.samples = given ? 0 : samples_to_see(passes->model->graph)};
    mb_pass_score_t score;
    MB_TRY(mb_comm_agree(passes->comm, make_sums(c)));
    if (!mb_engine_idle(passes->engine))
        passes->engine->stage->observer = &observer;
    mb_status_t status = mb_passes_run(passes, &pass, &score);
    if (!mb_engine_idle(passes->engine))
        passes->engine->stage->observer = NULL;
    MB_TRY(status);
    MB_TRY(mb_comm_agree(passes->comm, encode_lot(c)));
    return put_into_use(c);
}

static mb_status_t run_lots(calibration_t *c)
{
    MB_TRY(mb_comm_agree(c->q->comm, list(c)));
    for (c->lot = 0; c->lot < c->n_lots; c->lot++) {
        mb_quantization_progress(c->q, "calibrating", c->lot, c->n_lots);
        MB_TRY(run_lot(c));
    }
    mb_quantization_progress(c->q, "calibrating", c->n_lots, c->n_lots);
    return MB_OK;
}

mb_status_t mb_calibrate_and_encode(mb_quantization_t *q)
{
    calibration_t c = {.q = q};
    mb_status_t status = run_lots(&c);
    mb_device_t *device = q->passes->machine->device;
    for (int i = 0; i < c.n; i++) {
        if (c.all[i].sum != NULL)
            mb_device_free(device, c.all[i].sum);
    }
    if (c.patches != NULL)
        mb_device_free(device, c.patches);
    free(c.all);
    return status;
}
