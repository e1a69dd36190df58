/* Operations on weights as they are stored: products, convolutions and tables in every number
 * format, and what makes and feeds them. */
#include "cudasim/ops/bench.h"
#include "cudasim/ops/window.h"

#include <cmath>

namespace
{

/* How a matrix is stored; what is 0 is left out. */
struct format {
    mb_number_t number;
    int64_t block_rows, block_columns;
    bool narrow_scales, zeros, row_scales, squared;
    bool infinities = false; /* of E3M4: some */
};

/* The codes' numbers are up to 128 or 8: values are below 1. */
double most_of(mb_number_t number)
{
    int bits = mb_number_bits(number);
    return bits == 8 ? 1.0 / 128 : bits == 4 ? 1.0 / 8 : 1.0;
}

/* So that no number becomes infinity, or one in 1000 does with the larger biases. */
double most_of_e3m4(int bias, bool infinities)
{
    return fmin(1, (infinities ? 1.001 : 0.999) * ldexp(1.96875, 6 - bias));
}

void fill_codes(bench &bench, mb_matrix_t *m, bool infinities)
{
    std::vector<char> codes((size_t)mb_matrix_value_bytes(m));
    for (char &code : codes)
        code = (char)bench.integer(-128, 127);
    if (m->number <= MB_NUMBER_E3M4) {
        double most = m->number == MB_NUMBER_E3M4 ? most_of_e3m4(m->bias, infinities) : 1;
        std::vector<float> values((size_t)(m->rows * m->columns));
        for (float &value : values)
            value = (float)bench.uniform(-most, most);
        mb_number_encode(m->number, m->bias, values.data(), m->rows * m->columns, codes.data());
    }
    m->values = bench.bytes(codes.data(), codes.size());
}

void fill_scales(bench &bench, mb_matrix_t *m)
{
    int64_t scales = mb_matrix_scales(m);
    double most = most_of(m->number);
    mb_dtype_t type = m->scale_number == MB_NUMBER_BF16 ? MB_BF16 : MB_F32;
    if (scales > 0)
        m->scales = bench.given(type, scales, 0.2 * most, most);
    std::vector<char> zeros((size_t)scales);
    for (char &zero : zeros)
        zero = (char)bench.integer(0, 15);
    if (m->has_zeros)
        m->zeros = bench.bytes(zeros.data(), zeros.size());
    if (m->has_row_scales)
        m->row_scales = bench.given(MB_F32, m->rows, 0.5, 1);
}

void sum_columns(bench &bench, mb_matrix_t *m)
{
    const int8_t *codes = (const int8_t *)m->values;
    m->column_sums = bench.given(MB_I32, m->columns, [=](int64_t c) {
        int64_t sum = 0;
        for (int64_t r = 0; r < m->rows; r++)
            sum += codes[r * m->columns + c];
        return sum;
    });
}

mb_matrix_t make(bench &bench, const format &f, int64_t rows, int64_t columns)
{
    mb_matrix_t m = {};
    m.number = f.number;
    m.rows = rows;
    m.columns = columns;
    m.block_rows = f.block_rows;
    m.block_columns = f.block_columns;
    m.bias = (int)bench.integer(1, 12);
    m.scale_number = f.narrow_scales ? MB_NUMBER_BF16 : MB_NUMBER_F32;
    m.squared = f.squared;
    m.has_zeros = f.zeros;
    m.has_row_scales = f.row_scales;
    m.has_column_sums = f.number == MB_NUMBER_I8 && f.block_rows >= rows;
    fill_codes(bench, &m, f.infinities);
    fill_scales(bench, &m);
    if (m.has_column_sums)
        sum_columns(bench, &m);
    return m;
}

/* SQUARED: also what optimizers keep. */
format some_format(bench &bench, int64_t rows, int64_t columns, bool squared)
{
    const int64_t all = rows > 0 ? rows : 1, more = 1000000;
    const format formats[] = {
        {MB_NUMBER_F32, 0, 0, false, false, false, false},
        {MB_NUMBER_F16, 0, 0, false, false, false, false},
        {MB_NUMBER_BF16, 0, 0, false, false, false, false},
        {MB_NUMBER_E3M4, 0, 0, false, false, false, false},
        {MB_NUMBER_E3M4, 0, 0, false, false, true, false},
        {MB_NUMBER_I8, all, 1, bench.coin(), false, false, false},
        {MB_NUMBER_I8, more, columns, false, false, bench.coin(), false},
        {MB_NUMBER_I8, 32, 1, false, false, true, false},
        {MB_NUMBER_I8, 1, 32, true, false, false, false},
        {MB_NUMBER_I4, 32, 1, true, false, false, false},
        {MB_NUMBER_I4, all, 1, false, false, true, false},
        {MB_NUMBER_I4, 1, 32, true, false, false, false},
        {MB_NUMBER_U4, 32, 1, false, true, false, false},
        {MB_NUMBER_U4, bench.integer(3, 64), 1, true, true, true, false},
        {MB_NUMBER_U8, all, 1, false, false, false, true},
    };
    const int64_t count = sizeof formats / sizeof *formats;
    return formats[bench.integer(0, count - (squared ? 1 : 2))];
}

/* What runs in whole numbers. */
format some_integers(bench &bench, int64_t rows, int64_t columns)
{
    return {MB_NUMBER_I8,
            rows + (bench.coin() ? 0 : 5),
            bench.coin() ? 1 : columns,
            bench.coin(),
            false,
            bench.one_in(4),
            false};
}

std::string name_of(const mb_matrix_t &m)
{
    char text[200];
    snprintf(text, sizeof text, ", %s in blocks of %lld x %lld%s%s%s", mb_number_name(m.number),
             (long long)m.block_rows, (long long)m.block_columns,
             m.scale_number == MB_NUMBER_BF16 ? ", bf16 scales" : "",
             m.has_row_scales ? ", row scales" : "", m.squared ? ", squared" : "");
    return text;
}

/* Of DEPTH products of numbers below 1. For narrow elements weights are decoded to the elements'
 * type, whose roundings err in random directions: 4 rounding sqrt(depth) / 3. A CPU that multiplies
 * bfloat16 rounds wider activations to it where the weights are of it. */
tolerance of_floats(mb_dtype_t type, const mb_matrix_t &m, int64_t depth)
{
    double rounding = type == MB_F32 ? 0 : rounding_of(type);
    if (m.number == MB_NUMBER_BF16)
        rounding = rounding_of(MB_BF16);
    return {2 * EPSILON, sum_bound(depth + 1) + 4 * rounding * sqrt((double)depth) / 3, 0};
}

place some_activations(bench &bench, mb_dtype_t type, int64_t count, bool integer)
{
    bool special = integer && bench.one_in(8);
    double low = bench.coin() ? -1 : 0.2; /* rows whose range does not begin below 0 */
    return bench.given(type, count, [&](int64_t i) {
        return special && i == count / 2 ? (double)INFINITY : bench.uniform(low, 1);
    });
}

void run_product(bench &bench, mb_dtype_t type, const mb_matrix_t &b, int64_t m, bool integer)
{
    mb_stored_gemm_args_t args = {};
    bool exact = integer && m >= MB_INTEGER_ROWS && b.has_column_sums && b.rows > 0;
    args.type = type;
    args.m = m;
    args.b = b;
    args.lda = b.rows + (bench.coin() ? 0 : bench.integer(1, 9));
    args.ldc = b.columns + (bench.coin() ? 0 : bench.integer(1, 9));
    args.integer = integer;
    args.a = some_activations(bench, type, m * args.lda, exact);
    if (bench.coin())
        args.bias = bench.given(MB_F32, b.columns, -1, 1);
    bench.complete(MB_OP_STORED_GEMM, &args);
    bench.describe("%lld x %lld x %lld, apart by %lld and %lld, integer %d, bias %d%s",
                   (long long)m, (long long)b.columns, (long long)b.rows, (long long)args.lda,
                   (long long)args.ldc, integer, args.bias != nullptr, name_of(b).c_str());
    bench.run(MB_OP_STORED_GEMM, args, exact ? tolerance{} : of_floats(type, b, b.rows));
}

const int64_t depths[] = {1, 3, 7, 16, 17, 33, 64, 130, 600, 128, 256, 1030};
const int64_t widths[] = {1, 3, 8, 17, 33, 64, 130, 200, 256, 520};

void stored_gemm(bench &bench, mb_dtype_t type)
{
    static const int64_t counts[] = {1, 1, 2, 4, 5, 9, 15, 16, 17, 33, 70, 130};
    int64_t k = bench.one_in(30) ? 0 : bench.one_of(depths), n = bench.one_of(widths);
    format f = some_format(bench, k, n, true);
    f.infinities = bench.coin();
    run_product(bench, type, make(bench, f, k, n), bench.one_of(counts), bench.coin());
}

/* Whole numbers are the same on any processor, and what scales them is rounded alike. */
void integer_gemm(bench &bench, mb_dtype_t type)
{
    static const int64_t counts[] = {16, 17, 33, 70, 130};
    int64_t k = bench.one_of(depths), n = bench.one_of(widths);
    mb_matrix_t b = make(bench, some_integers(bench, k, n), k, n);
    run_product(bench, type, b, bench.one_of(counts), true);
}

void run_conv(bench &bench, mb_dtype_t type, const mb_window_t &w, const mb_matrix_t &m,
              bool integer)
{
    mb_stored_conv_args_t args = {};
    /* ops.h: kernels with few rows or columns for each group run in floats. */
    bool exact = integer && m.has_column_sums && !m.has_row_scales && m.rows >= 32 &&
                 w.channels_out / w.groups >= 16;
    args.type = type;
    args.window = w;
    args.integer = integer;
    args.w = m;
    args.x = some_activations(bench, type, w.samples * w.in[0] * w.in[1] * w.channels_in, exact);
    if (bench.coin())
        args.bias = bench.given(MB_F32, w.channels_out, -1, 1);
    bench.complete(MB_OP_STORED_CONV, &args);
    describe_window(bench, w, (name_of(m) + (integer ? ", integer" : "")).c_str());
    bench.run(MB_OP_STORED_CONV, args, exact ? tolerance{} : of_floats(type, m, m.rows));
}

int64_t depth_of(const mb_window_t &w)
{
    return w.kernel[0] * w.kernel[1] * (w.channels_in / w.groups);
}

/* Without infinities: times a zero of the padding they are NaN on the device only. */
void stored_conv(bench &bench, mb_dtype_t type)
{
    mb_window_t w = some_window(bench);
    int64_t k = depth_of(w), n = w.channels_out;
    mb_matrix_t m = make(bench, some_format(bench, k, n, false), k, n);
    run_conv(bench, type, w, m, bench.coin());
}

void integer_conv(bench &bench, mb_dtype_t type)
{
    mb_window_t w = some_window(bench);
    int64_t k = depth_of(w), n = w.channels_out;
    format f = {MB_NUMBER_I8, k, bench.coin() ? 1 : n, false, false, false, false};
    run_conv(bench, type, w, make(bench, f, k, n), true);
}

/* So many rows, columns and positions that the larger tiles are taken. */
void large_gemm(bench &bench, mb_dtype_t type)
{
    int64_t m = 1270, n = 760, k = bench.coin() ? 64 : 35;
    format f = {MB_NUMBER_I4, 32, 1, true, false, false, false};
    run_product(bench, type, make(bench, f, k, n), m, false);
    run_product(bench, type, make(bench, some_integers(bench, k, n), k, n), m, true);
}

void large_conv(bench &bench, mb_dtype_t type)
{
    mb_window_t w = some_large_window(bench);
    int64_t k = depth_of(w), n = w.channels_out;
    format f = {MB_NUMBER_I8, k, 1, false, false, false, false};
    for (int integer = 0; integer < 2; integer++)
        run_conv(bench, type, w, make(bench, f, k, n), integer != 0);
}

void stored_lookup(bench &bench, mb_dtype_t type)
{
    mb_stored_lookup_args_t args = {};
    int64_t rows = bench.integer(1, 60);
    int64_t columns = bench.coin() ? 8 * bench.integer(1, 10) : bench.integer(1, 90);
    args.type = type;
    args.count = bench.integer(0, 40);
    args.table = make(bench, some_format(bench, rows, columns, false), rows, columns);
    args.ids = bench.given(MB_I32, args.count, [&](int64_t) { return bench.integer(0, rows - 1); });
    bench.complete(MB_OP_STORED_LOOKUP, &args);
    bench.describe("%lld of %lld x %lld%s", (long long)args.count, (long long)rows,
                   (long long)columns, name_of(args.table).c_str());
    bench.run(MB_OP_STORED_LOOKUP, args, {});
}

/* The same steps as the CPU: the same bits. */
void fake_quantize(bench &bench, mb_dtype_t type)
{
    mb_fake_quantize_args_t args = {};
    args.type = type;
    args.format.number = bench.coin() ? MB_NUMBER_I8 : MB_NUMBER_I4;
    args.format.rows = bench.integer(1, 150);
    args.format.columns = bench.some_columns();
    const int64_t blocks[][2] = {{args.format.rows, args.format.columns},
                                 {args.format.rows, 1},
                                 {32, 1},
                                 {1, 32},
                                 {1, args.format.columns}};
    const int64_t *block = blocks[bench.integer(0, 4)];
    args.format.block_rows = block[0];
    args.format.block_columns = block[1];
    args.format.scale_number = bench.coin() ? MB_NUMBER_BF16 : MB_NUMBER_F32;
    args.x = bench.given(MB_F32, args.format.rows * args.format.columns, [&](int64_t i) {
        return i % 97 < 5 ? 0 : bench.uniform(-1, 1); /* blocks of zeros among them */
    });
    bench.complete(MB_OP_FAKE_QUANTIZE, &args);
    bench.describe("%lld x %lld%s", (long long)args.format.rows, (long long)args.format.columns,
                   name_of(args.format).c_str());
    bench.run(MB_OP_FAKE_QUANTIZE, args, {});
}

void patches(bench &bench, mb_dtype_t)
{
    mb_patches_args_t args = {};
    mb_window_t w = some_window(bench);
    w.samples = w.groups = 1;
    args.window = w;
    args.x = bench.given(MB_F32, w.in[0] * w.in[1] * w.channels_in, -1, 1);
    args.y = bench.written(MB_F32, w.out[0] * w.out[1] * depth_of(w));
    describe_window(bench, w, "");
    bench.run(MB_OP_PATCHES, args, {});
}

} // namespace

const test stored_tests[] = {
    {"stored_gemm", "products with stored weights agree", true, 1, stored_gemm},
    {"integer_gemm", "products in whole numbers agree", true, 2, integer_gemm},
    {"stored_conv", "convolutions with stored weights agree", true, 1, stored_conv},
    {"integer_conv", "convolutions in whole numbers agree", true, 1, integer_conv},
    {"large_stored_gemm", "large products with stored weights agree", true, 40, large_gemm},
    {"large_stored_conv", "large convolutions with stored weights agree", true, 40, large_conv},
    {"stored_lookup", "lookups in stored tables agree", true, 1, stored_lookup},
    {"fake_quantize", "rounding as formats would agrees", true, 1, fake_quantize},
    {"patches", "patches of convolutions agree", false, 1, patches},
    {}};
