/* Attention forward, then backward from what the CPU's forward saved.
 *
 * Narrow elements are multiplied on tensor cores, whose operands are narrow: probabilities, and the
 * gradients of scores, are rounded to the elements' type there and not on the CPU. */
#include "cudasim/ops/bench.h"

#include <cmath>

namespace
{

mb_attention_forward_args_t some_shape(bench &bench, mb_dtype_t type)
{
    static const int64_t widths[] = {8, 16, 32, 40, 64, 72, 128, 24, 5, 33, 130, 160, 1, 96};
    mb_attention_forward_args_t a = {};
    a.type = type;
    a.samples = bench.integer(1, 2);
    a.heads = bench.integer(1, 3);
    a.tq = bench.integer(1, 150);
    a.tk = bench.coin() ? a.tq : bench.coin() ? 4 * bench.integer(1, 37) : bench.integer(1, 150);
    a.d = bench.one_of(widths);
    a.dv = bench.one_in(3) ? bench.one_of(widths) : a.d;
    a.scale = (float)((bench.one_in(10) ? -1 : 1) / sqrt((double)a.d));
    a.dropout_rate = bench.one_in(3) ? 0.3f : 0;
    a.causal = bench.coin();
    a.masks = bench.coin() ? 0 : bench.coin() ? a.heads : 1;
    a.blind = (mb_blind_t)bench.integer(MB_BLIND_NOTHING, MB_BLIND_LEVEL);
    a.random = {(uint64_t)bench.integer(0, INT64_MAX - 1), MB_RANDOM_ATTENTION_DROPOUT,
                (uint32_t)bench.integer(0, 1000), (uint32_t)bench.integer(0, 100000),
                (uint32_t)bench.integer(0, 50)};
    bench.describe("%lld samples, %lld heads, %lld queries, %lld keys, %lld and %lld wide, "
                   "causal %d, dropout %g, scale %g, %lld masks, blind %d",
                   (long long)a.samples, (long long)a.heads, (long long)a.tq, (long long)a.tk,
                   (long long)a.d, (long long)a.dv, a.causal, a.dropout_rate, a.scale,
                   (long long)a.masks, a.blind);
    return a;
}

/* Queries and keys are below 2, so a score errs by sum_bound(d) times 4 and the scale; that is the
 * relative error of a probability, and the absolute one of the sum's logarithm. exp adds some 16
 * EPSILON. */
double of_scores(const mb_attention_forward_args_t &a)
{
    return 4 * fabs(a.scale) * sum_bound(a.d) + 16 * EPSILON;
}

/* Values are below 1 and probabilities sum to 1, or 1 / (1 - rate) with dropout. Rounding the
 * probabilities errs by less than rounding all of them the same way. */
tolerance of_output(const mb_attention_forward_args_t &a)
{
    double kept = 1 / (1 - a.dropout_rate);
    double rounded = a.type == MB_F32 ? 0 : rounding_of(a.type);
    return {2 * EPSILON, kept * (of_scores(a) + rounded) + sum_bound(a.tk) / (double)a.tk, 0};
}

/* A gradient's terms are products of two to three factors with the errors above and of a sum over
 * keys or queries; the largest gradient is at least as large as a term. Narrow: a term's
 * probability, the gradient of its score, and the output that this holds are each rounded once, and
 * for those that are differences once more. */
tolerance of_gradient(const mb_attention_forward_args_t &a)
{
    double rounded = a.type == MB_F32 ? 0 : 4 * rounding_of(a.type);
    return {2 * EPSILON, sum_bound(a.tq + a.tk), 4 * of_scores(a) + rounded};
}

void backward(bench &bench, const mb_attention_forward_args_t &f)
{
    mb_attention_backward_args_t args = {};
    args.type = f.type;
    args.samples = f.samples;
    args.heads = f.heads;
    args.tq = f.tq;
    args.tk = f.tk;
    args.d = f.d;
    args.dv = f.dv;
    args.scale = f.scale;
    args.dropout_rate = f.dropout_rate;
    args.causal = f.causal;
    args.random = f.random;
    args.q = f.q;
    args.k = f.k;
    args.v = f.v;
    args.out = f.out;
    args.log_sum = f.log_sum;
    args.mask = f.mask;
    args.masks = f.masks;
    args.blind = f.blind;
    bench.complete(MB_OP_ATTENTION_BACKWARD, &args);
    bench.run(MB_OP_ATTENTION_BACKWARD, args, of_gradient(f));
}

/* Whole rows, ends of rows and single places are hidden. */
place some_mask(bench &bench, const mb_attention_forward_args_t &a)
{
    std::vector<int64_t> ends;
    for (int64_t i = 0; i < a.samples * a.masks * a.tq; i++)
        ends.push_back(bench.one_in(4) ? 0 : bench.coin() ? a.tk : bench.integer(0, a.tk));
    return bench.given(a.type, a.samples * a.masks * a.tq * a.tk, [&](int64_t i) {
        return i % a.tk < ends[static_cast<size_t>(i / a.tk)] && !bench.one_in(5) ? 1 : 0;
    });
}

void attention(bench &bench, mb_dtype_t type)
{
    mb_attention_forward_args_t args = some_shape(bench, type);
    int64_t queries = args.samples * args.heads * args.tq;
    int64_t keys = args.samples * args.heads * args.tk;
    args.q = bench.given(type, queries * args.d, -2, 2);
    args.k = bench.given(type, keys * args.d, -2, 2);
    if (args.masks > 0)
        args.mask = some_mask(bench, args);
    args.log_sum = bench.written(MB_F32, queries);
    bench.allow(args.log_sum, {4 * EPSILON, of_scores(args), 0});
    bench.complete(MB_OP_ATTENTION_FORWARD, &args);
    bench.run(MB_OP_ATTENTION_FORWARD, args, of_output(args));
    backward(bench, args);
}

} // namespace

const test attention_tests[] = {
    {"attention", "attention and its gradients agree", true, 4, attention}, {}};
