/* Dropout: in training y = x / (1 - rate) where kept, otherwise 0. The same numbers are drawn again
 * in backward, so nothing is kept. The layer's own seed is without effect: numbers follow from the
 * run's seed, the step and the node. */
#include "model/layers/layers.h"

typedef struct {
    double rate;
} dropout_t;

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    dropout_t *dropout = MB_ARENA_NEW(arena, dropout_t);
    if (dropout == NULL)
        return mb_error_memory("a layer", sizeof(*dropout));
    MB_TRY(mb_config_real(config, "rate", &dropout->rate));
    if (dropout->rate < 0.0 || dropout->rate > 1.0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'rate' is %g, it must lie from 0 to 1",
                            config->where, dropout->rate);
    mb_config_ignore(config, "seed");
    *out = dropout;
    return mb_config_only(config, "noise_shape", "null");
}

/* The mask is linear, so that forward on x and backward on dy are one function. */
static mb_status_t apply(const mb_run_t *run, const void *x, void *y)
{
    const dropout_t *dropout = run->call->layer->config;
    int64_t elements = mb_shape_elements(&run->call->output);
    mb_dropout_args_t args = {.type = mb_run_type(run),
                              .samples = run->samples,
                              .elements = elements,
                              .rate = (float)dropout->rate,
                              .random = run->random,
                              .x = x,
                              .y = y};
    if (!run->training || !(dropout->rate > 0.0))
        return mb_run_copy(run, elements, x, y);
    args.random.purpose = MB_RANDOM_DROPOUT;
    return mb_run_dropout(run->exec, &args);
}

static mb_status_t forward(const mb_run_t *run)
{
    return apply(run, mb_run_input(run, 0), run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return apply(run, run->grad_output, mb_run_grad_input(run, 0));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 20.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, 0.0};
}

const mb_layer_class_t mb_layer_dropout = {.size = sizeof(mb_layer_class_t),
                                           .name = "Dropout",
                                           .parse = parse,
                                           .infer = mb_call_infer_same,
                                           .memory = mb_call_keeps_nothing,
                                           .forward = forward,
                                           .backward_input = backward_input,
                                           .cost = cost,
                                           .mask = mb_mask_passes};
