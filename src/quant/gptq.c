/* GPTQ: rows are rounded in turn, and what each loses is made good in those that follow, as far as
 * the inputs' covariance H says that they stand for one another (Frantar et al., "GPTQ", ICLR
 * 2023), in the equivalent form of Chee et al., "QuIP", NeurIPS 2023, theorem 6: with the factor
 * H = (I + F)^T D (I + F), F strictly lower triangular, row r becomes
 *
 *     q_r = round(w_r + sum over j < r of F[r, j] (w_j - q_j))
 *
 * which needs no inverse of H. Turned around both axes, I + F is a Cholesky factor. */
#include "quant/methods.h"
#include "quant/scale.h"

#include <stdlib.h>

/* Rows that are rounded between two passes over the errors of earlier ones, where the format does
 * not say; a tile of those errors, which stays in the cache. */
enum { STEP = 64, TILE_ROWS = 64, TILE_COLUMNS = 128, ATTEMPTS = 5 };

typedef struct {
    const mb_draft_t *draft;
    const float *values;
    int64_t rows, columns;
    bool blocks;    /* several to a column; their scales follow the weights as they have become */
    int64_t step;   /* rows that are in WORK; of blocks, theirs */
    int64_t *order; /* [rows]: of rows, in the order in which they are rounded */
    double *factor; /* [rows, rows]: F below the diagonal */
    double *errors; /* [rows, columns]: w - q, in that order */
    double *work;   /* [step, columns]: weights with what earlier rows lost */
    float *current; /* the same as float */
} gptq_t;

typedef struct {
    double block, own; /* variances */
    int64_t row;
} place_t;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int descending(double a, double b)
{
    return a > b ? -1 : a < b;
}

static int compare_places(const void *left, const void *right)
{
    const place_t *a = left, *b = right;
    int order = descending(a->block, b->block);
    if (order == 0)
        order = descending(a->own, b->own);
    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

/* Rows of large inputs first: later ones can make good what they lose. Blocks stay together. */
static mb_status_t choose_order(const gptq_t *g, const float *covariance)
{
    size_t bytes = (size_t)g->rows * sizeof(place_t);
    place_t *places = malloc(bytes);
    if (places == NULL)
        return mb_error_memory("the order of rows", bytes);
    for (int64_t first = 0; first < g->rows; first += g->step) {
        int64_t end = smaller(first + g->step, g->rows);
        double block = 0.0;
        for (int64_t r = first; r < end; r++)
            block += (double)covariance[r * g->rows + r];
        for (int64_t r = first; r < end; r++)
            places[r] = (place_t){g->blocks ? block : 0.0, (double)covariance[r * g->rows + r], r};
    }
    qsort(places, (size_t)g->rows, sizeof *places, compare_places);
    for (int64_t r = 0; r < g->rows; r++)
        g->order[r] = places[r].row;
    free(places);
    return MB_OK;
}

/* Swaps (r, c) and (n - 1 - c, n - 1 - r) of the lower triangle: both axes turned around. */
static void turn_around(double *a, int64_t n)
{
    for (int64_t r = 0; r < n; r++) {
        for (int64_t c = 0; c <= r && r + c < n - 1; c++) {
            double *x = a + r * n + c, *y = a + (n - 1 - c) * n + n - 1 - r;
            double kept = *x;
            *x = *y;
            *y = kept;
        }
    }
}

/* The covariance in the order of rounding. An input that was always 0 gets a variance that is the
 * mean of the others: it hands on nothing, and its weights are rounded to the nearest. */
static void load_covariance(const gptq_t *g, const float *covariance, double mean, double damping)
{
    for (int64_t r = 0; r < g->rows; r++) {
        int64_t i = g->order[r];
        for (int64_t c = 0; c < r; c++) {
            int64_t j = g->order[c];
            g->factor[r * g->rows + c] =
                (double)(i > j ? covariance[i * g->rows + j] : covariance[j * g->rows + i]);
        }
        double own = (double)covariance[i * g->rows + i];
        g->factor[r * g->rows + r] = (own > 0.0 ? own : mean) + damping * mean;
    }
}

static double mean_variance(const float *covariance, int64_t rows)
{
    double sum = 0.0;
    int64_t live = 0;
    for (int64_t i = 0; i < rows; i++) {
        double own = (double)covariance[i * rows + i];
        sum += own;
        live += own > 0.0;
    }
    return live > 0 ? sum / (double)live : 1.0;
}

/* F, with as little damping as the covariance needs; 1 % is the paper's. */
static mb_status_t factor_covariance(const gptq_t *g, const float *covariance)
{
    double mean = mean_variance(covariance, g->rows), damping = 0.01;
    mb_status_t status = MB_ERR_NUMERIC;
    for (int attempt = 0; attempt < ATTEMPTS && status == MB_ERR_NUMERIC; attempt++) {
        load_covariance(g, covariance, mean, damping);
        turn_around(g->factor, g->rows);
        status = mb_cholesky(g->factor, g->rows);
        damping *= 10.0;
    }
    MB_TRY(status);
    turn_around(g->factor, g->rows);
    for (int64_t r = 0; r < g->rows; r++)
        for (int64_t c = 0; c < r; c++)
            g->factor[r * g->rows + c] /= g->factor[r * g->rows + r];
    return MB_OK;
}

/* WORK: the weights of COUNT rows, with what the rows before FIRST lost. */
static void load_rows(const gptq_t *g, int64_t first, int64_t count)
{
    for (int64_t r = 0; r < count; r++) {
        const float *row = g->values + g->order[first + r] * g->columns;
        for (int64_t c = 0; c < g->columns; c++)
            g->work[r * g->columns + c] = (double)row[c];
    }
    for (int64_t c = 0; c < g->columns; c += TILE_COLUMNS)
        for (int64_t j = 0; j < first; j += TILE_ROWS)
            for (int64_t r = 0; r < count; r++)
                mb_rows_add(g->work + r * g->columns + c, smaller(TILE_COLUMNS, g->columns - c),
                            g->factor + (first + r) * g->rows + j, smaller(TILE_ROWS, first - j),
                            g->errors + j * g->columns + c, g->columns);
}

/* Scales of the row of blocks that ROW is in, for COUNT rows of VALUES. */
static void choose_scales(const gptq_t *g, const float *values, int64_t row, int64_t count)
{
    const mb_matrix_t *m = g->draft->m;
    int64_t width = m->block_columns, all = count * g->columns;
    bool column = width == 1;
    for (int64_t c = 0; c < g->columns; c += width) {
        float scale = 0.0f;
        int zero = 0;
        mb_scale_choose_stored(m->number, m->scale_number, true, values + c, column ? count : all,
                               column ? g->columns : 1, &scale, &zero);
        mb_draft_set_scale(g->draft, row / m->block_rows, c / width, scale, zero);
    }
}

static void round_rows(const gptq_t *g, int64_t first, int64_t count)
{
    for (int64_t r = 0; r < count; r++) {
        double *work = g->work + r * g->columns, *errors = g->errors + (first + r) * g->columns;
        int64_t row = g->order[first + r];
        mb_rows_add(work, g->columns, g->factor + (first + r) * g->rows + first, r,
                    g->errors + first * g->columns, g->columns);
        for (int64_t c = 0; c < g->columns; c++) {
            float rounded = mb_draft_put(g->draft, row, c, (float)work[c]);
            errors[c] = (double)g->values[row * g->columns + c] - (double)rounded;
        }
    }
}

static void round_all(const gptq_t *g)
{
    if (!g->blocks)
        choose_scales(g, g->values, 0, g->rows);
    for (int64_t first = 0, count; first < g->rows; first += count) {
        int64_t block = g->blocks ? g->order[first] / g->step * g->step : first;
        count = smaller(g->step, g->rows - block);
        load_rows(g, first, count);
        for (int64_t i = 0; g->blocks && i < count * g->columns; i++)
            g->current[i] = (float)g->work[i];
        if (g->blocks)
            choose_scales(g, g->current, block, count);
        round_rows(g, first, count);
    }
}

static mb_status_t make_room(gptq_t *g)
{
    size_t rows = (size_t)g->rows, columns = (size_t)g->columns, step = (size_t)g->step;
    g->order = malloc(rows * sizeof *g->order);
    g->factor = malloc(rows * rows * sizeof *g->factor);
    g->errors = malloc(rows * columns * sizeof *g->errors);
    g->work = malloc(step * columns * sizeof *g->work);
    g->current = malloc(step * columns * sizeof *g->current);
    if (g->order != NULL && g->factor != NULL && g->errors != NULL && g->work != NULL &&
        g->current != NULL)
        return MB_OK;
    return mb_error_memory("error feedback", rows * (rows + columns) * sizeof(double));
}

/* Leaves the codes in the draft; BETTER says whether they lose less than MSE's would. */
static mb_status_t encode(gptq_t *g, const mb_calibration_t *calibration, bool *better)
{
    double plain = 0.0, loss = 0.0;
    MB_TRY(mb_encode_scaled(g->draft, g->values, true));
    MB_TRY(mb_draft_loss(g->draft, g->values, calibration, &plain));
    MB_TRY(make_room(g));
    MB_TRY(choose_order(g, calibration->covariance));
    MB_TRY(factor_covariance(g, calibration->covariance));
    round_all(g);
    MB_TRY(mb_draft_loss(g->draft, g->values, calibration, &loss));
    *better = loss < plain;
    return MB_OK;
}

mb_status_t mb_encode_gptq(const mb_draft_t *draft, const float *values,
                           const mb_calibration_t *calibration, mb_method_t *used)
{
    const mb_matrix_t *m = draft->m;
    bool blocks = m->block_rows < m->rows, better = false;
    gptq_t g = {.draft = draft,
                .values = values,
                .rows = m->rows,
                .columns = m->columns,
                .blocks = blocks,
                .step = blocks ? m->block_rows : STEP};
    mb_status_t status = encode(&g, calibration, &better);
    *used = better ? MB_METHOD_GPTQ : MB_METHOD_MSE;
    if (!better && (status == MB_OK || status == MB_ERR_NUMERIC))
        status = mb_encode_scaled(draft, values, true);
    free(g.order);
    free(g.factor);
    free(g.errors);
    free(g.work);
    free(g.current);
    return status;
}
