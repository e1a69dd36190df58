/* The order of calls inside a model: the file's, except that what a call depends on comes before
 * it. A depth-first walk over the calls in the file's order, with a stack of its own because a file
 * may hold a very long chain. */
#include "model/graph_private.h"

enum { UNSEEN, OPENED, DONE };

typedef struct {
    int call;
    int next_input;
} frame_t;

typedef struct {
    const mb_module_t *model;
    unsigned char *state;
    frame_t *stack;
    int depth;
    int *order;
    int n_ordered;
} walk_t;

static mb_status_t walk_create(mb_arena_t *arena, const mb_module_t *model, walk_t *out)
{
    *out = (walk_t){.model = model,
                    .state = MB_ARENA_ARRAY(arena, unsigned char, model->n_calls),
                    .stack = MB_ARENA_ARRAY(arena, frame_t, model->n_calls),
                    .order = MB_ARENA_ARRAY(arena, int, model->n_calls)};
    if (out->state == NULL || out->stack == NULL || out->order == NULL)
        return mb_error_memory("the order of a model's calls",
                               (size_t)model->n_calls * sizeof(frame_t));
    return MB_OK;
}

static void push(walk_t *walk, int call)
{
    walk->state[call] = OPENED;
    walk->stack[walk->depth++] = (frame_t){.call = call};
}

/* Appends CALL and all it depends on that is not in the order yet. */
static mb_status_t visit(walk_t *walk, int call)
{
    if (walk->state[call] == DONE)
        return MB_OK;
    push(walk, call);
    while (walk->depth > 0) {
        frame_t *top = &walk->stack[walk->depth - 1];
        const mb_module_call_t *at = &walk->model->calls[top->call];
        if (top->next_input == at->n_inputs) {
            walk->state[top->call] = DONE;
            walk->order[walk->n_ordered++] = top->call;
            walk->depth--;
            continue;
        }
        int from = at->inputs[top->next_input++].call;
        if (walk->state[from] == OPENED)
            return mb_error_set(
                MB_ERR_FORMAT, "model '%s': layer '%s' depends on its own output (a cycle)",
                walk->model->name, walk->model->members[walk->model->calls[from].member]->name);
        if (walk->state[from] == UNSEEN)
            push(walk, from);
    }
    return MB_OK;
}

/* Keras keeps only calls that an output depends on; a file with others was not written by it, and
 * its layers would not be the ones Keras sees. */
static mb_status_t check_used(mb_arena_t *arena, const mb_module_t *model)
{
    walk_t walk;
    MB_TRY(walk_create(arena, model, &walk));
    for (int i = 0; i < model->n_outputs; i++)
        MB_TRY(visit(&walk, model->outputs[i].call));
    for (int k = 0; k < model->n_calls; k++) {
        const mb_module_t *member = model->members[model->calls[k].member];
        if (walk.state[k] == DONE || member->kind == MB_MODULE_INPUT)
            continue;
        return mb_error_set(MB_ERR_FORMAT,
                            "model '%s': no output of the model depends on call %d of layer '%s' "
                            "(or the layers form a cycle)",
                            model->name, k - model->first_call[model->calls[k].member],
                            member->name);
    }
    return MB_OK;
}

/* Each output in use of several may be a node behind the call's. */
static int64_t nodes_of(const mb_module_t *member, const mb_module_call_t *call)
{
    if (member->kind == MB_MODULE_MODEL)
        return member->total_nodes;
    return mb_module_outputs(member) == 1 ? 1 : 1 + __builtin_popcountll(call->used);
}

/* Counts saturate far above the limit, so that doubling models nested in each other cannot wrap. */
static mb_status_t count_nodes(mb_module_t *model)
{
    for (int k = 0; k < model->n_calls; k++) {
        const mb_module_t *member = model->members[model->calls[k].member];
        bool nested = member->kind == MB_MODULE_MODEL;
        model->total_nodes += nodes_of(member, &model->calls[k]);
        model->total_calls += nested ? member->total_calls + 1 : nodes_of(member, &model->calls[k]);
        if (model->total_calls > MB_MAX_NODES)
            return mb_error_set(MB_ERR_UNSUPPORTED,
                                "model '%s' opens into more than %d calls, because it calls the "
                                "models nested in it over and over",
                                model->name, MB_MAX_NODES);
    }
    return MB_OK;
}

mb_status_t mb_calls_order(mb_arena_t *arena, mb_module_t *model)
{
    walk_t walk;
    MB_TRY(walk_create(arena, model, &walk));
    for (int k = 0; k < model->n_calls; k++)
        MB_TRY(visit(&walk, k));
    model->order = walk.order;
    MB_TRY(check_used(arena, model));
    return count_nodes(model);
}
