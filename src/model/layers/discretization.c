/* Discretization: the range between boundaries that a number falls into, from 0 on. No gradient
 * flows through it. */
#include "model/layers/encoding.h"

#include <stdlib.h>

typedef struct {
    mb_numbers_t boundaries;
    mb_output_mode_t encoding;
} discretization_t;

static mb_status_t check_boundaries(const mb_config_t *config, const mb_numbers_t *boundaries)
{
    if (boundaries->values == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'bin_boundaries' is null: the boundaries that adapt found are "
                            "not in the file; give them to the layer as bin_boundaries and save "
                            "the model again",
                            config->where);
    bool good = boundaries->shape.rank == 1;
    for (int64_t i = 1; i < boundaries->n; i++)
        good = good && boundaries->values[i - 1] <= boundaries->values[i];
    return good ? MB_OK
                : mb_error_set(MB_ERR_ARGUMENT,
                               "%s: key 'bin_boundaries' must be a list of ascending numbers",
                               config->where);
}

/* The others say how adapt works. */
static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    discretization_t *d = MB_ARENA_NEW(arena, discretization_t);
    if (d == NULL)
        return mb_error_memory("a layer", sizeof *d);
    *out = d;
    mb_config_ignore(config, "num_bins");
    mb_config_ignore(config, "epsilon");
    MB_TRY(mb_layer_take_numbers(config, "bin_boundaries", arena, &d->boundaries));
    MB_TRY(check_boundaries(config, &d->boundaries));
    return mb_encoding_take_unweighted(config, &d->encoding);
}

static const discretization_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

static void roles(const mb_call_t *call, mb_roles_t *out)
{
    const discretization_t *d = config_of(call);
    out->as_given = true;
    out->gives_ids = d->encoding == MB_ENCODING_INT;
    out->below = d->boundaries.n + 1;
}

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(mb_call_expect(call, 1));
    return mb_encoding_infer(call, config_of(call)->encoding, config_of(call)->boundaries.n + 1);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    const discretization_t *d = config_of(call);
    *out = (mb_memory_t){.saved_bytes = mb_encoding_bytes(call, d->encoding, samples),
                         .constant_bytes = (size_t)d->boundaries.n * sizeof(float)};
}

static void constants(const mb_call_t *call, void *out)
{
    const discretization_t *d = config_of(call);
    mb_numbers_put(MB_F32, d->boundaries.values, d->boundaries.n, out);
}

static mb_status_t forward(const mb_run_t *run)
{
    const discretization_t *d = config_of(run->call);
    int32_t *places = mb_encoding_places(run, d->encoding);
    mb_digitize_args_t args = {.type = run->call->input_types[0],
                               .count = run->samples * mb_shape_elements(&run->call->inputs[0]),
                               .n = d->boundaries.n,
                               .x = mb_run_input(run, 0),
                               .boundaries = run->constants,
                               .y = places};
    MB_TRY(mb_run_digitize(run->exec, &args));
    return mb_encoding_run(run, d->encoding, places, NULL);
}

const mb_layer_class_t mb_layer_discretization = {.size = sizeof(mb_layer_class_t),
                                                  .name = "Discretization",
                                                  .whole = true,
                                                  .parse = parse,
                                                  .infer = infer,
                                                  .memory = memory,
                                                  .constants = constants,
                                                  .forward = forward,
                                                  .backward_input = mb_no_backward,
                                                  .cost = mb_traffic_cost,
                                                  .differentiable = mb_not_differentiable,
                                                  .roles = roles};
