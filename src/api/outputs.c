/* See outputs.h. */
#include "api/outputs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int place_of(const mb_api_outputs_t *outputs, const char *name)
{
    int at = 0;
    while (at < outputs->count && strcmp(outputs->outputs[at].name, name) != 0)
        at++;
    return at;
}

mb_status_t mb_api_outputs_set(mb_api_outputs_t *outputs, const char *function, const char *name,
                               int64_t count, float *values, int *at)
{
    MB_TRY(mb_api_need(name, function, "name"));
    MB_TRY(mb_api_need(values, function, "values"));
    if (count < 1)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: room for %" PRId64 " numbers", function, count);
    *at = place_of(outputs, name);
    if (*at == MB_API_MAX_ARRAYS)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: more than %d outputs", function,
                            MB_API_MAX_ARRAYS);
    mb_api_output_t *output = &outputs->outputs[*at];
    if (*at == outputs->count) {
        output->name = strdup(name);
        if (output->name == NULL)
            return mb_error_memory("an output's name", strlen(name));
        outputs->count++;
    }
    output->count = count;
    output->values = values;
    return MB_OK;
}

static int find_output(const mb_graph_t *graph, const char *name)
{
    for (int o = 0; o < graph->n_outputs; o++) {
        if (strcmp(graph->outputs[o].name, name) == 0)
            return o;
    }
    return graph->n_outputs == 1 && strcmp(name, "y") == 0 ? 0 : -1;
}

mb_status_t mb_api_outputs_ready(void *user, const mb_graph_t *graph)
{
    mb_api_outputs_t *outputs = user;
    for (int i = 0; i < outputs->count; i++) {
        mb_api_output_t *output = &outputs->outputs[i];
        output->place = find_output(graph, output->name);
        if (output->place < 0)
            return mb_error_set(MB_ERR_ARGUMENT,
                                "mb_predictor_run: the model has no output '%s'; its first one is "
                                "'%s'",
                                output->name, graph->outputs[0].name);
        const mb_node_t *node = &graph->nodes[graph->outputs[output->place].node];
        output->elements = mb_shape_elements(&node->call.output);
        if (output->count / outputs->samples < output->elements)
            return mb_error_set(MB_ERR_SHAPE,
                                "mb_predictor_run: output '%s' of %" PRId64 " samples has %" PRId64
                                " numbers each, and there is room for %" PRId64 " in all",
                                output->name, outputs->samples, output->elements, output->count);
    }
    return MB_OK;
}

static mb_status_t remember(mb_api_outputs_t *outputs, mb_api_run_t run)
{
    mb_api_run_t *last = outputs->n_runs == 0 ? NULL : &outputs->runs[outputs->n_runs - 1];
    if (last != NULL && last->output == run.output && last->first + last->count == run.first) {
        last->count += run.count;
        return MB_OK;
    }
    if (outputs->n_runs == outputs->run_capacity) {
        int capacity = outputs->run_capacity == 0 ? 64 : 2 * outputs->run_capacity;
        mb_api_run_t *runs = realloc(outputs->runs, (size_t)capacity * sizeof *runs);
        if (runs == NULL)
            return mb_error_memory("a list of predictions", (size_t)capacity * sizeof *runs);
        outputs->runs = runs;
        outputs->run_capacity = capacity;
    }
    outputs->runs[outputs->n_runs++] = run;
    return MB_OK;
}

mb_status_t mb_api_outputs_write(void *user, int place, int64_t first, int64_t count,
                                 const float *values)
{
    mb_api_outputs_t *outputs = user;
    for (int i = 0; i < outputs->count; i++) {
        const mb_api_output_t *output = &outputs->outputs[i];
        if (output->place != place)
            continue;
        memcpy(output->values + first * output->elements, values,
               (size_t)(count * output->elements) * sizeof(float));
        MB_TRY(remember(outputs, (mb_api_run_t){.output = i, .first = first, .count = count}));
    }
    return MB_OK;
}

static size_t run_bytes(const mb_api_outputs_t *outputs, const mb_api_run_t *run)
{
    return (size_t)(run->count * outputs->outputs[run->output].elements) * sizeof(float);
}

static float *run_values(const mb_api_outputs_t *outputs, const mb_api_run_t *run)
{
    const mb_api_output_t *output = &outputs->outputs[run->output];
    return output->values + run->first * output->elements;
}

/* Runs one behind the other, each in front of its values. */
static mb_status_t pack(const mb_api_outputs_t *outputs, char **packed, size_t *bytes)
{
    *bytes = 0;
    for (int i = 0; i < outputs->n_runs; i++)
        *bytes += sizeof outputs->runs[i] + run_bytes(outputs, &outputs->runs[i]);
    char *at = malloc(*bytes + 1);
    if (at == NULL)
        return mb_error_memory("predictions on their way to rank 0", *bytes);
    *packed = at;
    for (int i = 0; i < outputs->n_runs; i++) {
        const mb_api_run_t *run = &outputs->runs[i];
        memcpy(at, run, sizeof *run);
        at += sizeof *run;
        memcpy(at, run_values(outputs, run), run_bytes(outputs, run));
        at += run_bytes(outputs, run);
    }
    return MB_OK;
}

static void unpack(const mb_api_outputs_t *outputs, const char *packed, size_t bytes)
{
    const char *end = packed + bytes;
    while (packed < end) {
        mb_api_run_t run;
        memcpy(&run, packed, sizeof run);
        packed += sizeof run;
        memcpy(run_values(outputs, &run), packed, run_bytes(outputs, &run));
        packed += run_bytes(outputs, &run);
    }
}

static mb_status_t gather(const mb_api_outputs_t *outputs, mb_comm_t *comm)
{
    char *packed = NULL;
    void *all = NULL;
    size_t bytes = 0, total = 0, *bytes_of = NULL;
    /* Rank 0's own are in place. */
    mb_status_t status = mb_comm_rank(comm) == 0 ? MB_OK : pack(outputs, &packed, &bytes);
    MB_TRY_GOTO(mb_comm_agree(comm, status), status, out);
    MB_TRY_GOTO(mb_comm_gather(comm, packed, bytes, 0, &all, &bytes_of), status, out);
    for (int r = 0; bytes_of != NULL && r < mb_comm_size(comm); r++)
        total += bytes_of[r];
    if (all != NULL)
        unpack(outputs, all, total);

out:
    free(packed);
    free(all);
    free(bytes_of);
    return status;
}

mb_status_t mb_api_outputs_share(mb_api_outputs_t *outputs, mb_comm_t *comm)
{
    if (mb_comm_size(comm) == 1)
        return MB_OK;
    MB_TRY(gather(outputs, comm));
    for (int i = 0; i < outputs->count; i++) {
        const mb_api_output_t *output = &outputs->outputs[i];
        MB_TRY(mb_comm_broadcast(comm, output->values,
                                 (size_t)(outputs->samples * output->elements) * sizeof(float), 0));
    }
    return MB_OK;
}

void mb_api_outputs_forget(mb_api_outputs_t *outputs)
{
    free(outputs->runs);
    outputs->runs = NULL;
    outputs->n_runs = outputs->run_capacity = 0;
}

void mb_api_outputs_free(mb_api_outputs_t *outputs)
{
    mb_api_outputs_forget(outputs);
    for (int i = 0; i < outputs->count; i++)
        free(outputs->outputs[i].name);
    outputs->count = 0;
}
