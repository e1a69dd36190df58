/* What an operation makes of bfloat16 and float16 on the CPU: what it makes of the same numbers in
 * float32, rounded once where it is written. */
#include <string.h>
#include "base/number.h"
#include "device/cpu/dnnl/onednn.h"
#include "device/operands.h"
#include "support/op_check.h"

static void *pointer_at(const void *args, size_t at)
{
    void *pointer;
    memcpy(&pointer, (const char *)args + at, sizeof pointer);
    return pointer;
}

/* The arguments in the narrow type; what they had in float32 becomes numbers that the type holds.
 */
static void narrow_args(op_t *op, mb_op_t which, mb_dtype_t type, void *wide, void *narrow,
                        size_t bytes)
{
    mb_operand_t operands[MB_MOST_OPERANDS];
    memcpy(narrow, wide, bytes);
    mb_op_set_type(which, narrow, type);
    int n = mb_op_operands(which, wide, operands);
    for (int i = 0; i < n; i++) {
        float *values = pointer_at(wide, operands[i].at);
        if (values == NULL)
            continue;
        void *codes = op_memory(op, 2 * (size_t)operands[i].count + 64);
        mb_number_encode(mb_number_of(type), 0, values, operands[i].count, codes);
        mb_number_decode(mb_number_of(type), 0, codes, operands[i].count, values);
        memcpy((char *)narrow + operands[i].at, &codes, sizeof codes);
    }
}

static void check_written(mb_op_t which, mb_dtype_t type, const void *wide, const void *narrow)
{
    mb_operand_t operands[MB_MOST_OPERANDS];
    int n = mb_op_operands(which, wide, operands);
    for (int i = 0; i < n; i++) {
        const float *values = pointer_at(wide, operands[i].at);
        if (values == NULL || !(operands[i].use & MB_OPERAND_WRITTEN))
            continue;
        uint16_t *want = malloc(2 * (size_t)operands[i].count);
        mb_number_encode(mb_number_of(type), 0, values, operands[i].count, want);
        ck_assert_msg(
            memcmp(want, pointer_at(narrow, operands[i].at), 2 * (size_t)operands[i].count) == 0,
            "%s in %s", mb_op_name(which), mb_dtype_name(type));
        free(want);
    }
}

/* ARGS is run as it is, then in each narrow type. */
static void check(op_t *op, mb_op_t which, void *args, size_t bytes)
{
    static const mb_dtype_t types[] = {MB_BF16, MB_F16};
    for (int t = 0; t < 2; t++) {
        char narrow[512];
        narrow_args(op, which, types[t], args, narrow, bytes);
        ck_assert_msg(op_try(op, which, args, bytes) == MB_OK, "%s", mb_error_get());
        ck_assert_msg(op_try(op, which, narrow, bytes) == MB_OK, "%s", mb_error_get());
        check_written(which, types[t], args, narrow);
    }
}
#define CHECK(op, NAME, args) check((op), MB_OP_##NAME, (args), sizeof *(args))

START_TEST(products_are_rounded_once)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    mb_gemm_args_t plain = {.m = 33, .n = 20, .k = 17, .lda = 17, .ldb = 20, .ldc = 20};
    plain.a = op_random(&op, 33 * 17, -1, 1);
    plain.b = op_random(&op, 17 * 20, -1, 1);
    plain.bias = op_random(&op, 20, -1, 1);
    plain.c = op_floats(&op, 33 * 20);
    CHECK(&op, GEMM, &plain);
    plain.act = MB_ACT_GELU;
    plain.pre = op_floats(&op, 33 * 20);
    CHECK(&op, GEMM, &plain);
    op_close(&op);
}
END_TEST

START_TEST(what_stands_between_rows_or_is_added_to_is_kept)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    mb_gemm_args_t args = {.m = 5, .n = 6, .k = 7, .lda = 7, .ldb = 6, .ldc = 9};
    args.a = op_random(&op, 5 * 7, -1, 1);
    args.b = op_random(&op, 7 * 6, -1, 1);
    args.c = op_random(&op, 5 * 9, 2, 3);
    CHECK(&op, GEMM, &args);
    mb_regularize_args_t regularize = {.count = 100, .l1 = 0.5f, .l2 = 0.25f};
    regularize.w = op_random(&op, 100, -1, 1);
    regularize.g = op_random(&op, 100, -1, 1);
    mb_operand_t operands[MB_MOST_OPERANDS];
    ck_assert_int_eq(mb_op_operands(MB_OP_REGULARIZE, &regularize, operands), 2);
    ck_assert_int_eq(operands[1].use, MB_OPERAND_BOTH);
    op_close(&op);
}
END_TEST

START_TEST(gradients_of_weights_stay_float32)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    mb_gemm_args_t wide = {.m = 8,
                           .n = 6,
                           .k = 40,
                           .transpose_a = true,
                           .accumulate = true,
                           .lda = 8,
                           .ldb = 6,
                           .ldc = 6,
                           .wide = true};
    wide.a = op_random(&op, 40 * 8, -1, 1);
    wide.b = op_random(&op, 40 * 6, -1, 1);
    float *start = op_random(&op, 8 * 6, -1, 1), *want = op_floats(&op, 8 * 6);
    float *got = op_floats(&op, 8 * 6);
    mb_gemm_args_t narrow;
    narrow_args(&op, MB_OP_GEMM, MB_BF16, &wide, &narrow, sizeof wide);
    memcpy(want, start, 48 * sizeof(float));
    memcpy(got, start, 48 * sizeof(float));
    wide.c = want;
    narrow.c = got;
    wide.dbias = op_floats(&op, 6);
    narrow.dbias = op_floats(&op, 6);
    OP_RUN(&op, GEMM, &wide);
    OP_RUN(&op, GEMM, &narrow);
    ck_assert_mem_eq(want, got, 48 * sizeof(float));
    ck_assert_mem_eq(wide.dbias, narrow.dbias, 6 * sizeof(float));
    op_close(&op);
}
END_TEST

START_TEST(weights_and_their_gradients_in_functions_of_views_stay_float32)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    mb_map_args_t wide = {.function = MB_MAP_MULTIPLY,
                          .wide = 1 << 1 | MB_MAP_WIDE_Y,
                          .accumulate = true,
                          .axes = 2,
                          .reduced = 1,
                          .scale = 1,
                          .dim = {6, 40},
                          .y_stride = {1},
                          .stride = {{1, 6}, {1, 0}}};
    mb_map_args_t narrow;
    wide.x[0] = op_random(&op, 240, -1, 1);
    wide.x[1] = op_random(&op, 6, -1, 1);
    float *want = op_random(&op, 6, -1, 1), *got = op_floats(&op, 6);
    memcpy(got, want, 6 * sizeof(float));
    narrow_args(&op, MB_OP_MAP, MB_BF16, &wide, &narrow, sizeof wide);
    ck_assert_ptr_ne(narrow.x[0], wide.x[0]);
    ck_assert_ptr_eq(narrow.x[1], wide.x[1]);
    wide.y = want;
    narrow.y = got;
    OP_RUN(&op, MAP, &wide);
    OP_RUN(&op, MAP, &narrow);
    ck_assert_mem_eq(want, got, 6 * sizeof(float));
    op_close(&op);
}
END_TEST

START_TEST(rows_and_elements_are_rounded_once_also_in_place)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    const int64_t rows = 9, columns = 37, count = 9 * 37;
    float *x = op_random(&op, count, -2, 2);
    mb_act_forward_args_t act = {.count = count, .act = MB_ACT_GELU, .x = x, .y = x};
    CHECK(&op, ACT_FORWARD, &act);
    mb_layernorm_forward_args_t norm = {.rows = rows, .columns = columns, .epsilon = 1e-3f};
    norm.x = op_random(&op, count, -2, 2);
    norm.y = op_floats(&op, count);
    norm.mean = op_floats(&op, rows);
    norm.rstd = op_floats(&op, rows);
    CHECK(&op, LAYERNORM_FORWARD, &norm);
    mb_softmax_forward_args_t softmax = {.rows = rows, .columns = columns};
    softmax.x = op_random(&op, count, -2, 2);
    softmax.y = op_floats(&op, count);
    CHECK(&op, SOFTMAX_FORWARD, &softmax);
    mb_normal_args_t normal = {.samples = 3, .elements = 37, .deviation = 2.0f};
    normal.y = op_floats(&op, 3 * 37);
    CHECK(&op, NORMAL, &normal);
    op_close(&op);
}
END_TEST

START_TEST(convolutions_and_what_works_along_axes_are_rounded_once)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    mb_window_t w = {2, 3, 5, 1, {6, 7}, {4, 3}, {3, 3}, {1, 2}, {1, 1}, {0, 0}, {0, 0}, {0}};
    const float *x = op_random(&op, 2 * 42 * 3, -1, 1), *dy = op_random(&op, 2 * 12 * 5, -1, 1);
    const float *k = op_random(&op, 9 * 15, -1, 1), *bias = op_random(&op, 5, -1, 1);
    mb_conv_forward_args_t forward = {MB_F32, w, x, k, bias, op_floats(&op, 2 * 12 * 5), {0}, NULL};
    mb_conv_backward_input_args_t input = {MB_F32, w,   dy, k, op_floats(&op, 2 * 42 * 3),
                                           bias,   NULL};
    CHECK(&op, CONV_FORWARD, &forward);
    CHECK(&op, CONV_BACKWARD_INPUT, &input);
    mb_region_pool_forward_args_t pool = {MB_F32, 6, 7, 3, 3, true, x, op_floats(&op, 6 * 9)};
    mb_resample_args_t up = {MB_F32, MB_FILTER_CUBIC,       false, false, 6, 7, 11, 3,
                             x,      op_floats(&op, 6 * 33)};
    CHECK(&op, REGION_POOL_FORWARD, &pool);
    CHECK(&op, RESAMPLE, &up);
    mb_region_pool_backward_args_t back = {MB_F32, 6, 7,      3,  3,
                                           false,  x, pool.y, dy, op_floats(&op, 6 * 21)};
    CHECK(&op, REGION_POOL_BACKWARD, &back);
    op_close(&op);
}
END_TEST

START_TEST(what_is_done_to_inputs)
{
    op_t op;
    op_open_emulating(&op, 2, 8);
    float *x = op_random(&op, 6 * 30, -2, 2), *y = op_floats(&op, 6 * 30);
    mb_affine_args_t affine = {.samples = 2,
                               .planes = 3,
                               .in = {5, 3},
                               .out = {3, 5},
                               .inner = 2,
                               .transforms = op_random(&op, 2 * MB_TRANSFORM, -1, 1),
                               .x = x,
                               .y = y};
    CHECK(&op, AFFINE, &affine);
    affine.transposed = true;
    CHECK(&op, AFFINE, &affine);
    mb_encode_args_t encode = {
        .rows = 6, .columns = 3, .depth = 30, .counts = true, .x = op_labels(&op, 18, 30), .y = y};
    CHECK(&op, ENCODE, &encode);
    mb_digitize_args_t digitize = {
        .count = 180, .n = 1, .x = x, .boundaries = op_floats(&op, 1), .y = op_labels(&op, 180, 2)};
    CHECK(&op, DIGITIZE, &digitize);
    mb_draw_args_t draw = {.draw = MB_DRAW_NUMBER, .samples = 180, .high = {1.0f}, .y = y};
    CHECK(&op, DRAW, &draw);
    op_close(&op);
}
END_TEST

START_TEST(a_loss_and_its_gradient_read_the_narrow_type)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    mb_loss_args_t args = {
        .kind = MB_LOSS_SPARSE_SOFTMAX, .rows = 8, .valid = 6, .columns = 11, .scale = 0.125f};
    args.x = op_random(&op, 8 * 11, -2, 2);
    args.labels = op_labels(&op, 8, 11);
    args.dx = op_floats(&op, 8 * 11);
    args.sum = op_doubles(&op, 1);
    CHECK(&op, LOSS, &args);
    op_close(&op);
}
END_TEST

START_TEST(attention_is_rounded_once)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    mb_attention_forward_args_t args = {
        .samples = 2, .heads = 3, .tq = 7, .tk = 7, .d = 5, .dv = 4, .scale = 0.4f, .causal = true};
    args.q = op_random(&op, 2 * 3 * 7 * 5, -1, 1);
    args.k = op_random(&op, 2 * 3 * 7 * 5, -1, 1);
    args.v = op_random(&op, 2 * 3 * 7 * 4, -1, 1);
    args.out = op_floats(&op, 2 * 3 * 7 * 4);
    args.log_sum = op_floats(&op, 2 * 3 * 7);
    CHECK(&op, ATTENTION_FORWARD, &args);
    op_close(&op);
}
END_TEST

START_TEST(conversion_goes_every_way)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    static const mb_dtype_t types[] = {MB_F32, MB_BF16, MB_F16};
    const int64_t count = 10007;
    float *x = op_random(&op, count, -3, 3), *back = op_floats(&op, count);
    void *first = op_memory(&op, 4 * (size_t)count), *second = op_memory(&op, 4 * (size_t)count);
    for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 3; b++) {
            mb_convert_args_t in = {
                .type = types[a], .from = MB_F32, .count = count, .x = x, .y = first};
            mb_convert_args_t across = {
                .type = types[b], .from = types[a], .count = count, .x = first, .y = second};
            mb_convert_args_t out = {
                .type = MB_F32, .from = types[b], .count = count, .x = second, .y = back};
            OP_RUN(&op, CONVERT, &in);
            OP_RUN(&op, CONVERT, &across);
            OP_RUN(&op, CONVERT, &out);
            for (int64_t i = 0; i < count; i++) {
                float want = x[i];
                if (types[a] != MB_F32)
                    want = types[a] == MB_BF16 ? mb_bf16_decode(mb_bf16_encode(want))
                                               : mb_f16_decode(mb_f16_encode(want));
                if (types[b] != MB_F32)
                    want = types[b] == MB_BF16 ? mb_bf16_decode(mb_bf16_encode(want))
                                               : mb_f16_decode(mb_f16_encode(want));
                ck_assert_float_eq(back[i], want);
            }
        }
    }
    op_close(&op);
}
END_TEST

/* Products of two numbers of 8 bits are exact in float32, so only the sums round. */
START_TEST(the_processor_s_own_products_of_bf16_are_right)
{
    op_t op;
    op_open(&op, 2, 3);
    mb_gemm_args_t wide = {
        .m = 150, .n = 70, .k = 300, .lda = 300, .ldb = 70, .ldc = 70, .wide = true};
    mb_gemm_args_t narrow;
    wide.a = op_random(&op, 150 * 300, -1, 1);
    wide.b = op_random(&op, 300 * 70, -1, 1);
    float *want = op_floats(&op, 150 * 70), *got = op_floats(&op, 150 * 70);
    narrow_args(&op, MB_OP_GEMM, MB_BF16, &wide, &narrow, sizeof wide);
    wide.c = want;
    narrow.c = got;
    wide.dbias = op_floats(&op, 70);
    narrow.dbias = op_floats(&op, 70);
    if (!mb_dnnl_has_bf16()) {
        ck_assert_int_eq(op_try(&op, MB_OP_GEMM, &narrow, sizeof narrow), MB_ERR_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(mb_error_get(), "--emulate"));
    } else {
        OP_RUN(&op, GEMM, &wide);
        OP_RUN(&op, GEMM, &narrow);
        double *truth = op_widen(want, 150 * 70);
        op_near("bf16", got, truth, 150 * 70, 0, 2 * op_sum_bound(300));
        free(truth);
        ck_assert_mem_eq(wide.dbias, narrow.dbias, 70 * sizeof(float));
    }
    op_close(&op);
}
END_TEST

START_TEST(a_type_the_processor_lacks_is_refused_with_the_remedy)
{
    op_t op;
    op_open(&op, 2, 3);
    mb_add_args_t args = {.type = MB_F16, .count = 10};
    ck_assert_int_eq(op_try(&op, MB_OP_ADD, &args, sizeof args), MB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "--emulate"));
    op_close(&op);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("narrow types");
    TCase *t = tcase_create("operations");
    tcase_add_test(t, products_are_rounded_once);
    tcase_add_test(t, what_stands_between_rows_or_is_added_to_is_kept);
    tcase_add_test(t, gradients_of_weights_stay_float32);
    tcase_add_test(t, weights_and_their_gradients_in_functions_of_views_stay_float32);
    tcase_add_test(t, rows_and_elements_are_rounded_once_also_in_place);
    tcase_add_test(t, convolutions_and_what_works_along_axes_are_rounded_once);
    tcase_add_test(t, what_is_done_to_inputs);
    tcase_add_test(t, a_loss_and_its_gradient_read_the_narrow_type);
    tcase_add_test(t, attention_is_rounded_once);
    tcase_add_test(t, conversion_goes_every_way);
    tcase_add_test(t, the_processor_s_own_products_of_bf16_are_right);
    tcase_add_test(t, a_type_the_processor_lacks_is_refused_with_the_remedy);
    suite_add_tcase(suite, t);
    return op_main(suite);
}
