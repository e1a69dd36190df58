/* Muon (Keller Jordan, https://kellerjordan.github.io/posts/muon, with the lengths of Moonlight,
 * Liu et al., arXiv 2502.16982). Source: keras/src/optimizers/muon.py. Matrices but embeddings and
 * what the file excludes go along their orthogonalized momentum; AdamW takes the others. A matrix
 * is orthogonalized by who owns it, whole. */
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "model/optimizers/class.h"

/* Absent: OTHERWISE; null: none, which is 0. */
static mb_status_t take_or_none(mb_config_t *config, const char *key, double otherwise, double *out)
{
    bool none = json_is_null(json_object_get(config->object, key));
    return mb_optimizer_take(config, key, 0.0, FLT_MAX, none ? 0.0 : otherwise, out);
}

static mb_status_t take_excluded(mb_config_t *config, mb_muon_t *muon)
{
    MB_TRY(mb_config_bool_or(config, "exclude_embeddings", true, &muon->excludes_embeddings));
    muon->excludes = mb_config_take(config, "exclude_layers");
    if (muon->excludes != NULL && !json_is_null(muon->excludes) && !json_is_array(muon->excludes))
        return mb_error_set(MB_ERR_FORMAT, "%s: key 'exclude_layers' must be a list of patterns",
                            config->where);
    for (size_t i = 0; i < json_array_size(muon->excludes); i++) {
        const char *pattern = json_string_value(json_array_get(muon->excludes, i));
        if (pattern == NULL)
            return mb_error_set(MB_ERR_FORMAT, "%s: key 'exclude_layers' must hold patterns",
                                config->where);
        MB_TRY(mb_optimizer_match(pattern, "", config->where, NULL));
    }
    return MB_OK;
}

static mb_status_t take_matrix(mb_config_t *config, mb_muon_t *muon)
{
    MB_TRY(mb_config_real_or(config, "muon_a", 3.4445, &muon->a));
    MB_TRY(mb_config_real_or(config, "muon_b", -4.7750, &muon->b));
    MB_TRY(mb_config_real_or(config, "muon_c", 2.0315, &muon->c));
    MB_TRY(mb_config_int_or(config, "ns_steps", 0, 1000, 5, &muon->steps));
    muon->adjusts = !json_is_null(json_object_get(config->object, "rms_rate"));
    return mb_optimizer_take(config, "rms_rate", 0.0, FLT_MAX, 0.2, &muon->rms_rate);
}

static mb_status_t take_adam(mb_config_t *config, mb_optimizer_t *optimizer)
{
    mb_muon_t *muon = &optimizer->muon;
    MB_TRY(mb_optimizer_take(config, "adam_beta_1", 0.0, 1.0, 0.9, &optimizer->beta1));
    MB_TRY(mb_optimizer_take(config, "adam_beta_2", 0.0, 1.0, 0.999, &optimizer->beta2));
    MB_TRY(mb_optimizer_take(config, "epsilon", 0.0, FLT_MAX, 1e-7, &optimizer->epsilon));
    MB_TRY(take_or_none(config, "adam_weight_decay", 0.004, &muon->adam_decay));
    return mb_optimizer_take(config, "adam_lr_ratio", 0.0, FLT_MAX, 1.0, &muon->adam_lr_ratio);
}

static mb_status_t parse(mb_config_t *config, mb_optimizer_t *optimizer)
{
    optimizer->rule = MB_RULE_MUON;
    MB_TRY(mb_optimizer_take(config, "momentum", 0.0, 1.0, 0.95, &optimizer->momentum));
    MB_TRY(mb_config_bool_or(config, "nesterov", true, &optimizer->nesterov));
    MB_TRY(take_adam(config, optimizer));
    MB_TRY(take_matrix(config, &optimizer->muon));
    MB_TRY(take_excluded(config, &optimizer->muon));
    mb_optimizer_add_slot(optimizer, "momentum", 0);
    mb_optimizer_add_slot(optimizer, "velocity", 1);
    return MB_OK;
}

/* As str.lower() has it, of which only ASCII matters here. */
static bool is_embedding(const char *path)
{
    static const char word[] = "embedding";
    for (; *path != '\0'; path++) {
        size_t i = 0;
        while (word[i] != '\0' && tolower((unsigned char)path[i]) == word[i])
            i++;
        if (word[i] == '\0')
            return true;
    }
    return false;
}

static bool is_excluded(const mb_muon_t *muon, const char *path)
{
    bool matches = false;
    for (size_t i = 0; i < json_array_size(muon->excludes) && !matches; i++)
        mb_optimizer_match(json_string_value(json_array_get(muon->excludes, i)), path, "",
                           &matches);
    return matches;
}

static bool is_matrix(const mb_optimizer_t *optimizer, const mb_param_t *param)
{
    const mb_muon_t *muon = &optimizer->muon;
    return param->shape.rank == 2 && !(muon->excludes_embeddings && is_embedding(param->path)) &&
           !is_excluded(muon, param->path);
}

static bool slot(const mb_optimizer_t *optimizer, const mb_param_t *param, int index,
                 mb_shape_t *shape)
{
    (void)shape;
    return index == 0 || !is_matrix(optimizer, param);
}

static double decay(const mb_optimizer_t *optimizer, const mb_param_t *param)
{
    return is_matrix(optimizer, param) ? optimizer->weight_decay : optimizer->muon.adam_decay;
}

static int64_t shorter(const mb_param_t *param)
{
    int64_t rows = param->shape.dim[0], columns = param->shape.dim[1];
    return rows < columns ? rows : columns;
}

/* Two squares of the shorter side, and a matrix beside the gradient. */
static int64_t scratch(const mb_optimizer_t *optimizer, const mb_param_t *param)
{
    if (!is_matrix(optimizer, param))
        return 0;
    return 2 * shorter(param) * shorter(param) + param->elements;
}

static void arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    (void)updates;
    args->rho = optimizer->momentum;
    args->nesterov = optimizer->nesterov;
}

static void adam_arguments(const mb_optimizer_t *optimizer, int64_t updates, mb_update_args_t *args)
{
    float lr = args->lr * (float)optimizer->muon.adam_lr_ratio;
    args->rule = MB_RULE_ADAM;
    args->beta1 = optimizer->beta1;
    args->beta2 = optimizer->beta2;
    args->epsilon = (float)optimizer->epsilon;
    args->alpha = lr * sqrtf(mb_optimizer_correction(optimizer->beta2, updates)) /
                  mb_optimizer_correction(optimizer->beta1, updates);
}

/* A matrix whose longer side is the rows is transposed in Keras; here the products are. */
typedef struct {
    mb_exec_t *exec;
    const mb_muon_t *muon;
    int64_t rows, columns, side;
    bool tall;
    float *square, *polynomial; /* [side, side] */
} iteration_t;

static mb_status_t take_square(const iteration_t *it, const float *x)
{
    mb_gemm_args_t args = {.m = it->side,
                           .n = it->side,
                           .k = it->tall ? it->rows : it->columns,
                           .transpose_a = it->tall,
                           .transpose_b = !it->tall,
                           .lda = it->columns,
                           .ldb = it->columns,
                           .ldc = it->side,
                           .a = x,
                           .b = x,
                           .c = it->square};
    return mb_run_gemm(it->exec, &args);
}

static mb_status_t take_polynomial(const iteration_t *it)
{
    mb_gemm_args_t args = {.m = it->side,
                           .n = it->side,
                           .k = it->side,
                           .lda = it->side,
                           .ldb = it->side,
                           .ldc = it->side,
                           .a = it->square,
                           .b = it->square,
                           .c = it->polynomial};
    mb_combine_args_t sum = {.count = it->side * it->side,
                             .p = (float)it->muon->b,
                             .q = (float)it->muon->c,
                             .a = it->square,
                             .b = it->polynomial,
                             .y = it->polynomial};
    MB_TRY(mb_run_gemm(it->exec, &args));
    return mb_run_combine(it->exec, &sum);
}

static mb_status_t add_product(const iteration_t *it, const float *x, float *y)
{
    mb_gemm_args_t args = {.m = it->rows,
                           .n = it->columns,
                           .k = it->side,
                           .transpose_b = it->tall,
                           .accumulate = true,
                           .lda = it->side,
                           .ldb = it->columns,
                           .ldc = it->columns,
                           .a = it->tall ? x : it->polynomial,
                           .b = it->tall ? it->polynomial : x,
                           .c = y};
    return mb_run_gemm(it->exec, &args);
}

static mb_status_t iterate(const iteration_t *it, const float *x, float *y)
{
    mb_combine_args_t linear = {
        .count = it->rows * it->columns, .p = (float)it->muon->a, .a = x, .y = y};
    MB_TRY(take_square(it, x));
    MB_TRY(take_polynomial(it));
    MB_TRY(mb_run_combine(it->exec, &linear));
    return add_product(it, x, y);
}

static float length(const iteration_t *it, float lr)
{
    int64_t longer = it->rows > it->columns ? it->rows : it->columns;
    return it->muon->adjusts ? lr * sqrtf((float)longer) * (float)it->muon->rms_rate : lr;
}

static mb_status_t go(const mb_stepper_t *stepper, const mb_tensor_t *tensor, const iteration_t *it,
                      float lr)
{
    float *x = it->polynomial + it->side * it->side, *y = tensor->g;
    mb_combine_args_t normal = {.count = tensor->count,
                                .p = 1.0f,
                                .scale = stepper->scale + tensor->place,
                                .a = tensor->g,
                                .y = x};
    MB_TRY(mb_run_combine(it->exec, &normal));
    for (int64_t k = 0; k < it->muon->steps; k++) {
        float *given = x;
        MB_TRY(iterate(it, given, y));
        x = y;
        y = given;
    }
    mb_combine_args_t step = {.count = tensor->count,
                              .p = 1.0f,
                              .q = -length(it, lr),
                              .a = tensor->w,
                              .b = x,
                              .y = tensor->w};
    return mb_run_combine(it->exec, &step);
}

static mb_status_t go_matrix(const mb_stepper_t *stepper, int i, float lr)
{
    const mb_param_t *param = stepper->params[i];
    int64_t side = shorter(param);
    iteration_t it = {.exec = stepper->exec,
                      .muon = &stepper->optimizer->muon,
                      .rows = param->shape.dim[0],
                      .columns = param->shape.dim[1],
                      .side = side,
                      .tall = param->shape.dim[0] > param->shape.dim[1],
                      .square = stepper->scratch,
                      .polynomial = stepper->scratch + side * side};
    return side == 0 ? MB_OK : go(stepper, &stepper->tensors[i], &it, lr);
}

static mb_status_t step(mb_stepper_t *stepper, mb_update_args_t *args, int64_t updates)
{
    mb_trust_args_t trust = {.trust = MB_TRUST_MUON, .epsilon = 1e-7f};
    args->table = stepper->matrices;
    MB_TRY(mb_run_update(stepper->exec, args));
    MB_TRY(mb_stepper_trust(stepper, &stepper->matrices, &trust));
    for (int i = 0; i < stepper->n; i++) {
        if (is_matrix(stepper->optimizer, stepper->params[i]))
            MB_TRY(go_matrix(stepper, i, args->lr));
    }
    adam_arguments(stepper->optimizer, updates, args);
    args->table = stepper->others;
    return mb_run_update(stepper->exec, args);
}

#define OWN_CONFIG                                                                                 \
    "{\"adam_beta_1\": 0.9, \"adam_beta_2\": 0.999, \"epsilon\": 1e-07, \"exclude_layers\": [], "  \
    "\"muon_a\": 3.4445, \"muon_b\": -4.775, \"muon_c\": 2.0315, \"adam_lr_ratio\": 1.0, "         \
    "\"momentum\": 0.95, \"ns_steps\": 5, \"nesterov\": true, \"exclude_embeddings\": true, "      \
    "\"adam_weight_decay\": 0.004, \"rms_rate\": 0.2}"

const mb_optimizer_class_t mb_optimizer_muon = {
    .size = sizeof(mb_optimizer_class_t),
    .name = "Muon",
    .spec_name = "muon",
    .own_name = "muon",
    .learning_rate = 0.001,
    .weight_decay = 0.004,
    .own_config = OWN_CONFIG,
    .parse = parse,
    .arguments = arguments,
    .slot = slot,
    .step = step,
    .is_matrix = is_matrix,
    .decay = decay,
    .scratch = scratch,
};
