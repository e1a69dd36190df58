/* Layers of several outputs. Either all stand in the one tensor of the call, and a node behind it
 * takes each that is used out of it; or each that is used is a call of its own, which is told which
 * one it gives (mb_call_t's part). */
#include "model/graph_private.h"

#include "model/layers/move.h"

static mb_status_t infer(mb_call_t *call)
{
    call->output_type = call->input_types[0];
    return MB_OK; /* mb_part_place has set the shape */
}

static void move(const mb_call_t *call, int64_t samples, int64_t index, mb_move_t *out)
{
    mb_shape_t taken = {1, {mb_shape_elements(&call->output)}};
    (void)index;
    out->input = 0;
    out->from = mb_view_of(samples, &call->inputs[0]);
    out->to = mb_view_of(samples, &taken);
    mb_view_slice(&out->from, 1, call->first, 1, taken.dim[0]);
}

/* Of the call's, where the output has it. */
static mb_mask_rule_t mask(const mb_call_t *call)
{
    const mb_layer_t *of = call->layer->config;
    int masked = of->class_->masked == NULL ? 1 : of->class_->masked(of);
    return (mb_mask_rule_t){.kind = call->part < masked ? MB_MASK_PASSED : MB_MASK_DROPPED};
}

static const mb_layer_class_t part_class = {
    .size = sizeof(mb_layer_class_t),
    .name = "Output",
    .kind = &(const mb_moves_t){.count = mb_move_once, .move = move, .leaves = true},
    .infer = infer,
    .memory = mb_call_keeps_nothing,
    .forward = mb_move_forward,
    .backward_input = mb_move_backward,
    .cost = mb_move_cost,
    .mask = mask};

bool mb_part_is(const mb_layer_t *layer)
{
    return layer->class_ == &part_class;
}

void mb_part_place(mb_call_t *part, const mb_call_t *whole)
{
    whole->layer->class_->part(whole, part->part, &part->output, &part->first);
}

int mb_module_outputs(const mb_module_t *module)
{
    if (module->kind == MB_MODULE_MODEL)
        return module->n_outputs;
    if (module->kind == MB_MODULE_INPUT || module->layer->class_->outputs == NULL)
        return 1;
    return module->layer->class_->outputs(module->layer);
}

mb_status_t mb_part_layer(mb_arena_t *arena, const mb_layer_t *of, int index, mb_layer_t **out)
{
    mb_layer_t *layer = MB_ARENA_NEW(arena, mb_layer_t);
    MB_ARENA_TRY(layer, "an output");
    *layer = (mb_layer_t){
        .class_ = &part_class, .type = of->type, .implied = true, .follows = true, .index = -1};
    layer->config = (void *)(uintptr_t)of;
    layer->path = mb_arena_format(arena, "%s output %d", of->path, index);
    MB_ARENA_TRY(layer->path, "an output");
    layer->name = layer->path;
    *out = layer;
    return MB_OK;
}
