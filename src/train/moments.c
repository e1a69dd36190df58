/* Reads the optimizer's state back: /mbrun/optimizer by name, or Keras' optimizer_weights.
 *
 * Keras' names are ambiguous and changed over its versions ("adam/dense_kernel_velocity",
 * "Adam/v/dense/kernel:0", "Adam/dense/kernel/v:0"), so a name only tells which kind of moment it
 * is; within a kind the order is that of the trainable variables, and shapes must agree. */
#include <stdlib.h>
#include <string.h>

#include "train/state.h"

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);
    return length >= end && strcmp(name + length - end, suffix) == 0;
}

/* Does a Keras name denote the kind of moment SLOT? What ends in a slash may stand anywhere, all
 * else at the end. */
static bool is_kind(const char *name, const char *slot)
{
    static const char *const spellings[][7] = {
        {"momentum", "_momentum", "/m/", "/m:0", "/momentum/", "/momentum:0"},
        {"velocity", "_velocity", "/v/", "/v:0", "/velocity/", "/rms:0"},
        {"velocity_hat", "_velocity_hat", "/vhat/", "/vhat:0", "/v_hat/", "/velocity_hat/"},
        {"average_gradient", "_average_gradient", "/mg/", "/mg:0", "/average_gradient/",
         "/average_gradient:0"},
        {"accumulator", "_accumulator", "/accumulator/", "/accumulator:0"},
        {"linear", "_linear", "/linear/", "/linear:0"},
        {"accumulated_grad", "_accumulated_grad", "/accumulated_grad/", "/accum_grad:0"},
        {"accumulated_delta_var", "_accumulated_delta_var", "/accumulated_delta_var/",
         "/accum_var:0"},
        {"norm", "_norm", "/u/", "/v:0"},
        {"row", "_row"},
        {"column", "_column"},
        {"average", "_average", "/average/"},
        {"gradient_accumulator", "_gradient_accumulator"},
    };
    bool of_sum = ends_with(name, "_gradient_accumulator");
    if (of_sum && strcmp(slot, "gradient_accumulator") != 0)
        return false;
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        if (strcmp(slot, spellings[i][0]) != 0)
            continue;
        for (int k = 1; k < 7 && spellings[i][k] != NULL; k++) {
            const char *spelling = spellings[i][k];
            bool inside = spelling[strlen(spelling) - 1] == '/';
            if (inside ? strstr(name, spelling) != NULL : ends_with(name, spelling))
                return true;
        }
    }
    return false;
}

/* The stored tensor of (slot, the ordinal-th trainable variable); NULL if the file has none. */
static const mb_stored_tensor_t *find_keras(const mb_model_file_t *file, const char *slot,
                                            int ordinal)
{
    for (int i = 0; i < file->n_optimizer; i++) {
        if (is_kind(file->optimizer[i].name, slot) && ordinal-- == 0)
            return &file->optimizer[i];
    }
    return NULL;
}

static const mb_stored_tensor_t *find_own(const mb_model_file_t *file, const char *slot,
                                          const char *path)
{
    size_t length = strlen(slot);
    for (int i = 0; i < file->n_moments; i++) {
        const char *name = file->moments[i].name;
        if (strncmp(name, slot, length) == 0 && name[length] == '/' &&
            strcmp(name + length + 1, path) == 0)
            return &file->moments[i];
    }
    return NULL;
}

const mb_stored_tensor_t *mb_moment_find(const mb_model_file_t *file, const char *slot,
                                         const char *path, int ordinal)
{
    const mb_stored_tensor_t *tensor = find_own(file, slot, path);
    return tensor != NULL ? tensor : find_keras(file, slot, ordinal);
}

static mb_status_t read_one(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                            mb_update_t *update, int p, int slot, const mb_shape_t *shape)
{
    char found[MB_SHAPE_TEXT], wanted[MB_SHAPE_TEXT];
    const mb_param_t *param = &update->engine->plan->graph->params[p];
    size_t bytes = (size_t)mb_shape_elements(shape) * sizeof(float);
    if (!mb_shape_equal(&tensor->shape, shape))
        return mb_error_set(
            MB_ERR_SHAPE,
            "%s: moment '%s' has shape %s where that of weight '%s' has %s; the optimizer's "
            "state does not belong to this model",
            file->path, tensor->name, mb_shape_text(&tensor->shape, found, sizeof found),
            param->path, mb_shape_text(shape, wanted, sizeof wanted));
    float *values = malloc(bytes > 0 ? bytes : 1);
    if (values == NULL)
        return mb_error_memory("a moment on its way from the file", bytes);
    mb_status_t status = mb_stored_tensor_read(file, tensor, values);
    if (status == MB_OK)
        status = mb_update_write_slot(update, p, slot, values, bytes);
    if (status == MB_OK)
        status = mb_exec_sync(&update->engine->exec);
    free(values);
    return status;
}

/* ORDINALS: how many trainable variables before this one have each slot. */
static mb_status_t read_param(const mb_model_file_t *file, mb_update_t *update, int p,
                              int ordinals[MB_MAX_SLOTS])
{
    const mb_param_t *param = &update->engine->plan->graph->params[p];
    for (int s = 0; s < update->optimizer->n_slots; s++) {
        const char *slot = update->optimizer->slot_names[s];
        mb_shape_t shape;
        if (!mb_optimizer_slot(update->optimizer, param, s, &shape))
            continue;
        const mb_stored_tensor_t *tensor = mb_moment_find(file, slot, param->path, ordinals[s]++);
        if (tensor != NULL && update->slots[p][s] != NULL)
            MB_TRY(read_one(file, tensor, update, p, s, &shape));
    }
    return MB_OK;
}

mb_status_t mb_moments_iterations(const mb_model_file_t *file, int64_t *iterations)
{
    if (file->state.present) {
        *iterations = file->state.iterations;
        return MB_OK;
    }
    /* The last one: a LossScaleOptimizer's own, which never counts, stands in front of its inner
     * optimizer's. */
    for (int i = file->n_optimizer - 1; i >= 0; i--) {
        const mb_stored_tensor_t *tensor = &file->optimizer[i];
        if (tensor->shape.rank == 0 &&
            (ends_with(tensor->name, "iteration") || ends_with(tensor->name, "iter:0") ||
             ends_with(tensor->name, "iteration:0")))
            return mb_stored_tensor_read_int(file, tensor, iterations);
    }
    return MB_OK;
}

mb_status_t mb_state_read_moments(const mb_model_file_t *file, mb_update_t *update)
{
    const mb_graph_t *graph = update->engine->plan->graph;
    int ordinals[MB_MAX_SLOTS] = {0};
    MB_TRY(mb_moments_iterations(file, &update->iterations));
    MB_TRY(mb_loss_scale_read(&update->loss_scale, file));
    mb_update_use_loss_scale(update);
    for (int p = 0; p < graph->n_params; p++) {
        if (graph->params[p].trainable && !mb_engine_idle(update->engine))
            MB_TRY(read_param(file, update, p, ordinals));
    }
    return MB_OK;
}
