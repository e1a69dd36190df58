/* The calls of a model's members, from their inbound_nodes; in a Sequential model, from their
 * order. */
#include "model/graph_private.h"

#include <stdio.h>
#include <string.h>

/* Reads one call's keyword arguments into the class's own form. */
static mb_status_t read_call_config(mb_reader_t *reader, const mb_module_t *member,
                                    const char *where, const json_t *kwargs, const void **out)
{
    mb_config_t c;
    const char *first = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)kwargs));
    if (member->kind == MB_MODULE_MODEL && first != NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: argument '%s' of the call of a nested model is not obeyed", where,
                            first);
    MB_TRY(mb_config_open(&c, kwargs, "%s", where));
    if (member->kind != MB_MODULE_LAYER || member->layer->class_->parse_call == NULL)
        return mb_config_finish(&c);
    void *config = NULL;
    MB_TRY(member->layer->class_->parse_call(&c, reader->arena, &config));
    *out = config;
    return mb_config_finish(&c);
}

/* An empty list of arguments that lives as long as the graph. */
static mb_status_t new_kwargs(mb_reader_t *reader, json_t **out)
{
    *out = json_object();
    if (*out == NULL || json_array_append_new(reader->kept, *out) != 0)
        return mb_error_memory("a call's arguments", 0);
    return MB_OK;
}

static mb_status_t read_call(mb_reader_t *reader, const mb_module_t *member, int index,
                             const json_t *node, mb_module_call_t *call)
{
    char where[192];
    snprintf(where, sizeof(where), "layer '%.120s' (%.32s), call %d", member->path,
             member->class_name, index);
    mb_references_t references;
    json_t *kwargs = NULL;
    MB_TRY(new_kwargs(reader, &kwargs));
    if (member->operation)
        MB_TRY(mb_arguments_of_call(node, where, &references, kwargs));
    else
        MB_TRY(mb_references_of_call(node, member, where, &references, kwargs));
    MB_TRY(read_call_config(reader, member, where, kwargs, &call->config));
    call->n_inputs = references.n;
    call->n_masks = references.n_masks;
    call->given = references.given;
    memcpy(call->masks, references.masks, sizeof(call->masks));
    call->references = MB_ARENA_ARRAY(reader->arena, mb_reference_t, references.n);
    call->inputs = MB_ARENA_ARRAY(reader->arena, mb_source_t, references.n);
    MB_ARENA_TRY(call->references, "a call's inputs");
    MB_ARENA_TRY(call->inputs, "a call's inputs");
    memcpy(call->references, references.items, sizeof(mb_reference_t) * (size_t)references.n);
    return MB_OK;
}

/* How often a member is called: an InputLayer once, without a record in the file. */
static mb_status_t count_calls(const mb_module_t *member, int *out)
{
    if (member->kind == MB_MODULE_INPUT) {
        if (json_array_size(member->inbound) != 0)
            return mb_error_set(MB_ERR_FORMAT, "the InputLayer '%s' is called on a tensor",
                                member->path);
        *out = 1;
        return MB_OK;
    }
    size_t count = json_array_size(member->inbound);
    if (count == 0)
        return mb_error_set(
            MB_ERR_FORMAT, "layer '%s' (%s) is never called: its inbound_nodes are %s",
            member->path, member->class_name, json_is_array(member->inbound) ? "empty" : "missing");
    if (count > MB_MAX_NODES)
        return mb_error_set(MB_ERR_UNSUPPORTED, "layer '%s' (%s) is called more than %d times",
                            member->path, member->class_name, MB_MAX_NODES);
    *out = (int)count;
    return MB_OK;
}

static mb_status_t allocate_calls(mb_reader_t *reader, mb_module_t *model)
{
    model->first_call = MB_ARENA_ARRAY(reader->arena, int, model->n_members + 1);
    MB_ARENA_TRY(model->first_call, "a model's calls");
    int64_t total = 0;
    for (int i = 0; i < model->n_members; i++) {
        int count = 0;
        MB_TRY(count_calls(model->members[i], &count));
        model->first_call[i] = (int)total;
        total += count;
        if (total > MB_MAX_NODES)
            return mb_error_set(MB_ERR_UNSUPPORTED, "model '%s' has more than %d calls",
                                model->name, MB_MAX_NODES);
    }
    model->first_call[model->n_members] = (int)total;
    model->n_calls = (int)total;
    model->calls = MB_ARENA_ARRAY(reader->arena, mb_module_call_t, total);
    MB_ARENA_TRY(model->calls, "a model's calls");
    return MB_OK;
}

static mb_status_t read_calls(mb_reader_t *reader, mb_module_t *model, bool *keras2)
{
    for (int i = 0; i < model->n_members; i++) {
        const mb_module_t *member = model->members[i];
        int first = model->first_call[i];
        for (int k = first; k < model->first_call[i + 1]; k++) {
            model->calls[k].member = i;
            if (member->kind == MB_MODULE_INPUT)
                continue;
            const json_t *node = json_array_get(member->inbound, (size_t)(k - first));
            *keras2 = *keras2 || json_object_get(node, "args") == NULL;
            MB_TRY(read_call(reader, member, k - first, node, &model->calls[k]));
        }
    }
    return MB_OK;
}

mb_status_t mb_calls_read(mb_reader_t *reader, mb_module_t *model, const json_t *input_layers,
                          const json_t *output_layers)
{
    bool keras2 = false;
    MB_TRY(allocate_calls(reader, model));
    MB_TRY(read_calls(reader, model, &keras2));
    MB_TRY(mb_calls_resolve(reader, model, keras2, input_layers, output_layers));
    return mb_calls_order(reader->arena, model);
}

static mb_status_t allocate_chain(mb_reader_t *reader, mb_module_t *model)
{
    int n = model->n_members;
    model->n_calls = n;
    model->n_inputs = model->n_outputs = 1;
    model->calls = MB_ARENA_ARRAY(reader->arena, mb_module_call_t, n);
    model->first_call = MB_ARENA_ARRAY(reader->arena, int, n + 1);
    model->inputs = MB_ARENA_NEW(reader->arena, int);
    model->outputs = MB_ARENA_NEW(reader->arena, mb_source_t);
    if (model->calls == NULL || model->first_call == NULL || model->inputs == NULL ||
        model->outputs == NULL)
        return mb_error_memory("a model's calls", (size_t)n * sizeof(mb_module_call_t));
    return MB_OK;
}

static mb_status_t check_in_chain(const mb_module_t *model, const mb_module_t *member)
{
    int inputs = member->kind == MB_MODULE_MODEL ? member->n_inputs : 1;
    int outputs = mb_module_outputs(member);
    if (inputs == 1 && outputs == 1)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s '%s' stands in the Sequential model '%s', but has %d inputs and %d "
                        "outputs",
                        member->kind == MB_MODULE_MODEL ? "model" : "layer", member->path,
                        model->name, inputs, outputs);
}

/* The call of member I on the output of the one before it. */
static mb_status_t chain_call(mb_reader_t *reader, const mb_module_t *model, int i,
                              mb_module_call_t *call)
{
    const mb_module_t *member = model->members[i];
    MB_TRY(check_in_chain(model, member));
    char where[192];
    json_t *kwargs = NULL;
    snprintf(where, sizeof(where), "layer '%.120s' (%.32s)", member->path, member->class_name);
    MB_TRY(new_kwargs(reader, &kwargs));
    MB_TRY(read_call_config(reader, member, where, kwargs, &call->config));
    call->inputs = MB_ARENA_NEW(reader->arena, mb_source_t);
    MB_ARENA_TRY(call->inputs, "a call's inputs");
    call->inputs[0].call = i - 1;
    call->n_inputs = 1;
    return MB_OK;
}

/* Each member of a Sequential model is called once; the first one is its InputLayer. */
mb_status_t mb_calls_chain(mb_reader_t *reader, mb_module_t *model)
{
    MB_TRY(allocate_chain(reader, model));
    for (int i = 0; i < model->n_members; i++) {
        model->calls[i].member = i;
        model->first_call[i + 1] = i + 1;
        if (i > 0)
            MB_TRY(chain_call(reader, model, i, &model->calls[i]));
    }
    model->outputs[0].call = model->n_members - 1;
    return mb_calls_order(reader->arena, model);
}
