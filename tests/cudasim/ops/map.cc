/* Functions of strided operands and their reductions. Sums, products and comparisons round as the
 * CPU does. */
#include "cudasim/ops/bench.h"

namespace
{

/* Strides of axes in their order or the other way round, with 0 for some where REPEATS. */
void lay(bench &bench, const mb_map_args_t &args, int axes, bool repeats, int64_t *stride)
{
    bool backwards = bench.coin();
    int64_t step = bench.one_in(4) ? 2 : 1;
    for (int i = 0; i < axes; i++) {
        int d = backwards ? i : axes - 1 - i;
        bool repeated = repeats && bench.one_in(4);
        stride[d] = repeated ? 0 : step;
        step *= repeated ? 1 : args.dim[d];
    }
}

int64_t reached(const mb_map_args_t &args, int axes, const int64_t *stride)
{
    int64_t last = 0;
    for (int d = 0; d < axes; d++)
        last += (args.dim[d] - 1) * stride[d];
    return last + 1;
}

void random_sizes(bench &bench, mb_map_args_t *args)
{
    static const int64_t largest[] = {1, 3000, 60, 15, 8};
    args->axes = (int32_t)bench.integer(1, 4);
    for (int d = 0; d < args->axes; d++)
        args->dim[d] = bench.integer(1, largest[args->axes]);
}

/* The operand with BIT in `wide` is float32 now and then. */
mb_dtype_t type_of(bench &bench, mb_map_args_t *args, int bit)
{
    bool wide = bench.one_in(4);
    args->wide |= (uint8_t)(wide ? bit : 0);
    return wide ? MB_F32 : args->type;
}

void random_operands(bench &bench, mb_map_args_t *args)
{
    int kept = args->axes - args->reduced;
    for (int i = 0; i < mb_map_inputs(args->function); i++) {
        lay(bench, *args, args->axes, true, args->stride[i]);
        args->constant[i] = (float)bench.uniform(0.5, 2);
        if (bench.one_in(6))
            args->constants |= (uint8_t)(1 << i);
        else
            args->x[i] = bench.given(type_of(bench, args, 1 << i),
                                     reached(*args, args->axes, args->stride[i]), 0.5, 2);
    }
    lay(bench, *args, kept, false, args->y_stride);
    args->y = bench.changed(type_of(bench, args, MB_MAP_WIDE_Y),
                            reached(*args, kept, args->y_stride), -1, 1);
    bench.describe("%s of %d axes, %d reduced by %d, %lld elements", mb_map_name(args->function),
                   args->axes, args->reduced, (int)args->reduction,
                   (long long)(mb_map_kept(args) * mb_map_reduced(args)));
}

/* As for the CPU's loops in double (tests/unit/test_op_map.c), on both sides. */
tolerance of_functions(mb_dtype_t type, int64_t reduced)
{
    double error = 2 * 80 * (type == MB_F32 ? EPSILON : 0x1p-22);
    return {error, error * (double)reduced, 0};
}

void map(bench &bench, mb_dtype_t type)
{
    mb_map_args_t args = {};
    args.type = type;
    args.scale = 1;
    args.function = (mb_map_t)bench.integer(0, MB_MAP_COUNT - 1);
    args.accumulate = bench.coin();
    random_sizes(bench, &args);
    random_operands(bench, &args);
    bench.run(MB_OP_MAP, args, of_functions(type, 1));
}

void reduce(bench &bench, mb_dtype_t type)
{
    mb_map_args_t args = {};
    args.type = type;
    args.function = bench.coin() ? MB_MAP_COPY : MB_MAP_MULTIPLY;
    args.reduction = (mb_reduction_t)bench.integer(0, 3);
    args.scale = args.reduction == MB_REDUCE_SUM ? bench.uniform(0.1, 2) : 1;
    args.accumulate = bench.coin();
    random_sizes(bench, &args);
    args.reduced = (int32_t)bench.integer(1, args.axes);
    if (args.reduction == MB_REDUCE_PRODUCT) {
        args.reduced = 1;
        args.dim[args.axes - 1] = bench.integer(1, 4);
    }
    random_operands(bench, &args);
    bench.run(MB_OP_MAP, args, of_functions(type, mb_map_reduced(&args)));
}

} // namespace

const test map_tests[] = {{"map", "functions of strided operands agree", true, 1, map},
                          {"map_reduce", "reductions of strided operands agree", true, 1, reduce},
                          {}};
