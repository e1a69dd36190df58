/* Convolution with stored weights against a loop nest over mb_matrix_value, and windows cut into
 * rows. */
#include <string.h>
#include "device/cpu/stored.h"
#include "stored_matrix.h"

typedef struct {
    mb_stored_conv_args_t args;
    int64_t count_x, count_y;
} conv_t;

static int64_t depth_of(const mb_window_t *w)
{
    return w->kernel[0] * w->kernel[1] * w->channels_in / w->groups;
}

static void random_geometry(op_t *op, mb_window_t *w)
{
    bool flat = op_integer(op, 0, 3) == 0; /* one-dimensional */
    for (int i = 0; i < 2; i++) {
        bool one = flat && i == 0;
        w->kernel[i] = one ? 1 : op_integer(op, 1, 4);
        w->stride[i] = one ? 1 : op_integer(op, 1, 3);
        w->dilation[i] = one ? 1 : op_integer(op, 1, 2);
        w->pad_before[i] = one ? 0 : op_integer(op, 0, 2);
        w->pad_after[i] = one ? 0 : op_integer(op, 0, 3);
        w->in[i] = one ? 1 : op_integer(op, 7, 12);
        int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
        w->out[i] = (w->in[i] + w->pad_before[i] + w->pad_after[i] - reach) / w->stride[i] + 1;
    }
}

static mb_window_t random_window(op_t *op, bool point)
{
    static const int64_t channels[] = {1, 3, 7, 16, 17, 40};
    mb_window_t w = {.samples = op_integer(op, 1, 9), .groups = 1};
    w.channels_in = channels[op_integer(op, 0, 5)];
    w.channels_out = channels[op_integer(op, 0, 5)];
    if (op_integer(op, 0, 3) == 0) {
        w.groups = op_integer(op, 2, 3);
        w.channels_in *= w.groups;
        w.channels_out *= w.groups;
    }
    random_geometry(op, &w);
    for (int i = 0; i < 2 && point; i++) {
        w.kernel[i] = w.stride[i] = 1;
        w.pad_before[i] = w.pad_after[i] = 0;
        w.out[i] = w.in[i];
    }
    return w;
}

/* Wide enough for whole numbers, or not: 32 rows, 16 columns for each group. */
static mb_window_t random_width(op_t *op, bool point, bool wide)
{
    for (;;) {
        mb_window_t w = random_window(op, point);
        if ((depth_of(&w) >= 32 && w.channels_out / w.groups >= 16) == wide)
            return w;
    }
}

static conv_t random_conv(op_t *op, const mb_window_t *w, mb_matrix_t layout, bool integer)
{
    conv_t c = {.args = {.window = *w, .integer = integer, .w = layout}};
    c.count_x = w->samples * w->in[0] * w->in[1] * w->channels_in;
    c.count_y = w->samples * w->out[0] * w->out[1] * w->channels_out;
    stored_matrix_random(op, &c.args.w);
    c.args.x = op_random(op, c.count_x, -1, 2);
    c.args.bias = op_integer(op, 0, 1) ? op_random(op, w->channels_out, -1, 1) : NULL;
    c.args.y = op_floats(op, c.count_y);
    return c;
}

/* x[at] and row r of the matrix meet in position (oh, ow). Returns false in the padding. */
static bool find_input(const mb_window_t *w, int64_t oh, int64_t ow, int64_t co, int64_t r,
                       int64_t *at)
{
    int64_t channels = w->channels_in / w->groups;
    int64_t group = co / (w->channels_out / w->groups);
    int64_t kh = r / (w->kernel[1] * channels), kw = r / channels % w->kernel[1];
    int64_t ih = oh * w->stride[0] - w->pad_before[0] + kh * w->dilation[0];
    int64_t iw = ow * w->stride[1] - w->pad_before[1] + kw * w->dilation[1];
    *at = (ih * w->in[1] + iw) * w->channels_in + group * channels + r % channels;
    return ih >= 0 && ih < w->in[0] && iw >= 0 && iw < w->in[1];
}

/* One result, and the sum of its terms' magnitudes. X is one sample. */
static double one_result(const mb_stored_conv_args_t *a, const double *x, int64_t oh, int64_t ow,
                         int64_t co, double *size)
{
    double sum = a->bias == NULL ? 0.0 : (double)a->bias[co];
    *size = fabs(sum);
    for (int64_t r = 0; r < a->w.rows; r++) {
        int64_t at;
        if (!find_input(&a->window, oh, ow, co, r, &at))
            continue;
        double term = x[at] * (double)mb_matrix_value(&a->w, r, co);
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

/* X as doubles; for whole numbers, what the 8-bit numbers of each sample stand for. */
static double *inputs_of(const conv_t *c, bool integer)
{
    double *x = op_widen(c->args.x, c->count_x);
    int64_t count = c->count_x / c->args.window.samples;
    uint8_t *codes = malloc((size_t)count);
    ck_assert_ptr_nonnull(codes);
    for (int64_t s = 0; s < c->args.window.samples && integer; s++) {
        mb_row_code_t code = mb_stored_row_code((const float *)c->args.x + s * count, NULL, count);
        mb_stored_row_encode((const float *)c->args.x + s * count, NULL, count, code, codes);
        for (int64_t i = 0; i < count; i++)
            x[s * count + i] = (double)code.scale * (codes[i] - code.zero);
    }
    free(codes);
    return x;
}

/* Floats: each product and each partial sum is rounded once. Whole numbers: nothing but two
 * products of scales, the sum as a float, its product and the bias. */
static void check(const conv_t *c, bool integer, const char *what)
{
    const mb_window_t *w = &c->args.window;
    double *x = inputs_of(c, integer);
    double roundings = integer ? 8.0 : (double)(c->args.w.rows + 8);
    for (int64_t i = 0; i < c->count_y; i++) {
        int64_t co = i % w->channels_out, position = i / w->channels_out;
        int64_t ow = position % w->out[1], oh = position / w->out[1] % w->out[0];
        int64_t sample = position / (w->out[0] * w->out[1]);
        double size,
            want = one_result(&c->args, x + sample * (c->count_x / w->samples), oh, ow, co, &size);
        ck_assert_msg(fabs((double)((const float *)c->args.y)[i] - want) <=
                          size * roundings * OP_EPSILON,
                      "%s: element %d is %.9g, not %.9g", what, (int)i,
                      (double)((const float *)c->args.y)[i], want);
    }
    free(x);
}

static mb_matrix_t channels_of(const mb_window_t *w)
{
    return stored_matrix_layout(MB_NUMBER_I8, depth_of(w), w->channels_out, depth_of(w), 1);
}

START_TEST(whole_numbers_are_exact)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    for (int round = 0; round < 4; round++) {
        mb_window_t w = random_width(&op, round == 3, true);
        conv_t c = random_conv(&op, &w, channels_of(&w), true);
        OP_RUN(&op, STORED_CONV, &c.args);
        check(&c, true, "int8");
    }
    op_close(&op);
}
END_TEST

START_TEST(narrow_kernels_run_in_floats)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    for (int round = 0; round < 4; round++) {
        mb_window_t w = random_width(&op, false, false);
        conv_t c = random_conv(&op, &w, channels_of(&w), true);
        OP_RUN(&op, STORED_CONV, &c.args);
        check(&c, false, "narrow int8");
    }
    op_close(&op);
}
END_TEST

START_TEST(floats_match_the_values)
{
    static const mb_number_t numbers[] = {MB_NUMBER_I8,  MB_NUMBER_I4,   MB_NUMBER_U4,
                                          MB_NUMBER_F16, MB_NUMBER_BF16, MB_NUMBER_E3M4,
                                          MB_NUMBER_F32};
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    for (int round = 0; round < 7; round++) {
        mb_window_t w = random_window(&op, round == 0);
        int64_t depth = depth_of(&w), block = depth < 32 ? depth : 32;
        bool scaled = round < 3;
        mb_matrix_t layout = stored_matrix_layout(numbers[round], depth, w.channels_out,
                                                  scaled ? block : 0, scaled ? 1 : 0);
        layout.has_row_scales = round == 0;
        conv_t c = random_conv(&op, &w, layout, true);
        OP_RUN(&op, STORED_CONV, &c.args);
        check(&c, false, mb_number_name(numbers[round]));
    }
    op_close(&op);
}
END_TEST

/* More than 4 MiB as floats: blocks of the matrix are decoded for each tile. */
static mb_window_t large_window(void)
{
    return (mb_window_t){.samples = 2,
                         .channels_in = 600,
                         .channels_out = 300,
                         .groups = 1,
                         .in = {3, 2},
                         .out = {2, 2},
                         .kernel = {3, 3},
                         .stride = {2, 1},
                         .dilation = {1, 1},
                         .pad_before = {1, 1},
                         .pad_after = {1, 1}};
}

START_TEST(large_kernels_are_decoded_in_blocks)
{
    op_t op;
    op_open(&op, 2, 1);
    mb_window_t w = large_window();
    mb_matrix_t layout = stored_matrix_layout(MB_NUMBER_I4, depth_of(&w), 300, 32, 1);
    conv_t c = random_conv(&op, &w, layout, false);
    OP_RUN(&op, STORED_CONV, &c.args);
    check(&c, false, "large");
    w.groups = 2; /* half as deep, so twice as wide */
    w.channels_in = w.channels_out = 1000;
    layout = stored_matrix_layout(MB_NUMBER_BF16, depth_of(&w), 1000, 0, 0);
    c = random_conv(&op, &w, layout, false);
    OP_RUN(&op, STORED_CONV, &c.args);
    check(&c, false, "large in groups");
    op_close(&op);
}
END_TEST

static conv_t numbered_conv(op_t *op, int which)
{
    mb_window_t w = which == 2 ? large_window() : random_width(op, false, true);
    mb_matrix_t layout =
        which == 0 ? channels_of(&w)
                   : stored_matrix_layout(MB_NUMBER_F16, depth_of(&w), w.channels_out, 0, 0);
    return random_conv(op, &w, layout, true);
}

static uint64_t digest_with(int threads, int which)
{
    op_t op;
    op_open(&op, threads, 11);
    conv_t c = numbered_conv(&op, which);
    OP_RUN(&op, STORED_CONV, &c.args);
    uint64_t digest = op_digest(&op);
    op_close(&op);
    return digest;
}

START_TEST(any_number_of_threads_gives_the_same_bits)
{
    uint64_t one = digest_with(1, _i);
    ck_assert_uint_eq(digest_with(2, _i), one);
    ck_assert_uint_eq(digest_with(3, _i), one);
}
END_TEST

START_TEST(a_sample_does_not_depend_on_the_others)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 20);
    mb_window_t w = random_width(&op, _i == 3, true);
    w.samples = 7;
    conv_t c = random_conv(&op, &w, channels_of(&w), true);
    OP_RUN(&op, STORED_CONV, &c.args);
    for (int64_t s = 0; s < w.samples; s++) {
        mb_stored_conv_args_t one = c.args;
        one.window.samples = 1;
        one.x = (const float *)one.x + s * (c.count_x / w.samples);
        one.y = op_floats(&op, c.count_y / w.samples);
        OP_RUN(&op, STORED_CONV, &one);
        ck_assert_int_eq(memcmp(one.y, (const float *)c.args.y + s * (c.count_y / w.samples),
                                sizeof(float) * (size_t)(c.count_y / w.samples)),
                         0);
    }
    op_close(&op);
}
END_TEST

START_TEST(planning_follows_no_pointers)
{
    op_t op;
    op_open(&op, 2, 5);
    conv_t c = numbered_conv(&op, _i);
    mb_stored_conv_args_t plan = c.args;
    plan.x = plan.bias = NULL;
    plan.y = NULL;
    plan.w.values = plan.w.scales = NULL;
    plan.w.column_sums = NULL;
    op.exec.planning = true;
    ck_assert_int_eq(mb_run_stored_conv(&op.exec, &plan), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&op.exec), MB_OK);
    ck_assert_int_eq(mb_run_stored_conv(&op.exec, &c.args), MB_OK);
    op_close(&op);
}
END_TEST

START_TEST(a_sample_that_is_not_finite_spoils_only_itself)
{
    op_t op;
    op_open(&op, 1, 3);
    mb_window_t w = random_width(&op, false, true);
    w.samples = 3;
    conv_t c = random_conv(&op, &w, channels_of(&w), true);
    ((float *)(uintptr_t)c.args.x)[c.count_x / 3 + 4] = NAN;
    OP_RUN(&op, STORED_CONV, &c.args);
    for (int64_t i = 0; i < c.count_y; i++)
        ck_assert_int_eq(isnan(((const float *)c.args.y)[i]) != 0, i / (c.count_y / 3) == 1);
    op_close(&op);
}
END_TEST

START_TEST(patches_are_what_positions_see)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    for (int round = 0; round < 4; round++) {
        mb_window_t w = random_window(&op, round == 3);
        w.samples = w.groups = 1;
        int64_t depth = depth_of(&w), rows = w.out[0] * w.out[1];
        mb_patches_args_t a = {w, op_random(&op, w.in[0] * w.in[1] * w.channels_in, -1, 1),
                               op_random(&op, rows * depth, -1, 1)};
        OP_RUN(&op, PATCHES, &a);
        for (int64_t i = 0; i < rows * depth; i++) {
            int64_t at, position = i / depth;
            bool inside =
                find_input(&w, position / w.out[1], position % w.out[1], 0, i % depth, &at);
            float want = inside ? a.x[at] : 0.0f;
            ck_assert_float_eq(a.y[i], want);
        }
    }
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_stored_conv");
    TCase *t = tcase_create("convolution");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, whole_numbers_are_exact, 0, 6);
    tcase_add_loop_test(t, narrow_kernels_run_in_floats, 0, 3);
    tcase_add_loop_test(t, floats_match_the_values, 0, 3);
    tcase_add_test(t, large_kernels_are_decoded_in_blocks);
    tcase_add_loop_test(t, any_number_of_threads_gives_the_same_bits, 0, 3);
    tcase_add_loop_test(t, a_sample_does_not_depend_on_the_others, 0, 4);
    tcase_add_loop_test(t, planning_follows_no_pointers, 0, 3);
    tcase_add_test(t, a_sample_that_is_not_finite_spoils_only_itself);
    tcase_add_loop_test(t, patches_are_what_positions_see, 0, 3);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
