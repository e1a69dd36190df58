/* See mask_values.h. The rules are those of model/layers/mask.c. */
#include "engine/mask_values.h"

#include "base/number.h"
#include "model/layers/mask.h"

#include <stdlib.h>
#include <string.h>

static bool is_leaf(const mb_mask_t *mask)
{
    return mask->rule.kind != MB_MASK_EITHER && mask->rule.kind != MB_MASK_JOINED;
}

static int input_at(const mb_graph_t *graph, int node)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        if (graph->inputs[i] == node)
            return i;
    }
    return -1;
}

static int place_of(const mb_mask_values_t *values, int input)
{
    int i = 0;
    while (i < values->n && values->inputs[i].input != input)
        i++;
    return i;
}

static mb_status_t add_input(mb_mask_values_t *values, const mb_mask_t *mask, int output)
{
    const mb_graph_t *graph = values->graph;
    const mb_call_t *call = &graph->nodes[mask->tensors[0]].call;
    int input = input_at(graph, mask->tensors[0]), place = place_of(values, input);
    if (input < 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "output '%s': its loss has a mask that follows from what layer '%s' "
                            "computes; this build obeys masks of losses that follow from inputs "
                            "alone: put Masking right behind the input",
                            graph->outputs[output].name, call->layer->path);
    values->n += place == values->n;
    values->inputs[place] = (mb_mask_input_t){.input = input,
                                              .field = -1,
                                              .as_int = !mb_dtype_is_float(call->output_type),
                                              .elements = mb_shape_elements(&call->output)};
    return MB_OK;
}

static mb_status_t add_mask(mb_mask_values_t *values, const mb_mask_t *mask, int output)
{
    size_t count = (size_t)mb_shape_elements(&mask->shape) + 1;
    if (values->values[mask->index] != NULL)
        return MB_OK;
    values->values[mask->index] = malloc(count * sizeof(float));
    if (values->values[mask->index] == NULL)
        return mb_error_memory("a mask", count * sizeof(float));
    for (int i = 0; i < mask->n && !is_leaf(mask); i++) {
        if (mask->of[i] != NULL)
            MB_TRY(add_mask(values, mask->of[i], output));
    }
    return is_leaf(mask) ? add_input(values, mask, output) : MB_OK;
}

mb_status_t mb_mask_values_create(const mb_graph_t *graph, int output, mb_mask_values_t **out)
{
    mb_mask_values_t *values = calloc(1, sizeof *values);
    if (values == NULL)
        return mb_error_memory("a mask", sizeof *values);
    *values = (mb_mask_values_t){.graph = graph, .mask = graph->outputs[output].mask};
    values->values = calloc((size_t)graph->n_masks, sizeof(float *));
    mb_status_t status = values->values == NULL
                             ? mb_error_memory("masks", (size_t)graph->n_masks * sizeof(float *))
                             : add_mask(values, values->mask, output);
    if (status != MB_OK)
        mb_mask_values_destroy(values);
    else
        *out = values;
    return status;
}

void mb_mask_values_destroy(mb_mask_values_t *values)
{
    if (values == NULL)
        return;
    for (int i = 0; values->values != NULL && i < values->graph->n_masks; i++)
        free(values->values[i]);
    free(values->values);
    free(values);
}

/* As what computes in TYPE sees it. */
static float seen_as(mb_dtype_t type, float value)
{
    uint16_t narrow;
    if (type == MB_F32)
        return value;
    mb_number_encode(mb_number_of(type), 0, &value, 1, &narrow);
    mb_number_decode(mb_number_of(type), 0, &narrow, 1, &value);
    return value;
}

static bool differs(const mb_mask_t *mask, const float *row, int64_t columns)
{
    bool any = false;
    for (int64_t j = 0; j < columns; j++)
        any = any || seen_as(mask->type, row[j]) != mask->rule.value;
    return any;
}

static void look(const mb_mask_values_t *values, const mb_mask_t *mask, const void *const *inputs,
                 float *out)
{
    int place = place_of(values, input_at(values->graph, mask->tensors[0]));
    const mb_mask_input_t *input = &values->inputs[place];
    const int32_t *ids = inputs[place];
    const float *numbers = inputs[place];
    int64_t count = mb_shape_elements(&mask->shape), columns = input->elements / count;
    bool compares = mask->rule.kind == MB_MASK_DIFFERS;
    for (int64_t i = 0; i < count; i++) {
        bool set = compares        ? differs(mask, numbers + i * columns, columns)
                   : input->as_int ? ids[i] != 0
                                   : numbers[i] != 0.0F;
        out[i] = set ? 1.0F : 0.0F;
    }
}

/* Of the same shape, or of one element along some axes. */
static void add_either(const mb_mask_t *mask, const float *of, const mb_shape_t *shape, float *out)
{
    for (int64_t i = 0; i < mb_shape_elements(&mask->shape); i++) {
        int64_t rest = i, from = 0, step = 1;
        for (int d = mask->shape.rank - 1; d >= 0; d--) {
            from += shape->dim[d] == 1 ? 0 : rest % mask->shape.dim[d] * step;
            rest /= mask->shape.dim[d];
            step *= shape->dim[d];
        }
        out[i] = out[i] != 0.0F || of[from] != 0.0F ? 1.0F : 0.0F;
    }
}

/* Input I of what is joined along AXIS, from position FIRST on; OF NULL: ones. */
static void put(const mb_mask_t *mask, const float *of, int axis, int64_t first, int64_t length,
                float *out)
{
    int64_t outer = 1, inner = 1, whole = mask->shape.dim[axis];
    for (int d = 0; d < mask->shape.rank; d++) {
        outer *= d < axis ? mask->shape.dim[d] : 1;
        inner *= d > axis ? mask->shape.dim[d] : 1;
    }
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < length * inner; i++)
            out[(o * whole + first) * inner + i] = of == NULL ? 1.0F : of[o * length * inner + i];
    }
}

static void join(const mb_mask_values_t *values, const mb_mask_t *mask, float *out)
{
    int axis = mb_mask_axis(mask, mask->shape.rank + 1);
    int64_t first = 0;
    for (int i = 0; i < mask->n; i++) {
        const float *of = mask->of[i] == NULL ? NULL : values->values[mask->of[i]->index];
        int64_t length = values->graph->nodes[mask->tensors[i]].call.output.dim[axis];
        put(mask, of, axis, first, length, out);
        first += length;
    }
}

static bool has_ones(const mb_mask_t *mask)
{
    bool any = false;
    for (int i = 0; i < mask->n; i++)
        any = any || mask->of[i] == NULL;
    return any;
}

static void evaluate(const mb_mask_values_t *values, const mb_mask_t *mask,
                     const void *const *inputs)
{
    float *out = values->values[mask->index];
    int64_t count = mb_shape_elements(&mask->shape);
    if (is_leaf(mask)) {
        look(values, mask, inputs, out);
        return;
    }
    for (int i = 0; i < mask->n; i++) {
        if (mask->of[i] != NULL)
            evaluate(values, mask->of[i], inputs);
    }
    bool joins = mask->rule.kind == MB_MASK_JOINED;
    if (joins && mb_mask_axis(mask, mask->shape.rank + 1) < mask->shape.rank) {
        join(values, mask, out);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        out[i] = joins && has_ones(mask) ? 1.0F : 0.0F;
    for (int i = 0; i < mask->n; i++) {
        if (mask->of[i] != NULL)
            add_either(mask, values->values[mask->of[i]->index], &mask->of[i]->shape, out);
    }
}

const float *mb_mask_values_of(const mb_mask_values_t *values, const void *const *inputs)
{
    evaluate(values, values->mask, inputs);
    return values->values[values->mask->index];
}
