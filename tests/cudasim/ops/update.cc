/* Steps of optimizers, and constraints on weights. */
#include "cudasim/ops/bench.h"

namespace
{

/* Step by step as the CPU: the same bits. s0 is a mean of squares for RMSprop, and s1 less than its
 * root. */
void update(bench &bench, mb_dtype_t)
{
    mb_update_args_t args = {};
    args.rule = (mb_rule_t)bench.integer(0, 2);
    args.nesterov = bench.coin();
    args.centered = bench.coin();
    args.amsgrad = bench.coin();
    args.count = bench.some_count();
    args.lr = 0.013f;
    args.momentum = bench.coin() ? 0.9f : 0;
    args.epsilon = 1e-7f;
    args.rho = args.beta1 = 0.9;
    args.beta2 = 0.999;
    args.alpha = 0.0021f;
    args.weight_decay = bench.coin() ? 0 : 0.01f;
    args.clip_value = bench.coin() ? 0 : 0.3f;
    args.grad_scale = 0.7f;
    args.w = bench.changed(MB_F32, args.count, -1, 1);
    args.g = bench.given(MB_F32, args.count, -1, 1);
    args.s0 = bench.changed(MB_F32, args.count, args.rule == MB_RULE_RMSPROP ? 0.2 : -1, 1);
    args.s1 = bench.changed(MB_F32, args.count, 0, 0.1);
    args.s2 = bench.changed(MB_F32, args.count, 0, 0.1);
    bench.describe("rule %d, %lld elements, nesterov %d, centered %d, amsgrad %d, momentum %g",
                   args.rule, (long long)args.count, args.nesterov, args.centered, args.amsgrad,
                   args.momentum);
    bench.run(MB_OP_UPDATE, args, {});
}

/* The norm is of a sum in double; what it becomes is rounded four times. */
void constrain(bench &bench, mb_dtype_t)
{
    mb_constrain_args_t args = {};
    args.limit = (mb_limit_t)bench.integer(0, 3);
    args.outer = bench.integer(0, 5);
    args.axis = bench.integer(0, 300);
    args.inner = bench.coin() ? 1 : bench.integer(0, 70);
    args.low = 0.5f;
    args.high = 2;
    args.rate = 0.8f;
    args.w = bench.changed(MB_F32, args.outer * args.axis * args.inner, -1, 1);
    bench.describe("limit %d, %lld x %lld x %lld", args.limit, (long long)args.outer,
                   (long long)args.axis, (long long)args.inner);
    bench.run(MB_OP_CONSTRAIN, args, {2 * 4 * EPSILON, 0, 0});
}

} // namespace

const test update_tests[] = {{"update", "steps of optimizers agree", false, 1, update},
                             {"constrain", "constraints agree", false, 1, constrain},
                             {}};
