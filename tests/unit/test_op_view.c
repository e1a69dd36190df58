/* Copies between views, element by element, with what lies between the elements left alone. */
#include <string.h>
#include "support/op_check.h"

#define MOST 7

/* Sizes, and for each array an order of its axes in memory and gaps between them. */
static int64_t random_strides(op_t *op, const int64_t *size, const int *order, bool gaps,
                              int64_t *stride)
{
    int64_t step = 1;
    for (int i = MB_VIEW_AXES - 1; i >= 0; i--) {
        stride[order[i]] = step;
        step *= size[order[i]];
        if (gaps)
            step += op_integer(op, 0, 3);
    }
    return step;
}

static void shuffle(op_t *op, int *order)
{
    for (int i = MB_VIEW_AXES - 1; i > 0; i--) {
        int j = (int)op_integer(op, 0, i), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

static int64_t place(const int64_t *size, const int64_t *stride, int64_t index)
{
    int64_t at = 0;
    for (int i = MB_VIEW_AXES - 1; i >= 0; i--) {
        at += index % size[i] * stride[i];
        index /= size[i];
    }
    return at;
}

static void copy_slowly(const mb_copy_view_args_t *a, int64_t count, char *to)
{
    size_t bytes = mb_dtype_bytes(a->type);
    for (int64_t i = 0; i < count; i++)
        memcpy(to + (size_t)place(a->size, a->to_stride, i) * bytes,
               (const char *)a->from + (size_t)place(a->size, a->from_stride, i) * bytes, bytes);
}

static void check_view(op_t *op, mb_dtype_t type, int64_t longest)
{
    int from_order[] = {0, 1, 2, 3, 4}, to_order[] = {0, 1, 2, 3, 4};
    mb_copy_view_args_t a = {.type = type};
    int64_t count = 1;
    for (int i = 0; i < MB_VIEW_AXES; i++) {
        a.size[i] = op_integer(op, 0, 2) == 0 ? 1 : op_integer(op, 1, i < 3 ? 4 : longest);
        count *= a.size[i];
    }
    shuffle(op, from_order);
    int64_t n_from =
        random_strides(op, a.size, from_order, op_integer(op, 0, 1) == 0, a.from_stride);
    int64_t n_to = random_strides(op, a.size, to_order, op_integer(op, 0, 1) == 0, a.to_stride);
    size_t bytes = mb_dtype_bytes(type);
    char *from = op_memory(op, (size_t)n_from * bytes), *to = op_memory(op, (size_t)n_to * bytes);
    for (size_t i = 0; i < (size_t)n_from * bytes; i++)
        from[i] = (char)op_integer(op, 0, 127);
    memset(to, 0x55, (size_t)n_to * bytes);
    char *want = malloc((size_t)n_to * bytes);
    memcpy(want, to, (size_t)n_to * bytes);
    a.from = from;
    a.to = to;
    copy_slowly(&a, count, want);
    OP_RUN(op, COPY_VIEW, &a);
    ck_assert_mem_eq(to, want, (size_t)n_to * bytes);
    free(want);
}

START_TEST(views_are_copied_element_by_element)
{
    static const mb_dtype_t types[] = {MB_F32, MB_BF16, MB_F64};
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    check_view(&op, types[_i % 3], _i % 2 == 0 ? MOST : 90);
    op_close(&op);
}
END_TEST

/* Long enough for squares of a transpose and for more than one tile. */
START_TEST(a_transpose_of_many_elements_is_right)
{
    op_t op;
    op_open(&op, 2, 1);
    enum { ROWS = 700, COLUMNS = 67, BATCH = 2 };
    float *from = op_random(&op, BATCH * ROWS * COLUMNS, -1, 1);
    float *to = op_floats(&op, BATCH * ROWS * COLUMNS);
    mb_copy_view_args_t a = {.type = MB_F32,
                             .size = {1, 1, BATCH, COLUMNS, ROWS},
                             .from_stride = {0, 0, ROWS * COLUMNS, 1, COLUMNS},
                             .to_stride = {0, 0, ROWS * COLUMNS, ROWS, 1},
                             .from = from,
                             .to = to};
    OP_RUN(&op, COPY_VIEW, &a);
    for (int64_t b = 0; b < BATCH; b++)
        for (int64_t i = 0; i < ROWS; i++)
            for (int64_t j = 0; j < COLUMNS; j++)
                ck_assert_float_eq(to[(b * COLUMNS + j) * ROWS + i],
                                   from[(b * ROWS + i) * COLUMNS + j]);
    op_close(&op);
}
END_TEST

START_TEST(a_view_of_nothing_copies_nothing)
{
    op_t op;
    op_open(&op, 1, 1);
    mb_copy_view_args_t a = {.type = MB_F32, .size = {1, 1, 0, 3, 3}};
    OP_RUN(&op, COPY_VIEW, &a);
    a.size[2] = -1;
    ck_assert_int_eq(op_try(&op, MB_OP_COPY_VIEW, &a, sizeof a), MB_ERR_INTERNAL);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_view");
    TCase *t = tcase_create("copy_view");
    tcase_add_loop_test(t, views_are_copied_element_by_element, 0, 60);
    tcase_add_test(t, a_transpose_of_many_elements_is_right);
    tcase_add_test(t, a_view_of_nothing_copies_nothing);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
