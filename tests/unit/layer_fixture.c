/* See layer_fixture.h. */
#include "unit/layer_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static void must(mb_status_t status)
{
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
}

static const char *const devices[] = {"cpu", "deferred"};

int layer_n_devices(void)
{
    return (int)(sizeof(devices) / sizeof(devices[0]));
}

const char *layer_device(int index)
{
    return devices[index];
}

static bool takes_list(const char *class_name)
{
    static const char *const names[] = {"Add",     "Multiply",  "Concatenate",      "Maximum",
                                        "Minimum", "Attention", "AdditiveAttention"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(class_name, names[i]) == 0)
            return true;
    }
    return false;
}

char *layer_model_text(const char *class_name, const char *config, const char *kwargs, int n_inputs,
                       const mb_shape_t *shapes, bool integer)
{
    return layer_masked_text(class_name, config, kwargs, n_inputs, 0, shapes, integer);
}

char *layer_masked_text(const char *class_name, const char *config, const char *kwargs,
                        int n_inputs, int n_masks, const mb_shape_t *shapes, bool integer)
{
    mb_str_t text = {0}, arguments = {0}, names = {0}, masks = {0};
    int n_arguments = n_inputs - n_masks;
    const char *type = integer ? "int32" : "float32";
    mb_str_add(&text, "{\"class_name\": \"Functional\", \"config\": {\"name\": \"m\", "
                      "\"trainable\": true, \"layers\": [");
    bool states =
        n_arguments > 1 && (strstr(class_name, "LSTM") != NULL || strcmp(class_name, "GRU") == 0 ||
                            strcmp(class_name, "Bidirectional") == 0);
    for (int i = 0; i < n_inputs; i++) {
        mb_str_t shape = {0};
        mb_str_add(&shape, "[null");
        for (int d = 0; d < shapes[i].rank; d++)
            mb_str_addf(&shape, ", %d", (int)shapes[i].dim[d]);
        mb_str_add(&shape, "]");
        mb_str_addf(&text,
                    "{\"class_name\": \"InputLayer\", \"config\": {\"batch_shape\": %s, \"dtype\": "
                    "\"%s\", \"name\": \"in%d\"}, \"name\": \"in%d\", \"inbound_nodes\": []}, ",
                    shape.text, type, i, i);
        mb_str_addf(i < n_arguments ? &arguments : &masks,
                    "%s{\"class_name\": \"__keras_tensor__\", \"config\": {\"shape\": %s, "
                    "\"dtype\": \"%s\", \"keras_history\": [\"in%d\", 0, 0]}}",
                    i == 0 || i == n_arguments ? ""
                    : states && i == 1         ? ", ["
                                               : ", ",
                    shape.text, type, i);
        mb_str_addf(&names, "%s[\"in%d\", 0, 0]", i == 0 ? "" : ", ", i);
        mb_str_free(&shape);
    }
    bool list = takes_list(class_name);
    mb_str_t last = {0};
    if (n_masks > 0)
        mb_str_addf(&last, "%s\"mask\": %s%s%s", kwargs[0] == '\0' ? "" : ", ", list ? "[" : "",
                    masks.text, list ? "]" : "");
    mb_str_addf(&text,
                "{\"class_name\": \"%s\", \"config\": {\"name\": \"it\"%s%s}, \"name\": \"it\", "
                "\"inbound_nodes\": [{\"args\": [%s%s%s], \"kwargs\": {%s%s}}]}], "
                "\"input_layers\": [%s], \"output_layers\": [[\"it\", 0, 0]]}}",
                class_name, config[0] == '\0' ? "" : ", ", config, list ? "[" : "", arguments.text,
                list || states ? "]" : "", kwargs, n_masks > 0 ? last.text : "", names.text);
    mb_str_free(&last);
    mb_str_free(&masks);
    mb_str_free(&arguments);
    mb_str_free(&names);
    return text.text;
}

static void *device_array(layer_fixture_t *f, size_t bytes)
{
    void *memory = NULL;
    if (bytes > 0)
        must(mb_device_alloc(f->device, bytes, &memory));
    return memory;
}

static float *host_array(int64_t count)
{
    float *array = calloc((size_t)count + 1, sizeof(float));
    ck_assert_ptr_nonnull(array);
    return array;
}

static void upload(layer_fixture_t *f, void *to, const void *from, int64_t count)
{
    must(mb_exec_copy(&f->exec, to, from, (size_t)count * sizeof(float), MB_COPY_TO_DEVICE));
    must(mb_exec_sync(&f->exec));
}

static void download(layer_fixture_t *f, void *to, const void *from, int64_t count)
{
    must(mb_exec_copy(&f->exec, to, from, (size_t)count * sizeof(float), MB_COPY_TO_HOST));
    must(mb_exec_sync(&f->exec));
}

static void poison(layer_fixture_t *f, void *memory, int64_t count)
{
    if (memory == NULL)
        return;
    float *nans = host_array(count);
    for (int64_t i = 0; i < count; i++)
        nans[i] = NAN;
    upload(f, memory, nans, count);
    free(nans);
}

static mb_run_t run_of(layer_fixture_t *f)
{
    return (mb_run_t){.exec = &f->exec,
                      .call = f->call,
                      .samples = f->samples,
                      .valid = f->valid,
                      .training = f->training,
                      .random = f->random,
                      .params = f->params,
                      .values = (float *const *)f->params,
                      .inputs = (const void *const *)f->inputs,
                      .output = f->output,
                      .saved = f->saved,
                      .carry = f->carry,
                      .constants = f->constants,
                      .sums = f->sums,
                      .states = f->states,
                      .grad_output = f->grad_output,
                      .grad_inputs = f->grad_inputs,
                      .grad_params = f->grad_params};
}

/* Everything once with no memory at all, as the engine does to size the workspace. */
static void plan(layer_fixture_t *f)
{
    const mb_layer_class_t *class_ = f->layer->class_;
    void *none[MB_MAX_INPUTS] = {NULL};
    float *no_gradients[MB_MAX_INPUTS] = {NULL};
    mb_run_t run = {.exec = &f->exec,
                    .call = f->call,
                    .samples = f->samples,
                    .valid = f->samples,
                    .training = true,
                    .params = none,
                    .inputs = (const void *const *)none,
                    .grad_inputs = none,
                    .grad_params = no_gradients};
    must(class_->forward(&run));
    must(class_->backward_input(&run));
    if (class_->backward_weights != NULL)
        must(class_->backward_weights(&run));
    if (mb_call_has_statistics(f->call))
        must(class_->update_statistics(&run, 1.0));
    run.training = false;
    must(class_->forward(&run));
    must(mb_exec_allocate(&f->exec));
}

static void allocate(layer_fixture_t *f)
{
    f->layer->class_->memory(f->call, f->samples, &f->memory);
    for (int i = 0; i < f->call->n_inputs; i++) {
        int64_t count = layer_input_elements(f, i);
        f->inputs[i] = device_array(f, (size_t)count * sizeof(float));
        f->grad_inputs[i] = device_array(f, (size_t)count * sizeof(float));
        f->host_inputs[i] = host_array(count);
        f->host_grad_inputs[i] = host_array(count);
    }
    for (int i = 0; i < f->layer->n_params; i++) {
        int64_t count = layer_param_elements(f, i);
        f->params[i] = device_array(f, (size_t)count * sizeof(float));
        f->grad_params[i] = device_array(f, (size_t)count * sizeof(float));
        f->host_params[i] = host_array(count);
        f->host_grad_params[i] = host_array(count);
    }
    size_t bytes = (size_t)layer_output_elements(f) * sizeof(float);
    f->output = device_array(f, bytes);
    f->grad_output = device_array(f, bytes);
    f->host_output = host_array(layer_output_elements(f));
    f->host_grad_output = host_array(layer_output_elements(f));
    f->saved = device_array(f, f->memory.saved_bytes);
    f->carry = device_array(f, f->memory.carry_bytes);
    f->sums = device_array(f, (size_t)f->memory.sums * sizeof(double));
    f->host_sums = (double *)(void *)host_array(2 * f->memory.sums);
}

static void allocate_states(layer_fixture_t *f)
{
    mb_shape_t shapes[MB_MAX_STATES];
    int n = mb_call_states(f->call, shapes);
    for (int i = 0; i < n; i++) {
        float *zeros = host_array(layer_state_elements(f, i));
        f->states[i] = device_array(f, (size_t)layer_state_elements(f, i) * sizeof(float));
        upload(f, f->states[i], zeros, layer_state_elements(f, i));
        free(zeros);
    }
}

static void upload_constants(layer_fixture_t *f)
{
    size_t bytes = f->memory.constant_bytes;
    void *host = calloc(1, bytes + 1);
    ck_assert_ptr_nonnull(host);
    f->constants = device_array(f, bytes);
    if (bytes > 0)
        f->layer->class_->constants(f->call, host);
    upload(f, f->constants, host, (int64_t)(bytes / sizeof(float)));
    free(host);
}

layer_fixture_t *layer_open(const char *device, const char *model, int64_t samples)
{
    layer_fixture_t *f = calloc(1, sizeof(*f));
    ck_assert_ptr_nonnull(f);
    mb_device_options_t options = {.size = sizeof(options), .threads = 2};
    must(mb_device_open(device, &options, &f->device));
    must(mb_exec_create(f->device, &f->exec));
    must(mb_graph_create(model, "a test", &f->graph));
    must(mb_graph_bind(f->graph, NULL));
    for (int i = 0; i < f->graph->n_nodes; i++) {
        if (!f->graph->nodes[i].is_input && !f->graph->nodes[i].call.layer->implied)
            f->call = &f->graph->nodes[i].call;
    }
    ck_assert_ptr_nonnull(f->call);
    f->layer = f->call->layer;
    f->samples = f->valid = samples;
    f->training = true;
    f->random = (mb_random_key_t){.seed = 11, .step = 3, .position = 40, .node = 5};
    plan(f);
    allocate(f);
    allocate_states(f);
    upload_constants(f);
    return f;
}

void layer_close(layer_fixture_t *f)
{
    for (int i = 0; i < MB_MAX_INPUTS; i++) {
        mb_device_free(f->device, f->inputs[i]);
        mb_device_free(f->device, f->grad_inputs[i]);
        free(f->host_inputs[i]);
        free(f->host_grad_inputs[i]);
    }
    for (int i = 0; i < MB_MAX_LAYER_PARAMS; i++) {
        mb_device_free(f->device, f->params[i]);
        mb_device_free(f->device, f->grad_params[i]);
        free(f->host_params[i]);
        free(f->host_grad_params[i]);
    }
    for (int i = 0; i < MB_MAX_STATES; i++)
        mb_device_free(f->device, f->states[i]);
    mb_device_free(f->device, f->output);
    mb_device_free(f->device, f->grad_output);
    mb_device_free(f->device, f->saved);
    mb_device_free(f->device, f->carry);
    mb_device_free(f->device, f->constants);
    mb_device_free(f->device, f->sums);
    free(f->host_output);
    free(f->host_grad_output);
    free(f->host_sums);
    mb_exec_destroy(&f->exec);
    mb_graph_destroy(f->graph);
    mb_device_close(f->device);
    free(f);
}

int64_t layer_input_elements(const layer_fixture_t *f, int input)
{
    return f->samples * mb_shape_elements(&f->call->inputs[input]);
}

int64_t layer_param_elements(const layer_fixture_t *f, int param)
{
    return f->graph->params[f->layer->params[param]].elements;
}

int64_t layer_state_elements(const layer_fixture_t *f, int state)
{
    mb_shape_t shapes[MB_MAX_STATES];
    mb_call_states(f->call, shapes);
    return f->samples * mb_shape_elements(&shapes[state]);
}

void layer_read_state(layer_fixture_t *f, int state, float *values)
{
    download(f, values, f->states[state], layer_state_elements(f, state));
}

int64_t layer_output_elements(const layer_fixture_t *f)
{
    return f->samples * mb_shape_elements(&f->call->output);
}

void layer_forward(layer_fixture_t *f)
{
    for (int i = 0; i < f->call->n_inputs; i++)
        upload(f, f->inputs[i], f->host_inputs[i], layer_input_elements(f, i));
    for (int i = 0; i < f->layer->n_params; i++)
        upload(f, f->params[i], f->host_params[i], layer_param_elements(f, i));
    if (f->sums != NULL)
        upload(f, f->sums, f->host_sums, 2 * f->memory.sums);
    poison(f, f->output, layer_output_elements(f));
    poison(f, f->saved, (int64_t)(f->memory.saved_bytes / sizeof(float)));
    mb_run_t run = run_of(f);
    must(f->layer->class_->forward(&run));
    download(f, f->host_output, f->output, layer_output_elements(f));
    if (f->sums != NULL)
        download(f, f->host_sums, f->sums, 2 * f->memory.sums);
}

void layer_backward_input(layer_fixture_t *f, bool want_inputs)
{
    void *none[MB_MAX_INPUTS] = {NULL};
    for (int i = 0; i < f->call->n_inputs; i++) {
        poison(f, f->grad_inputs[i], layer_input_elements(f, i));
        if (!f->memory.keeps_input[i])
            poison(f, f->inputs[i], layer_input_elements(f, i));
    }
    if (!f->memory.keeps_output)
        poison(f, f->output, layer_output_elements(f));
    poison(f, f->carry, (int64_t)(f->memory.carry_bytes / sizeof(float)));
    upload(f, f->grad_output, f->host_grad_output, layer_output_elements(f));
    mb_run_t run = run_of(f);
    run.grad_inputs = want_inputs ? f->grad_inputs : none;
    must(f->layer->class_->backward_input(&run));
    for (int i = 0; i < f->call->n_inputs; i++)
        download(f, f->host_grad_inputs[i], f->grad_inputs[i], layer_input_elements(f, i));
}

void layer_backward_weights(layer_fixture_t *f, bool accumulate)
{
    if (f->layer->class_->backward_weights == NULL)
        return;
    mb_run_t run = run_of(f);
    float *wanted[MB_MAX_LAYER_PARAMS] = {NULL};
    for (int i = 0; i < f->layer->n_params; i++) {
        int64_t count = layer_param_elements(f, i);
        if (!f->graph->params[f->layer->params[i]].trainable)
            continue;
        wanted[i] = f->grad_params[i];
        if (accumulate)
            upload(f, f->grad_params[i], f->host_grad_params[i], count);
        else
            poison(f, f->grad_params[i], count);
    }
    run.grad_params = wanted;
    run.accumulate = accumulate;
    must(f->layer->class_->backward_weights(&run));
    for (int i = 0; i < f->layer->n_params; i++) {
        if (wanted[i] != NULL)
            download(f, f->host_grad_params[i], f->grad_params[i], layer_param_elements(f, i));
    }
}

void layer_update_statistics(layer_fixture_t *f, double count)
{
    mb_run_t run = run_of(f);
    if (f->sums != NULL)
        upload(f, f->sums, f->host_sums, 2 * f->memory.sums);
    must(f->layer->class_->update_statistics(&run, count));
    for (int i = 0; i < f->layer->n_params; i++)
        download(f, f->host_params[i], f->params[i], layer_param_elements(f, i));
}

double layer_uniform(uint32_t name, int64_t index)
{
    mb_random_key_t key = {.seed = 20250117, .purpose = 99, .node = name};
    return 2.0 * (double)mb_random_unit(mb_random_word(&key, 0, (uint32_t)index)) - 1.0;
}

void layer_fill(layer_fixture_t *f, int64_t vocabulary)
{
    for (int i = 0; i < f->call->n_inputs; i++) {
        float *values = f->host_inputs[i];
        int32_t *ids = f->host_inputs[i];
        for (int64_t j = 0; j < layer_input_elements(f, i); j++) {
            double u = layer_uniform((uint32_t)(1 + i), j);
            if (vocabulary > 0)
                ids[j] = (int32_t)((u + 1.0) / 2.0 * (double)vocabulary);
            else
                values[j] = i < mb_call_arguments(f->call) ? (float)u : u > -0.3 ? 1.0f : 0.0f;
        }
    }
    for (int i = 0; i < f->layer->n_params; i++) {
        for (int64_t j = 0; j < layer_param_elements(f, i); j++)
            f->host_params[i][j] = (float)layer_uniform((uint32_t)(101 + i), j);
    }
    for (int64_t j = 0; j < layer_output_elements(f); j++)
        f->host_grad_output[j] = (float)layer_uniform(201, j);
}
