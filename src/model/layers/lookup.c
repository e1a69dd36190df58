/* IntegerLookup and StringLookup: whole numbers to their places in a vocabulary, or back. In front
 * of it stand the place of what is missing, where the output is places, and those of what is not
 * in it:
 *
 *     [mask] [not listed ...] [vocabulary ...]
 *
 * A StringLookup whose vocabulary is whole numbers in decimals does the same with data that has
 * these as numbers. No gradient flows through it. */
#include "model/layers/encoding.h"
#include "model/layers/salt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int32_t key, value;
} entry_t;

typedef struct {
    bool text; /* StringLookup */
    bool inverse, has_mask, has_other;
    int64_t mask, other; /* what stands for what is missing, and for what is not listed */
    int64_t unlisted;    /* places of what is not listed */
    mb_others_t rule;
    uint64_t salt[2];
    mb_output_mode_t encoding;
    int64_t n, size; /* of the vocabulary; with what stands in front of it */
    int64_t depth;
    int64_t *tokens; /* [n] */
    int64_t n_entries;
    entry_t *entries;     /* by key */
    mb_numbers_t weights; /* of TF_IDF, as given */
    int64_t weights_begin;
} lookup_t;

/* ---- tokens */

/* "-12", written as a number is; not "012" or " 12". */
static bool read_decimal(const char *text, int64_t *out)
{
    char again[32], *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    snprintf(again, sizeof again, "%" PRId64, *out);
    return errno == 0 && strcmp(again, text) == 0;
}

/* A whole number of either class; false: it is none. */
static bool read_token(const lookup_t *l, const json_t *value, int64_t *out)
{
    if (l->text)
        return json_is_string(value) && read_decimal(json_string_value(value), out);
    *out = json_is_real(value) ? (int64_t)json_real_value(value) : json_integer_value(value);
    return json_is_integer(value) ||
           (json_is_real(value) && (double)*out == json_real_value(value));
}

static mb_status_t refuse_token(const mb_config_t *config, const lookup_t *l, const char *key)
{
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        l->text ? "%s: key '%s' has a text that is no whole number; this build "
                                  "looks whole numbers up: mbrun data gives a column of texts "
                                  "numbers of its own, which an IntegerLookup or an Embedding takes"
                                : "%s: key '%s' has what is no whole number of 32 bits",
                        config->where, key);
}

/* Texts that no data has need no number: "[UNK]", "". */
static mb_status_t take_token(mb_config_t *config, const lookup_t *l, const char *key,
                              int64_t otherwise, bool *has, int64_t *out)
{
    const json_t *value = mb_config_take(config, key);
    *out = otherwise;
    *has = value == NULL ? otherwise != 0 : !json_is_null(value);
    if (value == NULL || json_is_null(value) || read_token(l, value, out))
        return MB_OK;
    *out = INT64_MIN;
    return l->text && !l->inverse ? MB_OK : refuse_token(config, l, key);
}

/* Whether the vocabulary begins with what stands in front of it anyway. */
static bool repeats_front(const mb_config_t *config, const lookup_t *l, const json_t *list)
{
    const json_t *mask = json_object_get(config->object, "mask_token");
    const json_t *other = json_object_get(config->object, "oov_token");
    int64_t masked = l->has_mask && l->encoding == MB_ENCODING_INT;
    json_t *implied = l->text ? json_string("[UNK]") : json_integer(-1);
    bool same = (int64_t)json_array_size(list) >= masked + l->unlisted;
    for (int64_t i = 0; same && i < masked + l->unlisted; i++) {
        const json_t *wanted = i < masked ? mask : other != NULL ? other : implied;
        same = json_equal(json_array_get(list, (size_t)i), wanted);
    }
    json_decref(implied);
    return same;
}

static int64_t front_of(const lookup_t *l)
{
    return (l->has_mask && l->encoding == MB_ENCODING_INT) + l->unlisted;
}

static mb_status_t take_vocabulary(mb_config_t *config, mb_arena_t *arena, lookup_t *l)
{
    const json_t *list = mb_config_take(config, "vocabulary");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key 'vocabulary' is %s; this build takes the list from the model: "
                            "make the layer with vocabulary=layer.get_vocabulary() and save again",
                            config->where,
                            json_is_string(list) ? "the name of a file" : "not a list");
    bool repeats = repeats_front(config, l, list);
    int64_t first = repeats ? front_of(l) : 0;
    l->weights_begin = repeats ? 0 : front_of(l);
    l->n = (int64_t)json_array_size(list) - first;
    l->tokens = MB_ARENA_ARRAY(arena, int64_t, l->n + 1);
    if (l->tokens == NULL)
        return mb_error_memory("a vocabulary", (size_t)l->n * sizeof(int64_t));
    for (int64_t i = 0; i < l->n; i++) {
        if (!read_token(l, json_array_get(list, (size_t)(i + first)), &l->tokens[i]) ||
            l->tokens[i] < INT32_MIN || l->tokens[i] > INT32_MAX)
            return refuse_token(config, l, "vocabulary");
    }
    l->size = l->n + front_of(l);
    return MB_OK;
}

/* ---- the table */

static int by_key(const void *a, const void *b)
{
    int32_t x = ((const entry_t *)a)->key, y = ((const entry_t *)b)->key;
    return (x > y) - (x < y);
}

static void add_entry(lookup_t *l, int64_t key, int64_t value)
{
    if (key >= INT32_MIN && key <= INT32_MAX)
        l->entries[l->n_entries++] = (entry_t){(int32_t)key, (int32_t)value};
}

/* What is missing has place 0, or no place among marks and counts. */
static void fill_entries(lookup_t *l)
{
    for (int64_t i = 0; i < l->n; i++) {
        int64_t place = front_of(l) + i;
        add_entry(l, l->inverse ? place : l->tokens[i], l->inverse ? l->tokens[i] : place);
    }
    if (l->has_mask && l->inverse)
        add_entry(l, 0, l->mask);
    else if (l->has_mask)
        add_entry(l, l->mask, l->encoding == MB_ENCODING_INT ? 0 : -1);
    qsort(l->entries, (size_t)l->n_entries, sizeof *l->entries, by_key);
}

static mb_status_t make_entries(const mb_config_t *config, mb_arena_t *arena, lookup_t *l)
{
    l->entries = MB_ARENA_ARRAY(arena, entry_t, l->n + 2);
    if (l->entries == NULL)
        return mb_error_memory("a vocabulary", (size_t)l->n * sizeof(entry_t));
    fill_entries(l);
    for (int64_t i = 1; i < l->n_entries; i++) {
        if (l->entries[i].key == l->entries[i - 1].key)
            return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'vocabulary' has %d twice", config->where,
                                l->entries[i].key);
    }
    return MB_OK;
}

/* ---- config */

static mb_status_t take_rule(mb_config_t *config, lookup_t *l)
{
    const char *method;
    bool salted;
    MB_TRY(mb_config_int_or(config, "num_oov_indices", 0, MB_LAYER_MAX_WINDOW, 1, &l->unlisted));
    MB_TRY(mb_config_string_or(config, "oov_method", "floormod", &method));
    MB_TRY(mb_salt_take(config, &salted, l->salt));
    bool hashes = l->text || strcmp(method, "farmhash") == 0;
    if (!hashes && strcmp(method, "floormod") != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'oov_method' is '%s', which is not known",
                            config->where, method);
    if (l->unlisted > 1)
        l->rule = salted ? MB_OTHERS_KEYED : hashes ? MB_OTHERS_HASH : MB_OTHERS_MODULO;
    if (l->unlisted > 0 || l->inverse)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'num_oov_indices' is 0, with which Keras stops at numbers that "
                        "are not in the vocabulary; this build takes 1 or more",
                        config->where);
}

static mb_status_t take_depth(mb_config_t *config, lookup_t *l)
{
    int64_t most;
    bool pads;
    MB_TRY(mb_config_int_or(config, "max_tokens", 1, MB_LAYER_MAX_SIZE, 0, &most));
    MB_TRY(mb_config_bool_or(config, "pad_to_max_tokens", false, &pads));
    l->depth = pads && most > 0 ? most : l->size;
    if (most == 0 || l->size <= most)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: the vocabulary has %" PRId64 " places, key 'max_tokens' is %" PRId64,
                        config->where, l->size, most);
}

static mb_status_t take_weights(mb_config_t *config, mb_arena_t *arena, lookup_t *l)
{
    MB_TRY(mb_layer_take_numbers(config, "idf_weights", arena, &l->weights));
    bool wanted = l->encoding == MB_ENCODING_TF_IDF;
    int64_t n = l->size - l->weights_begin;
    if (l->weights.values == NULL ? !wanted : wanted && l->weights.n == n)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: key 'idf_weights' must have a number for each of the vocabulary where "
                        "output_mode is tf_idf, and only there",
                        config->where);
}

static mb_status_t take_tokens(mb_config_t *config, lookup_t *l)
{
    MB_TRY(mb_config_bool_or(config, "invert", false, &l->inverse));
    MB_TRY(take_token(config, l, "mask_token", 0, &l->has_mask, &l->mask));
    MB_TRY(take_token(config, l, "oov_token", -1, &l->has_other, &l->other));
    if (!l->inverse || l->encoding == MB_ENCODING_INT)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'output_mode' must be int where invert is true",
                        config->where);
}

/* What the vocabulary's size was, and where it came from, is in the vocabulary. */
static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, bool text, void **out)
{
    static const char *const without_effect[] = {"vocabulary_dtype", "vocabulary_size", "encoding",
                                                 "has_input_vocabulary"};
    lookup_t *l = MB_ARENA_NEW(arena, lookup_t);
    if (l == NULL)
        return mb_error_memory("a layer", sizeof *l);
    *out = l;
    l->text = text;
    for (size_t i = 0; i < sizeof without_effect / sizeof without_effect[0]; i++)
        mb_config_ignore(config, without_effect[i]);
    MB_TRY(mb_encoding_take(config, "int", &l->encoding));
    MB_TRY(take_tokens(config, l));
    MB_TRY(take_rule(config, l));
    MB_TRY(take_vocabulary(config, arena, l));
    MB_TRY(make_entries(config, arena, l));
    MB_TRY(take_depth(config, l));
    return take_weights(config, arena, l);
}

static mb_status_t parse_integers(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, false, out);
}

static mb_status_t parse_texts(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, true, out);
}

/* ---- calls */

static const lookup_t *config_of(const mb_call_t *call)
{
    return call->layer->config;
}

/* All that it can give are below; 0: one of them is negative. */
static int64_t below(const lookup_t *l)
{
    int64_t most = l->size - 1, least = 0;
    if (!l->inverse)
        return l->size;
    most = l->other;
    least = l->other;
    for (int64_t i = 0; i < l->n_entries; i++) {
        most = l->entries[i].value > most ? l->entries[i].value : most;
        least = l->entries[i].value < least ? l->entries[i].value : least;
    }
    return least < 0 ? 0 : most + 1;
}

static void roles(const mb_call_t *call, mb_roles_t *out)
{
    const lookup_t *l = config_of(call);
    out->takes_ids = true;
    out->gives_ids = l->encoding == MB_ENCODING_INT;
    out->below = below(l);
}

static mb_status_t infer(mb_call_t *call)
{
    if (call->n_inputs == 1 && call->input_types[0] != MB_I32)
        return mb_call_error(call, MB_ERR_UNSUPPORTED, "takes whole numbers, its input is %s",
                             mb_dtype_name(call->input_types[0]));
    return mb_encoding_infer(call, config_of(call)->encoding, config_of(call)->depth);
}

/* Keys, their values, and weights. */
typedef struct {
    size_t values, weights, bytes;
} layout_t;

static layout_t layout_of(const mb_call_t *call)
{
    const lookup_t *l = config_of(call);
    layout_t at = {0};
    mb_block_add(&at.bytes, l->n_entries, MB_I32);
    at.values = mb_block_add(&at.bytes, l->n_entries, MB_I32);
    at.weights = at.bytes;
    if (l->encoding == MB_ENCODING_TF_IDF)
        mb_block_add(&at.bytes, l->depth, call->output_type);
    return at;
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){.saved_bytes = mb_encoding_bytes(call, config_of(call)->encoding, samples),
                         .constant_bytes = layout_of(call).bytes};
}

/* What the list leaves out, in front, has the mean of all; what pads it, behind, zero. */
static double weight_at(const lookup_t *l, int64_t place)
{
    double sum = 0.0;
    for (int64_t i = 0; place < l->weights_begin && i < l->weights.n; i++)
        sum += l->weights.values[i];
    if (place < l->weights_begin)
        return sum / (double)l->weights.n;
    place -= l->weights_begin;
    return place < l->weights.n ? l->weights.values[place] : 0.0;
}

static void constants(const mb_call_t *call, void *out)
{
    const lookup_t *l = config_of(call);
    layout_t at = layout_of(call);
    int32_t *keys = out, *values = (int32_t *)(void *)((char *)out + at.values);
    for (int64_t i = 0; i < l->n_entries; i++) {
        keys[i] = l->entries[i].key;
        values[i] = l->entries[i].value;
    }
    for (int64_t i = 0; l->encoding == MB_ENCODING_TF_IDF && i < l->depth; i++) {
        double weight = weight_at(l, i);
        mb_numbers_put(call->output_type, &weight, 1,
                       (char *)out + at.weights + (size_t)i * mb_dtype_bytes(call->output_type));
    }
}

static const void *constant_at(const mb_run_t *run, size_t offset)
{
    return run->constants == NULL ? NULL : (const char *)run->constants + offset;
}

static mb_status_t forward(const mb_run_t *run)
{
    const lookup_t *l = config_of(run->call);
    layout_t at = layout_of(run->call);
    int32_t *places = mb_encoding_places(run, l->encoding);
    int64_t masked = l->has_mask && l->encoding == MB_ENCODING_INT;
    mb_lookup_args_t args = {.count = run->samples * mb_shape_elements(&run->call->inputs[0]),
                             .n = l->n_entries,
                             .rule = l->inverse ? MB_OTHERS_ONE : l->rule,
                             .first = (int32_t)(l->inverse ? l->other : masked),
                             .others = (int32_t)l->unlisted,
                             .salt = {l->salt[0], l->salt[1]},
                             .x = mb_run_input(run, 0),
                             .keys = run->constants,
                             .values = constant_at(run, at.values),
                             .y = places};
    MB_TRY(mb_run_lookup(run->exec, &args));
    return mb_encoding_run(run, l->encoding, places, constant_at(run, at.weights));
}

#define LOOKUP(symbol, keras, parser)                                                              \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .whole = true,                                     \
                                                .parse = parser,                                   \
                                                .infer = infer,                                    \
                                                .memory = memory,                                  \
                                                .constants = constants,                            \
                                                .forward = forward,                                \
                                                .backward_input = mb_no_backward,                  \
                                                .cost = mb_traffic_cost,                           \
                                                .differentiable = mb_not_differentiable,           \
                                                .roles = roles}

LOOKUP(integer_lookup, "IntegerLookup", parse_integers);
LOOKUP(string_lookup, "StringLookup", parse_texts);
