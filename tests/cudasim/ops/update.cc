/* Steps of optimizers, norms and clipping, and constraints on weights. */
#include "cudasim/ops/bench.h"

extern "C" {
#include "device/table.h"
}

#include <cmath>

namespace
{

/* Tensors of odd counts, empty ones and ones of some tiles among them; W, G and moments at
 * addresses of their own, now and then no multiples of 16. */
class tensors
{
  public:
    explicit tensors(bench &bench) : bench_(bench), n_(bench.integer(0, 9))
    {
    }

    void add_all(bool positive)
    {
        for (int64_t i = 0; i < n_; i++)
            add(bench_.one_in(8) ? bench_.integer(60000, 140000) : bench_.some_count(), positive);
    }
    mb_table_t table()
    {
        mb_table_t made = {};
        made.n = n_;
        made.tiles = mb_table_number(all_.data(), n_);
        made.tensors = bench_.table(all_.data(), n_);
        return made;
    }
    int64_t n() const
    {
        return n_;
    }

  private:
    float *changed(int64_t count, double low, double high)
    {
        int64_t off = bench_.one_in(4) ? bench_.integer(0, 3) : 0;
        place at = bench_.changed(MB_F32, count + off, low, high);
        return bench::behind(at, off * 4);
    }
    void add(int64_t count, bool positive)
    {
        mb_tensor_t t = {};
        t.w = changed(count, -1, 1);
        t.g = changed(count, -1, 1);
        t.s0 = changed(count, positive ? 0.2 : -1, 1);
        t.s1 = changed(count, 0, 0.1);
        t.s2 = changed(count, 0, 0.1);
        t.count = count;
        t.weight_decay = bench_.coin() ? 0 : 0.01f;
        t.place = static_cast<int32_t>(n_ - 1 - static_cast<int64_t>(all_.size()));
        all_.push_back(t);
    }

    bench &bench_;
    int64_t n_;
    std::vector<mb_tensor_t> all_;
};

/* Averages and sums of squares. */
bool is_square(mb_rule_t rule)
{
    return rule == MB_RULE_RMSPROP || rule == MB_RULE_ADAGRAD || rule == MB_RULE_ADADELTA ||
           rule == MB_RULE_FTRL;
}

mb_update_args_t some_constants(bench &bench)
{
    mb_update_args_t args = {};
    args.rule = (mb_rule_t)bench.integer(0, MB_RULE_COUNT - 1);
    args.nesterov = bench.coin();
    args.centered = bench.coin();
    args.amsgrad = bench.coin();
    args.overwrites = bench.coin();
    args.lr = 0.013f;
    args.momentum = bench.coin() ? 0.9f : 0;
    args.epsilon = 1e-7f;
    args.rho = args.beta1 = 0.9;
    args.beta2 = 0.999;
    args.alpha = 0.0021f;
    args.correction0 = 0.7f;
    args.correction1 = 0.4f;
    args.correction2 = 0.3f;
    args.ahead = 0.8f;
    args.now = 0.2f;
    args.power = bench.coin() ? 0.5f : 0.3f;
    args.l1 = 0.1f;
    args.l2 = 0.2f;
    args.shrinkage = 0.05f;
    args.clip_value = bench.coin() ? 0 : 0.3f;
    return args;
}

/* Step by step as the CPU: the same bits. s0 is a mean of squares for RMSprop, and s1 less than its
 * root. */
void update(bench &bench, mb_dtype_t)
{
    mb_update_args_t args = some_constants(bench);
    tensors all(bench);
    all.add_all(is_square(args.rule));
    args.table = all.table();
    if (bench.coin())
        args.scale = bench.given(MB_F32, all.n(), 0.1, 1);
    bench.describe("rule %d, %lld tensors of %lld tiles, nesterov %d, centered %d, amsgrad %d, "
                   "overwrites %d, momentum %g, power %g",
                   args.rule, (long long)args.table.n, (long long)args.table.tiles, args.nesterov,
                   args.centered, args.amsgrad, args.overwrites, args.momentum, args.power);
    bench.run(MB_OP_UPDATE, args, {});
}

/* The same bits: norms are given. */
void trust(bench &bench, mb_dtype_t)
{
    mb_trust_args_t args = {};
    args.trust = (mb_trust_t)bench.integer(0, 2);
    args.lr = 0.02f;
    args.epsilon = 1e-3f;
    args.threshold = 0.8f;
    tensors all(bench);
    all.add_all(false);
    args.table = all.table();
    auto square = [&](int64_t) { return bench.one_in(4) ? 0 : bench.uniform(0, 1e4); };
    args.directions = bench.given(MB_F64, all.n(), square);
    args.weights = bench.given(MB_F64, all.n(), square);
    args.scale = bench.written(MB_F32, all.n());
    bench.describe("trust %d of %lld tensors", args.trust, (long long)args.table.n);
    bench.run(MB_OP_TRUST, args, {});
}

/* Means of doubles in another order round to a neighbour now and then: one unit, twice EPSILON, in
 * a row, a column and the mean of rows, so three in the velocity and half of that in the direction.
 */
void factor(bench &bench, mb_dtype_t)
{
    mb_factor_args_t args = {};
    args.matrices = bench.integer(0, 4);
    args.rows = bench.integer(1, 70);
    args.columns = bench.some_columns();
    args.rho = 0.6f;
    args.epsilon = 1e-30f;
    args.g = bench.changed(MB_F32, args.matrices * args.rows * args.columns, -1, 1);
    args.velocity = bench.written(MB_F32, args.matrices * args.rows * args.columns);
    args.row = bench.changed(MB_F32, args.matrices * args.rows, 0.1, 1);
    args.column = bench.changed(MB_F32, args.matrices * args.columns, 0.1, 1);
    bench.describe("%lld of %lld x %lld", (long long)args.matrices, (long long)args.rows,
                   (long long)args.columns);
    bench.run(MB_OP_FACTOR, args, {2 * 4 * EPSILON, 0, 0});
}

void combine(bench &bench, mb_dtype_t)
{
    mb_combine_args_t args = {};
    args.count = bench.some_count();
    args.p = 1.7f;
    args.q = -0.3f;
    args.a = bench.given(MB_F32, args.count, -1, 1);
    if (bench.coin())
        args.b = bench.given(MB_F32, args.count, -1, 1);
    if (bench.coin())
        args.scale = bench.given(MB_F32, 1, 0.1, 1);
    if (bench.coin())
        args.y = bench.written(MB_F32, args.count);
    else
        args.a = args.y = bench.changed(MB_F32, args.count, -1, 1);
    bench.describe("%lld elements, two %d, scaled %d, in place %d", (long long)args.count,
                   args.b != NULL, args.scale != NULL, args.a == args.y);
    bench.run(MB_OP_COMBINE, args, {});
}

/* Sums of a tile in double, in another order. */
void norms(bench &bench, mb_dtype_t)
{
    tensors all(bench);
    all.add_all(false);
    mb_norms_args_t args = {};
    args.table = all.table();
    args.out = bench.written(MB_F64, all.n());
    bench.describe("%lld tensors of %lld tiles", (long long)args.table.n,
                   (long long)args.table.tiles);
    bench.run(MB_OP_NORMS, args, {1e-12, 0, 0});
}

/* The same bits, also of what is not finite. */
void clip(bench &bench, mb_dtype_t)
{
    static const double odd[] = {0, INFINITY, NAN};
    mb_clip_args_t args = {};
    args.n = bench.coin() ? bench.integer(0, 40) : bench.integer(200, 1000);
    args.global = bench.coin();
    args.clip = bench.coin() ? 0.7f : 13;
    bool all_finite = bench.coin();
    args.squares = bench.given(MB_F64, args.n, [&](int64_t) {
        return !all_finite && bench.one_in(50) ? bench.one_of(odd) : bench.uniform(0, 2);
    });
    args.scale = bench.written(MB_F32, args.n);
    bench.describe("%lld norms, global %d", (long long)args.n, args.global);
    bench.run(MB_OP_CLIP, args, {});
}

void divide(bench &bench, mb_dtype_t type)
{
    mb_divide_args_t args = {};
    args.type = type;
    args.count = bench.some_count();
    args.divisor = bench.coin() ? 0x1p15f : 0.3f;
    bench.complete(MB_OP_DIVIDE, &args);
    bench.describe("%lld elements", (long long)args.count);
    bench.run(MB_OP_DIVIDE, args, {});
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
                             {"trust", "factors from norms agree", false, 1, trust},
                             {"factor", "Adafactor's directions agree", false, 1, factor},
                             {"combine", "sums of multiples agree", false, 1, combine},
                             {"norms", "norms of all tensors agree", false, 1, norms},
                             {"clip", "factors of clipping agree", false, 1, clip},
                             {"divide", "quotients agree", true, 1, divide},
                             {"constrain", "constraints agree", false, 1, constrain},
                             {}};
