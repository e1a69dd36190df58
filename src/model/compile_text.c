/* See compile_text.h. */
#include "model/compile_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "model/loss.h"
#include "model/losses/class.h"
#include "model/optimizer.h"
#include "model/spec.h"

const char *const mb_compile_keys[MB_COMPILE_COUNT] = {
    "loss",        "loss-weights", "metrics", "weighted-metrics", "optimizer", "lr",
    "lr-schedule", "weight-decay", "clip"};

static bool is_json(const char *text)
{
    return text[0] == '{' || text[0] == '[';
}

static mb_status_t parse_json(const char *text, const char *where, json_t **out)
{
    return mb_json_parse(text, strlen(text), where, out);
}

/* Keras finds an object by the name of its class, and a bare name by the function's too. */
static mb_status_t parse_loss(const char *text, const char *where, json_t **out)
{
    if (is_json(text))
        return parse_json(text, where, out);
    if (strchr(text, ':') == NULL) {
        *out = json_string(text);
        return MB_OK;
    }
    MB_TRY(mb_spec_parse(text, where, out));
    const mb_loss_class_t *class_ =
        mb_loss_class_find(json_string_value(json_object_get(*out, "class_name")));
    if (class_ != NULL)
        json_object_set_new(*out, "class_name", json_string(class_->class_name));
    return MB_OK;
}

static mb_status_t add_metric(const char *text, const char *where, json_t *list)
{
    json_t *metric = NULL;
    if (strchr(text, ':') == NULL)
        metric = json_string(text);
    else
        MB_TRY(mb_spec_parse(text, where, &metric));
    return json_array_append_new(list, metric) == 0
               ? MB_OK
               : mb_error_set(MB_ERR_ARGUMENT, "%s: '%s' is not UTF-8 text", where, text);
}

static mb_status_t parse_metrics(const char *text, const char *where, json_t **out)
{
    if (is_json(text))
        return parse_json(text, where, out);
    json_t *list = json_array();
    char *copy = strdup(text), *rest = NULL;
    mb_status_t status = copy == NULL || list == NULL ? mb_error_memory("metrics", 0) : MB_OK;
    for (char *word = copy == NULL ? NULL : strtok_r(copy, " ", &rest);
         word != NULL && status == MB_OK; word = strtok_r(NULL, " ", &rest))
        status = add_metric(word, where, list);
    free(copy);
    *out = list;
    return status;
}

static mb_status_t parse_weights(const char *text, const char *where, json_t **out)
{
    if (is_json(text))
        return parse_json(text, where, out);
    *out = mb_spec_value(text);
    return MB_OK;
}

typedef struct {
    int id;
    const char *key; /* of training_config */
    mb_status_t (*parse)(const char *text, const char *where, json_t **out);
} member_t;

static const member_t members[] = {
    {MB_COMPILE_LOSS, "loss", parse_loss},
    {MB_COMPILE_LOSS_WEIGHTS, "loss_weights", parse_weights},
    {MB_COMPILE_METRICS, "metrics", parse_metrics},
    {MB_COMPILE_WEIGHTED_METRICS, "weighted_metrics", parse_metrics}};

static mb_status_t set_members(const char *const *texts, const char *where, json_t *training)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *value = NULL;
        const char *text = texts[members[i].id];
        mb_status_t status = text == NULL ? MB_OK : members[i].parse(text, where, &value);
        if (status == MB_OK && value != NULL)
            json_object_set(training, members[i].key, value);
        json_decref(value);
        MB_TRY(status);
    }
    return MB_OK;
}

static mb_status_t set_keys(const char *const *texts, mb_arena_t *arena, mb_optimizer_t *optimizer)
{
    static const struct {
        int id;
        const char *key;
    } keys[] = {{MB_COMPILE_LR, "lr"},
                {MB_COMPILE_LR_SCHEDULE, "lr_schedule"},
                {MB_COMPILE_WEIGHT_DECAY, "weight_decay"},
                {MB_COMPILE_CLIP, "clip"}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (texts[keys[i].id] != NULL)
            MB_TRY(mb_optimizer_set(optimizer, keys[i].key, texts[keys[i].id], arena));
    }
    return MB_OK;
}

static mb_status_t set_optimizer(const char *const *texts, const char *where, mb_arena_t *arena,
                                 json_t *training)
{
    mb_optimizer_t *optimizer = NULL;
    const json_t *base = json_object_get(training, "optimizer_config");
    const char *spec = texts[MB_COMPILE_OPTIMIZER];
    if (spec == NULL && !json_is_object(base))
        spec = "adam";
    MB_TRY(mb_optimizer_create(base, spec, where, arena, &optimizer));
    mb_status_t status = set_keys(texts, arena, optimizer);
    if (status == MB_OK && json_object_set(training, "optimizer_config", optimizer->config) != 0)
        status = mb_error_memory("an optimizer's config", 0);
    mb_optimizer_destroy(optimizer);
    return status;
}

static json_t *begin(const json_t *base)
{
    if (base != NULL)
        return json_deep_copy(base);
    return json_pack("{s:n, s:n, s:n, s:n, s:b, s:i, s:b}", "loss", "loss_weights", "metrics",
                     "weighted_metrics", "run_eagerly", 0, "steps_per_execution", 1, "jit_compile",
                     0);
}

static mb_status_t make(const char *const *texts, const mb_graph_t *graph, const char *where,
                        json_t *training)
{
    mb_loss_t *losses;
    MB_TRY(set_members(texts, where, training));
    MB_TRY(mb_losses_create(graph, training, NULL, where, &losses));
    return set_optimizer(texts, where, graph->arena, training);
}

/* Settings that nothing would come of are refused rather than forgotten. */
static mb_status_t check_no_loss(const char *const *texts, const char *where)
{
    for (int i = 0; i < MB_COMPILE_COUNT; i++) {
        if (texts[i] != NULL)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: '%s' is set and no loss: a model is compiled with a loss",
                                where, mb_compile_keys[i]);
    }
    return MB_OK;
}

mb_status_t mb_compile_texts(const char *const *texts, const json_t *base, const mb_graph_t *graph,
                             const char *where, json_t **out)
{
    if (base == NULL && texts[MB_COMPILE_LOSS] == NULL) {
        *out = NULL;
        return check_no_loss(texts, where);
    }
    json_t *training = begin(base);
    if (training == NULL)
        return mb_error_memory("a training_config", 0);
    mb_status_t status = make(texts, graph, where, training);
    if (status == MB_OK)
        *out = training;
    else
        json_decref(training);
    return status;
}
