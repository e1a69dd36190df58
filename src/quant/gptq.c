/* GPTQ: rows are rounded in turn, and what each loses is made good in those that follow, as far as
 * the inputs' covariance H says that they stand for one another (Frantar et al., "GPTQ", ICLR
 * 2023), in the equivalent form of Chee et al., "QuIP", NeurIPS 2023, theorem 6: with the factor
 * H = (I + F)^T D (I + F), F strictly lower triangular, row r becomes
 *
 *     q_r = round(w_r + sum over j < r of F[r, j] (w_j - q_j))
 *
 * which needs no inverse of H. Turned around both axes, I + F is a Cholesky factor. The scales are
 * those of the smallest squared error, so that columns do not depend on each other and rows can be
 * taken in any order: those of the largest inputs come first. */
#include "quant/methods.h"

#include <math.h>
#include <stdlib.h>

/* Columns that are rounded together: their errors stay in the cache. */
enum { PANEL = 64, ATTEMPTS = 5 };

typedef struct {
    const mb_draft_t *draft;
    const float *values;
    int64_t rows, columns;
    int64_t *order; /* [rows]: of rows, in the order in which they are rounded */
    double *factor; /* [rows, rows]: F below the diagonal */
    double *errors; /* [rows, PANEL]: w - q, in that order */
} gptq_t;

typedef struct {
    float variance;
    int64_t row;
} place_t;

static int compare_places(const void *left, const void *right)
{
    const place_t *a = left, *b = right;
    if (a->variance != b->variance)
        return a->variance > b->variance ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* What rows of large inputs lose, all others can make good. */
static mb_status_t choose_order(const gptq_t *g, const float *covariance)
{
    size_t bytes = (size_t)g->rows * sizeof(place_t);
    place_t *places = malloc(bytes);
    if (places == NULL)
        return mb_error_memory("the order of rows", bytes);
    bool finite = true;
    for (int64_t r = 0; r < g->rows; r++) {
        places[r] = (place_t){covariance[r * g->rows + r], r};
        finite = finite && isfinite(places[r].variance);
    }
    if (finite)
        qsort(places, (size_t)g->rows, sizeof *places, compare_places);
    for (int64_t r = 0; r < g->rows; r++)
        g->order[r] = places[r].row;
    free(places);
    return finite ? MB_OK : mb_error_set(MB_ERR_NUMERIC, "the inputs' variances are not finite");
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

/* Columns [FIRST, FIRST + WIDTH). */
static void round_panel(const gptq_t *g, int64_t first, int64_t width)
{
    for (int64_t r = 0; r < g->rows; r++) {
        int64_t row = g->order[r];
        const float *values = g->values + row * g->columns + first;
        double *errors = g->errors + r * PANEL, wanted[PANEL] = {0.0};
        for (int64_t c = 0; c < width; c++)
            wanted[c] = (double)values[c];
        mb_rows_add(wanted, PANEL, g->factor + r * g->rows, r, g->errors, PANEL);
        for (int64_t c = 0; c < width; c++)
            errors[c] = (double)values[c] -
                        (double)mb_draft_put(g->draft, row, first + c, (float)wanted[c]);
    }
}

static mb_status_t make_room(gptq_t *g)
{
    size_t rows = (size_t)g->rows;
    g->order = malloc(rows * sizeof *g->order);
    g->factor = malloc(rows * rows * sizeof *g->factor);
    g->errors = calloc(rows * PANEL, sizeof *g->errors);
    if (g->order != NULL && g->factor != NULL && g->errors != NULL)
        return MB_OK;
    return mb_error_memory("error feedback", rows * (rows + PANEL) * sizeof(double));
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
    for (int64_t c = 0; c < g->columns; c += PANEL)
        round_panel(g, c, g->columns - c < PANEL ? g->columns - c : PANEL);
    MB_TRY(mb_draft_loss(g->draft, g->values, calibration, &loss));
    *better = loss < plain;
    return MB_OK;
}

mb_status_t mb_encode_gptq(const mb_draft_t *draft, const float *values,
                           const mb_calibration_t *calibration, mb_method_t *used)
{
    bool better = false;
    gptq_t g = {
        .draft = draft, .values = values, .rows = draft->m->rows, .columns = draft->m->columns};
    mb_status_t status = encode(&g, calibration, &better);
    *used = better ? MB_METHOD_GPTQ : MB_METHOD_MSE;
    if (!better && (status == MB_OK || status == MB_ERR_NUMERIC))
        status = mb_encode_scaled(draft, values, true);
    free(g.order);
    free(g.factor);
    free(g.errors);
    return status;
}
