/* The steps of an optimizer over what one stage trains: which passes over which table. */
#include <stdlib.h>

#include "device/table.h"
#include "model/optimizers/class.h"

static mb_tensor_t tensor_of(const mb_optimizer_t *optimizer, const mb_trained_t *trained)
{
    const mb_optimizer_class_t *class_ = optimizer->class_;
    const mb_param_t *param = trained->param;
    float *places[MB_MAX_SLOTS] = {NULL};
    for (int s = 0; s < optimizer->n_slots; s++)
        places[optimizer->slot_index[s]] = trained->slots[s];
    double decay =
        class_->decay == NULL ? optimizer->weight_decay : class_->decay(optimizer, param);
    return (mb_tensor_t){.w = trained->w,
                         .g = trained->g,
                         .s0 = places[0],
                         .s1 = places[1],
                         .s2 = places[2],
                         .count = param->elements,
                         .weight_decay = (float)decay,
                         .place = param->index};
}

/* The tensor with what slot INDEX holds as its only moment. */
static mb_tensor_t around(const mb_optimizer_t *optimizer, const mb_trained_t *trained, int index)
{
    mb_tensor_t tensor = {.w = trained->w,
                          .g = trained->g,
                          .count = trained->param->elements,
                          .place = trained->param->index};
    for (int s = 0; s < optimizer->n_slots; s++) {
        if (optimizer->slot_index[s] == index)
            tensor.s0 = trained->slots[s];
    }
    return tensor;
}

static mb_status_t make_table(mb_stepper_t *stepper, mb_tensor_t *tensors, int n, mb_table_t *out)
{
    if (n == 0)
        return MB_OK;
    stepper->bytes += mb_table_bytes(n);
    return mb_table_create(stepper->exec, tensors, n, out);
}

static mb_status_t take(mb_stepper_t *stepper, size_t bytes, void **out)
{
    stepper->bytes += bytes;
    return mb_device_alloc(stepper->exec->device, bytes, out);
}

static mb_status_t make_around(mb_stepper_t *stepper, const mb_trained_t *trained, int n,
                               mb_tensor_t *room)
{
    int sums = 0;
    for (int i = 0; i < n; i++)
        room[i] = around(stepper->optimizer, &trained[i], MB_SLOT_AVERAGE);
    if (stepper->optimizer->averages)
        MB_TRY(make_table(stepper, room, n, &stepper->averages));
    for (int i = 0; i < n; i++) {
        if (trained[i].g != NULL)
            room[sums++] = around(stepper->optimizer, &trained[i], MB_SLOT_SUM);
    }
    return stepper->optimizer->accumulated_steps > 1
               ? make_table(stepper, room, sums, &stepper->sums)
               : MB_OK;
}

static mb_status_t make_part(mb_stepper_t *stepper, bool matrices, mb_tensor_t *room,
                             mb_table_t *out)
{
    const mb_optimizer_t *optimizer = stepper->optimizer;
    int n = 0;
    for (int i = 0; i < stepper->n; i++) {
        if (optimizer->class_->is_matrix(optimizer, stepper->params[i]) == matrices)
            room[n++] = stepper->tensors[i];
    }
    return make_table(stepper, room, n, out);
}

/* The numbers of a table's tiles count in that table alone: each is made of copies. */
static mb_status_t make_tables(mb_stepper_t *stepper, mb_tensor_t *room)
{
    for (int i = 0; i < stepper->n; i++)
        room[i] = stepper->tensors[i];
    MB_TRY(make_table(stepper, room, stepper->n, &stepper->all));
    if (stepper->optimizer->class_->is_matrix != NULL) {
        MB_TRY(make_part(stepper, true, room, &stepper->matrices));
        MB_TRY(make_part(stepper, false, room, &stepper->others));
    }
    if (stepper->optimizer->class_->step == NULL)
        return MB_OK;
    for (int i = 0; i < stepper->n; i++) {
        room[i] = stepper->tensors[i];
        room[i].g = room[i].w;
    }
    return make_table(stepper, room, stepper->n, &stepper->weights);
}

static mb_status_t take_floats(mb_stepper_t *stepper, int64_t count, float **out)
{
    void *memory = NULL;
    MB_TRY(take(stepper, (size_t)count * sizeof(float), &memory));
    *out = memory;
    return MB_OK;
}

static mb_status_t take_vectors(mb_stepper_t *stepper, int n_params)
{
    size_t bytes = ((size_t)n_params + 1) * sizeof(double);
    void *memory = NULL;
    if (stepper->optimizer->class_->step == NULL)
        return MB_OK;
    MB_TRY(take(stepper, bytes, &memory));
    stepper->direction_squares = memory;
    MB_TRY(take(stepper, bytes, &memory));
    stepper->weight_squares = memory;
    return take_floats(stepper, n_params + 1, &stepper->scale);
}

static mb_status_t take_scratch(mb_stepper_t *stepper)
{
    const mb_optimizer_t *optimizer = stepper->optimizer;
    int64_t most = 0;
    for (int i = 0; i < stepper->n && optimizer->class_->scratch != NULL; i++) {
        int64_t own = optimizer->class_->scratch(optimizer, stepper->params[i]);
        most = own > most ? own : most;
    }
    return most == 0 ? MB_OK : take_floats(stepper, most, &stepper->scratch);
}

static mb_status_t fill(mb_stepper_t *stepper, const mb_trained_t *trained, int n, int n_params)
{
    mb_tensor_t *room = calloc((size_t)n + 1, sizeof *room);
    stepper->tensors = calloc((size_t)n + 1, sizeof *stepper->tensors);
    stepper->params = calloc((size_t)n + 1, sizeof *stepper->params);
    mb_status_t status = MB_OK;
    if (room == NULL || stepper->tensors == NULL || stepper->params == NULL)
        status = mb_error_memory("the table of trained tensors", (size_t)n * sizeof *room);
    for (int i = 0; status == MB_OK && i < n; i++) {
        if (trained[i].g == NULL)
            continue;
        stepper->params[stepper->n] = trained[i].param;
        stepper->tensors[stepper->n++] = tensor_of(stepper->optimizer, &trained[i]);
    }
    if (status == MB_OK)
        status = make_tables(stepper, room);
    if (status == MB_OK)
        status = make_around(stepper, trained, n, room);
    if (status == MB_OK)
        status = take_vectors(stepper, n_params);
    if (status == MB_OK)
        status = take_scratch(stepper);
    free(room);
    return status;
}

mb_status_t mb_stepper_create(const mb_optimizer_t *optimizer, mb_exec_t *exec,
                              const mb_trained_t *trained, int n, int n_params, mb_stepper_t **out)
{
    mb_stepper_t *stepper = calloc(1, sizeof *stepper);
    if (stepper == NULL)
        return mb_error_memory("an optimizer's tables", sizeof *stepper);
    stepper->optimizer = optimizer;
    stepper->exec = exec;
    mb_status_t status = fill(stepper, trained, n, n_params);
    if (status != MB_OK) {
        mb_stepper_destroy(stepper);
        return status;
    }
    *out = stepper;
    return MB_OK;
}

void mb_stepper_destroy(mb_stepper_t *stepper)
{
    if (stepper == NULL)
        return;
    mb_device_t *device = stepper->exec->device;
    mb_table_t *tables[] = {&stepper->all,    &stepper->weights, &stepper->matrices,
                            &stepper->others, &stepper->sums,    &stepper->averages};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        mb_table_destroy(device, tables[i]);
    mb_device_free(device, stepper->direction_squares);
    mb_device_free(device, stepper->weight_squares);
    mb_device_free(device, stepper->scale);
    mb_device_free(device, stepper->scratch);
    free(stepper->tensors);
    free(stepper->params);
    free(stepper);
}

const mb_table_t *mb_stepper_table(const mb_stepper_t *stepper)
{
    return &stepper->all;
}

size_t mb_stepper_bytes(const mb_stepper_t *stepper)
{
    return stepper == NULL ? 0 : stepper->bytes;
}

mb_status_t mb_stepper_accumulate(mb_stepper_t *stepper, bool applies)
{
    mb_update_args_t args = {.rule = applies ? MB_RULE_RELEASE : MB_RULE_ACCUMULATE,
                             .alpha = (float)stepper->optimizer->accumulated_steps,
                             .table = stepper->sums};
    return mb_run_update(stepper->exec, &args);
}

bool mb_optimizer_copies(const mb_optimizer_t *optimizer)
{
    return optimizer->class_->step == NULL && !optimizer->averages &&
           optimizer->accumulated_steps == 1;
}

void mb_stepper_copy_to(mb_stepper_t *stepper, mb_tensor_copy_t *copies)
{
    stepper->copies = copies;
}

mb_status_t mb_stepper_step(mb_stepper_t *stepper, int64_t updates, float lr, const float *scale)
{
    const mb_optimizer_t *optimizer = stepper->optimizer;
    mb_update_args_t args = {
        .rule = optimizer->rule,
        .lr = lr,
        .clip_value = (float)optimizer->clipvalue,
        .table = stepper->all,
        .scale = scale,
        .copies = stepper->copies,
    };
    optimizer->class_->arguments(optimizer, updates, &args);
    if (optimizer->class_->step != NULL)
        return optimizer->class_->step(stepper, &args, updates);
    return mb_run_update(stepper->exec, &args);
}

/* The first average is the weight itself. Keras takes 1 - momentum in float32. */
mb_status_t mb_stepper_average(mb_stepper_t *stepper, int64_t updates)
{
    const mb_optimizer_t *optimizer = stepper->optimizer;
    int64_t every = optimizer->overwrite_every;
    float momentum = updates == 0 ? 0.0f : (float)optimizer->average_momentum;
    mb_update_args_t args = {.rule = MB_RULE_AVERAGE,
                             .rho = (double)momentum,
                             .overwrites = every > 0 && (updates + 1) % every == 0,
                             .table = stepper->averages};
    return mb_run_update(stepper->exec, &args);
}

mb_status_t mb_stepper_trust(mb_stepper_t *stepper, const mb_table_t *table,
                             const mb_trust_args_t *trust)
{
    mb_trust_args_t args = *trust;
    mb_norms_args_t directions = {.table = *table, .out = stepper->direction_squares};
    mb_norms_args_t weights = {.table = stepper->weights, .out = stepper->weight_squares};
    MB_TRY(mb_run_norms(stepper->exec, &directions));
    if (trust->trust != MB_TRUST_MUON)
        MB_TRY(mb_run_norms(stepper->exec, &weights));
    args.table = *table;
    args.directions = stepper->direction_squares;
    args.weights = stepper->weight_squares;
    args.scale = stepper->scale;
    return mb_run_trust(stepper->exec, &args);
}

mb_status_t mb_stepper_go(mb_stepper_t *stepper)
{
    mb_update_args_t args = {.rule = MB_RULE_STEP, .table = stepper->all, .scale = stepper->scale};
    return mb_run_update(stepper->exec, &args);
}
