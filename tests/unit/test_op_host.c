/* HOST, a plugin's function over tiles of rows, against plain loops; the same bits for any number
 * of threads, and in bfloat16 what float32 gives of the rounded operands. */
#include "support/op_check.h"

#include <string.h>

enum { ROWS = 1037, VALID = 1001, COLUMNS = 7 };

typedef struct {
    float *x, *w, *y, *sum;
    int32_t *labels;
    double *total;
} problem_t;

/* y = scale (x w + label) of rows that count; sum = the columns' sums of x w, total: of labels. */
static void compute(mb_host_tile_t *t)
{
    const float *x = t->reads[0], *w = t->reads[1];
    const int32_t *labels = t->reads[2];
    for (int64_t i = 0; i < t->rows; i++) {
        for (int64_t j = 0; j < COLUMNS; j++) {
            float product = x[i * COLUMNS + j] * w[j];
            t->writes[0][i * COLUMNS + j] =
                i < t->valid ? t->args->scale * (product + (float)labels[i]) : 0.0f;
            t->sums[0][j] += i < t->valid ? (double)product : 0.0;
        }
        t->total += i < t->valid ? labels[i] : 0;
    }
}

static problem_t make(op_t *op)
{
    problem_t p = {op_random(op, ROWS * COLUMNS, -1, 1),
                   op_random(op, COLUMNS, -1, 1),
                   op_floats(op, ROWS * COLUMNS),
                   op_floats(op, COLUMNS),
                   op_labels(op, ROWS, 5),
                   op_doubles(op, 1)};
    return p;
}

static mb_host_args_t args_of(const problem_t *p)
{
    return (mb_host_args_t){.function = compute,
                            .scale = 0.5f,
                            .rows = ROWS,
                            .valid = VALID,
                            .wide = 1 << 2,
                            .n_reads = 3,
                            .n_writes = 1,
                            .n_sums = 1,
                            .read_columns = {COLUMNS, 0, 1},
                            .write_columns = {COLUMNS},
                            .sum_columns = {COLUMNS},
                            .reads = {p->x, p->w, p->labels},
                            .writes = {p->y},
                            .sums = {p->sum},
                            .total = p->total};
}

static void check_values(const problem_t *p, int runs)
{
    double total = 0, sum[COLUMNS] = {0};
    for (int64_t i = 0; i < ROWS; i++) {
        for (int64_t j = 0; j < COLUMNS; j++) {
            float product = p->x[i * COLUMNS + j] * p->w[j];
            float y = i < VALID ? 0.5f * (product + (float)p->labels[i]) : 0.0f;
            ck_assert_msg(memcmp(&y, &p->y[i * COLUMNS + j], sizeof y) == 0, "row %d", (int)i);
            sum[j] += i < VALID ? (double)product : 0.0;
        }
        total += i < VALID ? p->labels[i] : 0;
    }
    ck_assert_double_eq(*p->total, total * runs); /* whole numbers */
    /* In double, then rounded once a run to float: of at most RUNS VALID in magnitude. */
    for (int j = 0; j < COLUMNS; j++)
        ck_assert_double_le(fabs((double)p->sum[j] - sum[j] * runs), runs * VALID * OP_EPSILON);
}

START_TEST(tiles_see_their_rows_and_sums_meet_in_order)
{
    op_t op;
    op_open(&op, 2, 5);
    problem_t p = make(&op);
    mb_host_args_t args = args_of(&p);
    OP_RUN(&op, HOST, &args);
    check_values(&p, 1);
    args.accumulate = true;
    OP_RUN(&op, HOST, &args);
    check_values(&p, 2);
    args.accumulate = false; /* sums are written; the total is always added to */
    OP_RUN(&op, HOST, &args);
    *p.total /= 3;
    check_values(&p, 1);
    op_close(&op);
}
END_TEST

START_TEST(threads_do_not_show)
{
    uint64_t digest = 0;
    for (int threads = 1; threads <= 4; threads++) {
        op_t op;
        op_open(&op, threads, 6);
        problem_t p = make(&op);
        mb_host_args_t args = args_of(&p);
        OP_RUN(&op, HOST, &args);
        digest = threads == 1 ? op_digest(&op) : digest;
        ck_assert_uint_eq(op_digest(&op), digest);
        op_close(&op);
    }
}
END_TEST

/* The function gets float32 and what it writes is rounded; weights, labels and sums are as they
 * are. */
START_TEST(narrow_operands_are_widened)
{
    op_t op;
    op_open_emulating(&op, 2, 7);
    problem_t p = make(&op);
    mb_host_args_t args = args_of(&p);
    uint16_t *x = op_memory(&op, sizeof *x * ROWS * COLUMNS);
    uint16_t *y = op_memory(&op, sizeof *y * ROWS * COLUMNS);
    for (int64_t i = 0; i < ROWS * COLUMNS; i++) {
        uint32_t bits;
        memcpy(&bits, &p.x[i], sizeof bits);
        x[i] = (uint16_t)(bits >> 16);
        bits &= 0xFFFF0000u;
        memcpy(&p.x[i], &bits, sizeof bits);
    }
    args.type = MB_BF16;
    args.reads[0] = x;
    args.writes[0] = y;
    OP_RUN(&op, HOST, &args);
    for (int64_t i = 0; i < VALID * COLUMNS; i++) {
        uint32_t bits = (uint32_t)y[i] << 16;
        float found, wanted = 0.5f * (p.x[i] * p.w[i % COLUMNS] + (float)p.labels[i / COLUMNS]);
        memcpy(&found, &bits, sizeof found);
        ck_assert_float_le(fabsf(found - wanted), fabsf(wanted) * 0x1p-8f);
    }
    op_close(&op);
}
END_TEST

START_TEST(rows_that_count_are_not_more_than_rows)
{
    op_t op;
    op_open(&op, 1, 8);
    problem_t p = make(&op);
    mb_host_args_t args = args_of(&p);
    args.valid = ROWS + 1;
    ck_assert_int_ne(op_try(&op, MB_OP_HOST, &args, sizeof args), MB_OK);
    op_close(&op);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("op_host");
    TCase *c = tcase_create("host");
    tcase_add_test(c, tiles_see_their_rows_and_sums_meet_in_order);
    tcase_add_test(c, threads_do_not_show);
    tcase_add_test(c, narrow_operands_are_widened);
    tcase_add_test(c, rows_that_count_are_not_more_than_rows);
    suite_add_tcase(suite, c);
    return op_main(suite);
}
