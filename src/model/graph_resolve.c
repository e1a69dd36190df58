/* What the references of calls, input_layers and output_layers of a model mean.
 *
 * The index of a call in the file counts the calls inside this model only. A model that is a member
 * has one call before its first in Keras 2 (the one that made it), and in Keras 3 too, but there
 * only where output_layers names it. */
#include "model/graph_private.h"

#include <inttypes.h>
#include <stdio.h>

/* What turns the file's call indices of each member into ours. */
typedef struct {
    const mb_module_t *model;
    mb_names_t names;
    bool keras2;
    int64_t *base; /* [n_members] */
} mb_resolver_t;

static mb_status_t find_member(const mb_resolver_t *resolver, const mb_reference_t *reference,
                               const char *user, int *out)
{
    *out = mb_names_get(&resolver->names, reference->layer);
    if (*out >= 0)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "model '%s': %s takes a tensor of layer '%s', which is not "
                        "in the model",
                        resolver->model->name, user, reference->layer);
}

/* In Keras 2 the least index in use is the first call's: only calls that are used are written. */
static mb_status_t lower_base(mb_resolver_t *resolver, const mb_reference_t *reference,
                              const char *user)
{
    int member;
    MB_TRY(find_member(resolver, reference, user, &member));
    if (resolver->keras2 && resolver->model->members[member]->kind == MB_MODULE_MODEL &&
        reference->call < resolver->base[member])
        resolver->base[member] = reference->call < 0 ? 0 : reference->call;
    return MB_OK;
}

static mb_status_t set_bases(mb_reader_t *reader, mb_resolver_t *resolver,
                             const mb_references_t *outputs)
{
    const mb_module_t *model = resolver->model;
    resolver->base = MB_ARENA_ARRAY(reader->arena, int64_t, model->n_members);
    MB_ARENA_TRY(resolver->base, "a model's calls");
    for (int i = 0; i < model->n_members; i++)
        resolver->base[i] = resolver->keras2 && model->members[i]->kind == MB_MODULE_MODEL;
    for (int k = 0; k < model->n_calls; k++) {
        const mb_module_call_t *call = &model->calls[k];
        for (int i = 0; i < call->n_inputs; i++)
            MB_TRY(lower_base(resolver, &call->references[i], model->members[call->member]->name));
    }
    for (int i = 0; i < outputs->n; i++)
        MB_TRY(lower_base(resolver, &outputs->items[i], "output_layers"));
    return MB_OK;
}

static mb_status_t resolve(const mb_resolver_t *resolver, const mb_reference_t *reference,
                           const char *user, int64_t shift, mb_source_t *out)
{
    const mb_module_t *model = resolver->model;
    int index;
    MB_TRY(find_member(resolver, reference, user, &index));
    const mb_module_t *member = model->members[index];
    int64_t n_calls = model->first_call[index + 1] - model->first_call[index];
    int64_t call = reference->call - resolver->base[index] - shift;
    if (resolver->keras2 && member->kind == MB_MODULE_INPUT)
        call = 0;
    if (call < 0 || call >= n_calls)
        return mb_error_set(MB_ERR_FORMAT,
                            "model '%s': %s takes call %" PRId64 " of layer '%s', which is called "
                            "%" PRId64 " time%s",
                            model->name, user, reference->call, reference->layer, n_calls,
                            n_calls == 1 ? "" : "s");
    int n_outputs = mb_module_outputs(member);
    int64_t most = n_outputs == 0 ? MB_MAX_REFERENCES : n_outputs;
    if (reference->output < 0 || reference->output >= most)
        return mb_error_set(MB_ERR_FORMAT,
                            "model '%s': %s takes output %" PRId64 " of layer '%s' (%s), which has "
                            "%d output%s",
                            model->name, user, reference->output, reference->layer,
                            member->class_name, n_outputs, n_outputs == 1 ? "" : "s");
    *out = (mb_source_t){.call = model->first_call[index] + (int)call,
                         .output = (int)reference->output};
    if (member->kind == MB_MODULE_LAYER)
        model->calls[out->call].used |= UINT64_C(1) << out->output;
    return MB_OK;
}

static mb_status_t resolve_calls(const mb_resolver_t *resolver, mb_module_t *model)
{
    for (int k = 0; k < model->n_calls; k++) {
        mb_module_call_t *call = &model->calls[k];
        const mb_module_t *member = model->members[call->member];
        for (int i = 0; i < call->n_inputs; i++)
            MB_TRY(resolve(resolver, &call->references[i], member->name, 0, &call->inputs[i]));
        if (member->kind == MB_MODULE_MODEL && call->n_inputs - call->n_masks != member->n_inputs)
            return mb_error_set(MB_ERR_FORMAT,
                                "model '%s' has %d inputs, but is called with %d tensors",
                                member->path, member->n_inputs, call->n_inputs - call->n_masks);
    }
    return MB_OK;
}

static mb_status_t resolve_inputs(mb_reader_t *reader, const mb_resolver_t *resolver,
                                  const mb_references_t *inputs, mb_module_t *model)
{
    mb_names_t seen;
    MB_TRY(mb_names_create(reader->arena, (size_t)inputs->n, &seen));
    model->inputs = MB_ARENA_ARRAY(reader->arena, int, inputs->n);
    MB_ARENA_TRY(model->inputs, "a model's inputs");
    for (int i = 0; i < inputs->n; i++) {
        mb_source_t source;
        MB_TRY(resolve(resolver, &inputs->items[i], "input_layers", 0, &source));
        const mb_module_t *member = model->members[model->calls[source.call].member];
        if (member->kind != MB_MODULE_INPUT || !mb_names_put(&seen, member->name, i))
            return mb_error_set(MB_ERR_FORMAT,
                                "model '%s': input_layers must name InputLayers, each once; "
                                "'%s' is %s",
                                model->name, member->name,
                                member->kind == MB_MODULE_INPUT ? "there twice"
                                                                : member->class_name);
        model->inputs[model->n_inputs++] = source.call;
    }
    for (int i = 0; i < model->n_members; i++) {
        if (model->members[i]->kind == MB_MODULE_INPUT &&
            mb_names_get(&seen, model->members[i]->name) < 0)
            return mb_error_set(MB_ERR_FORMAT,
                                "model '%s': the InputLayer '%s' is missing in input_layers",
                                model->name, model->members[i]->name);
    }
    return MB_OK;
}

/* Keras 3 counts from 1 where output_layers names a functional model. Other writers count from 0,
 * which can only be meant where there is one call. */
static int64_t output_shift(const mb_resolver_t *resolver, const mb_reference_t *reference)
{
    int index = mb_names_get(&resolver->names, reference->layer);
    const mb_module_t *member = resolver->model->members[index];
    bool counts = !resolver->keras2 && member->kind == MB_MODULE_MODEL && !member->sequential;
    int n_calls = resolver->model->first_call[index + 1] - resolver->model->first_call[index];
    return counts && !(n_calls == 1 && reference->call == 0) ? 1 : 0;
}

static mb_status_t resolve_outputs(mb_reader_t *reader, const mb_resolver_t *resolver,
                                   const mb_references_t *outputs, mb_module_t *model)
{
    model->outputs = MB_ARENA_ARRAY(reader->arena, mb_source_t, outputs->n);
    MB_ARENA_TRY(model->outputs, "a model's outputs");
    for (int i = 0; i < outputs->n; i++) {
        int64_t shift = output_shift(resolver, &outputs->items[i]);
        MB_TRY(resolve(resolver, &outputs->items[i], "output_layers", shift, &model->outputs[i]));
        model->n_outputs++;
    }
    return MB_OK;
}

static mb_status_t flatten_ends(const mb_module_t *model, const char *key, const json_t *value,
                                mb_references_t *out)
{
    char where[192];
    snprintf(where, sizeof(where), "model '%.120s', %s", model->name, key);
    *out = (mb_references_t){0};
    if (value == NULL)
        return mb_error_set(MB_ERR_FORMAT, "%s: missing", where);
    MB_TRY(mb_references_flatten(value, where, out));
    return out->n > 0 ? MB_OK : mb_error_set(MB_ERR_FORMAT, "%s: empty", where);
}

mb_status_t mb_calls_resolve(mb_reader_t *reader, mb_module_t *model, bool keras2,
                             const json_t *input_layers, const json_t *output_layers)
{
    mb_resolver_t resolver = {.model = model, .keras2 = keras2};
    mb_references_t inputs, outputs;
    MB_TRY(mb_names_create(reader->arena, (size_t)model->n_members, &resolver.names));
    for (int i = 0; i < model->n_members; i++)
        mb_names_put(&resolver.names, model->members[i]->name, i);
    MB_TRY(flatten_ends(model, "input_layers", input_layers, &inputs));
    MB_TRY(flatten_ends(model, "output_layers", output_layers, &outputs));
    MB_TRY(set_bases(reader, &resolver, &outputs));
    MB_TRY(resolve_calls(&resolver, model));
    MB_TRY(resolve_inputs(reader, &resolver, &inputs, model));
    return resolve_outputs(reader, &resolver, &outputs, model);
}
