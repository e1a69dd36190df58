/* Swish2: y = x sigmoid(beta x), with a beta for each feature (Ramachandran and others: "Searching
 * for Activation Functions", 2017). It is composed of the device's operations, so it runs on any
 * device and in any type. */
#include "own.h"

static mb_status_t parse(mb_plugin_config_t *config, void **settings)
{
    (void)settings;
    return mb->take_weight(config, "beta", "ones", 0);
}

static mb_status_t declare(const mb_plugin_call_t *call, mb_plugin_weights_t *weights)
{
    mb_plugin_shape_t beta = {1, {call->input[0].dim[call->input[0].rank - 1]}};
    return mb->shape_weight(weights, &beta);
}

static int64_t elements(const mb_plugin_call_t *call, int64_t samples)
{
    for (int d = 0; d < call->input[0].rank; d++)
        samples *= call->input[0].dim[d];
    return samples;
}

/* z = beta x and its gradient. */
static void memory(const mb_plugin_call_t *call, int64_t samples, mb_plugin_memory_t *memory)
{
    memory->keeps_input[0] = 1;
    memory->saved[0] = memory->carried[0] = elements(call, samples);
}

static mb_plugin_operand_t tensor(const mb_plugin_run_t *run, const void *data)
{
    mb_plugin_operand_t operand = {MB_PLUGIN_TENSOR, data, &run->call->input[0], 0};
    return operand;
}

static mb_plugin_operand_t beta(const mb_plugin_run_t *run)
{
    mb_plugin_operand_t operand = {MB_PLUGIN_WEIGHT, run->weight[0], run->weight_shape[0], 0};
    return operand;
}

static mb_plugin_result_t into(const mb_plugin_run_t *run, void *data, int add)
{
    mb_plugin_result_t y = {MB_PLUGIN_TENSOR, data, &run->call->input[0], add, MB_PLUGIN_SUM, 0};
    return y;
}

/* gate(a, b) is a sigmoid(b). */
static mb_status_t forward(const mb_plugin_run_t *run)
{
    mb_plugin_operand_t product[] = {tensor(run, run->input[0]), beta(run)};
    mb_plugin_operand_t gate[] = {tensor(run, run->input[0]), tensor(run, run->saved[0])};
    mb_plugin_result_t z = into(run, run->saved[0], 0), y = into(run, run->output, 0);
    mb_status_t status = mb->map(run, "multiply", 2, product, &z);
    return status != MB_OK ? status : mb->map(run, "gate", 2, gate, &y);
}

/* dz = dy x sigmoid'(z), dx = dy sigmoid(z) + beta dz */
static mb_status_t backward_input(const mb_plugin_run_t *run)
{
    mb_plugin_operand_t dy = tensor(run, run->grad_output), z = tensor(run, run->saved[0]);
    mb_plugin_operand_t of_z[] = {dy, tensor(run, run->input[0]), z}, direct[] = {dy, z};
    mb_plugin_operand_t through[] = {tensor(run, run->carried[0]), beta(run)};
    mb_plugin_result_t dz = into(run, run->carried[0], 0), dx = into(run, run->grad_input[0], 0);
    mb_plugin_result_t more = into(run, run->grad_input[0], 1);
    mb_status_t status = mb->map(run, "d_gate", 3, of_z, &dz);
    if (status == MB_OK)
        status = mb->map(run, "gate", 2, direct, &dx);
    return status != MB_OK ? status : mb->map(run, "multiply", 2, through, &more);
}

/* dbeta = the sum of dz x */
static mb_status_t backward_weights(const mb_plugin_run_t *run)
{
    mb_plugin_operand_t factors[] = {tensor(run, run->carried[0]), tensor(run, run->input[0])};
    mb_plugin_result_t dbeta = {MB_PLUGIN_WEIGHT, run->grad_weight[0], run->weight_shape[0],
                                run->accumulate,  MB_PLUGIN_SUM,       0};
    return mb->map(run, "multiply", 2, factors, &dbeta);
}

const mb_plugin_layer_t swish2_layer = {.size = sizeof(mb_plugin_layer_t),
                                        .name = "my_package>Swish2",
                                        .parse = parse,
                                        .declare = declare,
                                        .memory = memory,
                                        .forward = forward,
                                        .backward_input = backward_input,
                                        .backward_weights = backward_weights};
