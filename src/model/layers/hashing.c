/* Hashing: whole numbers to places, by a hash of how they are written in decimals; a number that
 * stands for a missing one has place 0 for itself. */
#include "model/layers/encoding.h"
#include "model/layers/salt.h"

#include <inttypes.h>

typedef struct {
    int64_t bins;
    bool has_mask;
    int64_t mask;
    bool salted;
    uint64_t salt[2];
    mb_output_mode_t encoding;
} hashing_t;

static mb_status_t take_mask(mb_config_t *config, hashing_t *out)
{
    const json_t *value = mb_config_take(config, "mask_value");
    out->has_mask = json_is_integer(value);
    out->mask = json_integer_value(value);
    if (value == NULL || json_is_null(value) || out->has_mask)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'mask_value' is a text; this build hashes whole numbers (mbrun "
                        "data gives a column of texts numbers of its own)",
                        config->where);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    hashing_t *h = MB_ARENA_NEW(arena, hashing_t);
    if (h == NULL)
        return mb_error_memory("a layer", sizeof *h);
    *out = h;
    MB_TRY(mb_config_int(config, "num_bins", 1, MB_LAYER_MAX_SIZE, &h->bins));
    MB_TRY(take_mask(config, h));
    MB_TRY(mb_salt_take(config, &h->salted, h->salt));
    return mb_encoding_take_unweighted(config, &h->encoding);
}

static const hashing_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

static void roles(const mb_call_t *call, mb_roles_t *out)
{
    const hashing_t *h = config_of(call);
    out->takes_ids = true;
    out->gives_ids = h->encoding == MB_ENCODING_INT;
    out->below = h->bins;
}

static mb_status_t infer(mb_call_t *call)
{
    if (call->n_inputs == 1 && call->input_types[0] != MB_I32)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "takes whole numbers, its input is %s",
                             mb_dtype_name(call->input_types[0]));
    return mb_encoding_infer(call, config_of(call)->encoding, config_of(call)->bins);
}

/* With one place there is none to spare. A mask that no int32 is needs no key. */
static bool masks(const hashing_t *h)
{
    return h->has_mask && h->bins > 1 && h->mask >= INT32_MIN && h->mask <= INT32_MAX;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    const hashing_t *h = config_of(call);
    *out = (mb_memory_t){.saved_bytes = mb_encoding_bytes(call, h->encoding, samples),
                         .constant_bytes = masks(h) ? 2 * sizeof(int32_t) : 0};
}

/* One key and its value. */
static void constants(const mb_call_t *call, void *out)
{
    int32_t *key = out;
    key[0] = (int32_t)config_of(call)->mask;
    key[1] = 0;
}

static mb_status_t forward(const mb_run_t *run)
{
    const hashing_t *h = config_of(run->call);
    int32_t *places = mb_encoding_places(run, h->encoding);
    bool spares = h->has_mask && h->bins > 1;
    mb_lookup_args_t args = {.count = run->samples * mb_shape_elements(&run->call->inputs[0]),
                             .n = masks(h),
                             .rule = h->salted ? MB_OTHERS_KEYED : MB_OTHERS_HASH,
                             .first = spares,
                             .others = (int32_t)(h->bins - spares),
                             .salt = {h->salt[0], h->salt[1]},
                             .x = mb_run_input(run, 0),
                             .keys = run->constants,
                             .y = places};
    args.values = args.keys == NULL ? NULL : args.keys + 1;
    MB_TRY(mb_run_lookup(run->exec, &args));
    return mb_encoding_run(run, h->encoding, places, NULL);
}

const mb_layer_class_t mb_layer_hashing = {.size = sizeof(mb_layer_class_t),
                                           .name = "Hashing",
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
