/* See layer_reference.h. Slow on purpose: each sum is written as its formula. */
#include "unit/layer_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t or_one(int64_t value)
{
    return value == 0 ? 1 : value;
}

/* Keras' definitions; ELU's alpha and relu's slope in p0. */
double reference_activate(const truth_t *t, double x)
{
    const char *name = t->activation == NULL ? "linear" : t->activation;
    if (strcmp(name, "relu") == 0)
        return x > 0 ? x : 0;
    if (strcmp(name, "relu_general") == 0)
        return x >= t->p1 ? t->p1 : x > t->p2 ? x : t->p0 * (x - t->p2);
    if (strcmp(name, "tanh") == 0)
        return tanh(x);
    if (strcmp(name, "sigmoid") == 0)
        return 1 / (1 + exp(-x));
    if (strcmp(name, "gelu") == 0)
        return x * 0.5 * (1 + erf(x * sqrt(0.5)));
    if (strcmp(name, "silu") == 0)
        return x / (1 + exp(-x));
    if (strcmp(name, "elu") == 0)
        return x > 0 ? x : t->p0 * expm1(x);
    if (strcmp(name, "selu") == 0)
        return 1.05070098735548049 * (x > 0 ? x : 1.67326324235437728 * expm1(x));
    if (strcmp(name, "softplus") == 0)
        return log1p(exp(x));
    if (strcmp(name, "softsign") == 0)
        return x / (1 + fabs(x));
    if (strcmp(name, "exponential") == 0)
        return exp(x);
    if (strcmp(name, "hard_sigmoid") == 0)
        return fmin(fmax(x / 6 + 0.5, 0), 1);
    if (strcmp(name, "sparse_sigmoid") == 0)
        return fmin(fmax(x / 2 + 0.5, 0), 1);
    if (strcmp(name, "hard_silu") == 0)
        return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    if (strcmp(name, "hard_tanh") == 0)
        return fmin(fmax(x, -1), 1);
    if (strcmp(name, "celu") == 0)
        return fmax(x, 0) + expm1(fmin(x, 0));
    if (strcmp(name, "squareplus") == 0)
        return (x + sqrt(x * x + 4)) / 2;
    if (strcmp(name, "sparse_plus") == 0)
        return x <= -1 ? 0 : x >= 1 ? x : (x + 1) * (x + 1) / 4;
    if (strcmp(name, "mish") == 0)
        return x * tanh(log1p(exp(x)));
    if (strcmp(name, "log_sigmoid") == 0)
        return -log1p(exp(-x));
    if (strcmp(name, "tanh_shrink") == 0)
        return x - tanh(x);
    if (strcmp(name, "soft_shrink") == 0)
        return x > 0.5 ? x - 0.5 : x < -0.5 ? x + 0.5 : 0;
    if (strcmp(name, "hard_shrink") == 0)
        return fabs(x) > 0.5 ? x : 0;
    if (strcmp(name, "thresholded_relu") == 0)
        return x > t->p0 ? x : 0;
    return x;
}

static void activate_rows(const truth_t *t, int64_t rows, int64_t columns, double *y)
{
    bool logarithm = t->activation != NULL && strcmp(t->activation, "log_softmax") == 0;
    bool softmax = logarithm || (t->activation != NULL && strcmp(t->activation, "softmax") == 0);
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < columns; j++) {
            double *v = &y[i * columns + j];
            *v = softmax ? exp(*v) : reference_activate(t, *v);
            sum += *v;
        }
        for (int64_t j = 0; softmax && j < columns; j++) {
            double *v = &y[i * columns + j];
            *v = logarithm ? log(*v / sum) : *v / sum;
        }
    }
}

static int64_t outputs_of(const layer_fixture_t *f)
{
    return f->samples * mb_shape_elements(&f->call->output);
}

void true_dense(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                double *y)
{
    int64_t width = mb_shape_columns(&f->call->inputs[0]);
    int64_t units = mb_shape_columns(&f->call->output);
    int64_t rows = outputs_of(f) / units;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < units; j++) {
            double sum = t->no_bias ? 0 : w[1][j];
            for (int64_t k = 0; k < width; k++)
                sum += x[0][i * width + k] * w[0][k * units + j];
            y[i * units + j] = sum;
        }
    }
    activate_rows(t, rows, units, y);
}

typedef struct {
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
    int64_t channels, filters;
} geometry_t;

static geometry_t geometry_of(const truth_t *t, const layer_fixture_t *f)
{
    geometry_t g = {.channels = mb_shape_columns(&f->call->inputs[0]),
                    .filters = mb_shape_columns(&f->call->output)};
    for (int i = 0; i < 2; i++) {
        int from = i + t->spatial - 2;
        g.in[i] = from < 0 ? 1 : f->call->inputs[0].dim[from];
        g.out[i] = from < 0 || f->call->output.rank <= from ? 1 : f->call->output.dim[from];
        g.kernel[i] = or_one(t->kernel[i]);
        g.stride[i] = or_one(t->stride[i]);
        g.dilation[i] = or_one(t->dilation[i]);
        int64_t extent = (g.kernel[i] - 1) * g.dilation[i] + 1;
        int64_t total = (g.out[i] - 1) * g.stride[i] + extent - g.in[i];
        g.pad[i] = t->padding == TRUE_VALID || total < 0 ? 0 : total / 2;
        if (t->padding == TRUE_CAUSAL)
            g.pad[i] = extent - 1;
    }
    return g;
}

/* Where tap (a, b) of output (i, j) of a sample reads; negative outside of the input. */
static int64_t source_of(const geometry_t *g, int64_t i, int64_t j, int64_t a, int64_t b)
{
    int64_t row = i * g->stride[0] - g->pad[0] + a * g->dilation[0];
    int64_t column = j * g->stride[1] - g->pad[1] + b * g->dilation[1];
    if (row < 0 || row >= g->in[0] || column < 0 || column >= g->in[1])
        return -1;
    return row * g->in[1] + column;
}

static double conv_at(const geometry_t *g, const truth_t *t, const double *x, const double *w,
                      int64_t i, int64_t j, int64_t o)
{
    int64_t depth = g->channels / or_one(t->groups);
    int64_t first = o / (g->filters / or_one(t->groups)) * depth;
    double sum = 0;
    for (int64_t a = 0; a < g->kernel[0]; a++) {
        for (int64_t b = 0; b < g->kernel[1]; b++) {
            int64_t source = source_of(g, i, j, a, b);
            for (int64_t c = 0; source >= 0 && c < depth; c++)
                sum += x[source * g->channels + first + c] *
                       w[((a * g->kernel[1] + b) * depth + c) * g->filters + o];
        }
    }
    return sum;
}

void true_conv(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
               double *y)
{
    geometry_t g = geometry_of(t, f);
    int64_t at = 0;
    for (int64_t s = 0; s < f->samples; s++) {
        const double *image = x[0] + s * g.in[0] * g.in[1] * g.channels;
        for (int64_t i = 0; i < g.out[0]; i++)
            for (int64_t j = 0; j < g.out[1]; j++)
                for (int64_t o = 0; o < g.filters; o++)
                    y[at++] = conv_at(&g, t, image, w[0], i, j, o) + (t->no_bias ? 0 : w[1][o]);
    }
    activate_rows(t, at / g.filters, g.filters, y);
}

static double pool_at(const geometry_t *g, bool average, const double *x, int64_t i, int64_t j,
                      int64_t c)
{
    double sum = 0, largest = -INFINITY;
    int64_t count = 0;
    for (int64_t a = 0; a < g->kernel[0]; a++) {
        for (int64_t b = 0; b < g->kernel[1]; b++) {
            int64_t source = source_of(g, i, j, a, b);
            if (source < 0)
                continue;
            sum += x[source * g->channels + c];
            largest = fmax(largest, x[source * g->channels + c]);
            count++;
        }
    }
    return average ? sum / (double)count : largest;
}

void true_pool(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
               double *y)
{
    (void)w;
    geometry_t g = geometry_of(t, f);
    for (int64_t s = 0; s < f->samples; s++) {
        const double *image = x[0] + s * g.in[0] * g.in[1] * g.channels;
        for (int64_t i = 0; i < g.out[0]; i++)
            for (int64_t j = 0; j < g.out[1]; j++)
                for (int64_t c = 0; c < g.channels; c++)
                    *y++ = pool_at(&g, t->average, image, i, j, c);
    }
}

void true_global_pool(const truth_t *t, const layer_fixture_t *f, double *const *x,
                      double *const *w, double *y)
{
    (void)w;
    int64_t channels = mb_shape_columns(&f->call->inputs[0]);
    int64_t positions = mb_shape_rows(&f->call->inputs[0]);
    for (int64_t i = 0; i < f->samples * channels; i++) {
        const double *sample = x[0] + i / channels * positions * channels + i % channels;
        double sum = 0, largest = -INFINITY;
        for (int64_t p = 0; p < positions; p++) {
            sum += sample[p * channels];
            largest = fmax(largest, sample[p * channels]);
        }
        y[i] = t->average ? sum / (double)positions : largest;
    }
}

void true_activation(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                     double *y)
{
    (void)w;
    int64_t columns = mb_shape_columns(&f->call->output);
    memcpy(y, x[0], (size_t)outputs_of(f) * sizeof(*y));
    activate_rows(t, outputs_of(f) / columns, columns, y);
}

void true_add(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
              double *y)
{
    (void)t;
    (void)w;
    for (int64_t i = 0; i < outputs_of(f); i++) {
        y[i] = 0;
        for (int k = 0; k < f->call->n_inputs; k++)
            y[i] += x[k][i];
    }
}

void true_multiply(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                   double *y)
{
    (void)t;
    (void)w;
    for (int64_t i = 0; i < outputs_of(f); i++) {
        y[i] = 1;
        for (int k = 0; k < f->call->n_inputs; k++)
            y[i] *= x[k][i];
    }
}

void true_concatenate(const truth_t *t, const layer_fixture_t *f, double *const *x,
                      double *const *w, double *y)
{
    (void)w;
    int64_t rows = f->samples;
    for (int d = 0; d < t->axis; d++)
        rows *= f->call->output.dim[d];
    for (int64_t i = 0; i < rows; i++) {
        for (int k = 0; k < f->call->n_inputs; k++) {
            int64_t columns = layer_input_elements(f, k) / rows;
            for (int64_t j = 0; j < columns; j++)
                *y++ = x[k][i * columns + j];
        }
    }
}

void true_cropping(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                   double *y)
{
    (void)w;
    int64_t length = f->call->inputs[0].dim[0], width = f->call->inputs[0].dim[1];
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t p = t->front; p < length - t->back; p++)
            for (int64_t c = 0; c < width; c++)
                *y++ = x[0][(s * length + p) * width + c];
}

double reference_keep(const layer_fixture_t *f, uint32_t purpose, double rate, int64_t sample,
                      int64_t element)
{
    mb_random_key_t key = f->random;
    key.purpose = purpose;
    float number = mb_random_unit(mb_random_word(&key, (uint32_t)sample, (uint32_t)element));
    return number >= (float)rate ? 1 / (1 - (double)(float)rate) : 0;
}

void true_dropout(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                  double *y)
{
    (void)w;
    int64_t elements = mb_shape_elements(&f->call->output);
    for (int64_t i = 0; i < f->samples * elements; i++)
        y[i] =
            x[0][i] * reference_keep(f, MB_RANDOM_DROPOUT, t->dropout, i / elements, i % elements);
}

void true_batchnorm(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                    double *y)
{
    int64_t channels = mb_shape_columns(&f->call->output);
    int64_t rows = outputs_of(f) / channels, valid = rows / f->samples * f->valid;
    int beta = t->no_scale ? 0 : 1, moving = beta + (t->no_center ? 0 : 1);
    for (int64_t c = 0; c < channels; c++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < valid; i++)
            mean += x[0][i * channels + c] / (double)valid;
        for (int64_t i = 0; i < valid; i++)
            variance += pow(x[0][i * channels + c] - mean, 2) / (double)valid;
        if (t->frozen) {
            mean = w[moving][c];
            variance = w[moving + 1][c];
        }
        for (int64_t i = 0; i < rows; i++) {
            double normal = (x[0][i * channels + c] - mean) / sqrt(variance + t->epsilon);
            y[i * channels + c] =
                normal * (t->no_scale ? 1 : w[0][c]) + (t->no_center ? 0 : w[beta][c]);
        }
    }
}

void true_layernorm(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                    double *y)
{
    int64_t width = mb_shape_columns(&f->call->output);
    for (int64_t i = 0; i < outputs_of(f) / width; i++) {
        const double *row = x[0] + i * width;
        double mean = 0, variance = 0;
        for (int64_t j = 0; j < width; j++)
            mean += row[j] / (double)width;
        for (int64_t j = 0; j < width; j++)
            variance += pow(row[j] - mean, 2) / (double)width;
        for (int64_t j = 0; j < width; j++)
            *y++ = (row[j] - mean) / sqrt(variance + t->epsilon) * (t->no_scale ? 1 : w[0][j]) +
                   (t->no_center ? 0 : w[t->no_scale ? 0 : 1][j]);
    }
}

void true_embedding(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                    double *y)
{
    (void)t;
    int64_t width = mb_shape_columns(&f->call->output);
    for (int64_t i = 0; i < outputs_of(f); i++)
        y[i] = w[0][(int64_t)x[0][i / width] * width + i % width];
}

/* [rows, width] times [width, columns] plus a bias, in new memory. */
static double *project(const double *x, const double *w, const double *bias, int64_t rows,
                       int64_t width, int64_t columns)
{
    double *y = calloc((size_t)(rows * columns), sizeof(*y));
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            y[i * columns + j] = bias == NULL ? 0 : bias[j];
            for (int64_t k = 0; k < width; k++)
                y[i * columns + j] += x[i * width + k] * w[k * columns + j];
        }
    }
    return y;
}

typedef struct {
    const truth_t *t;
    const layer_fixture_t *f;
    int64_t tq, tk;
    const double *q, *k, *v;
    double *context;
} heads_t;

/* One query of one head of one sample. */
static void attend(const heads_t *h, int64_t sample, int64_t head, int64_t i)
{
    const truth_t *t = h->t;
    int64_t keys = t->causal && i + 1 < h->tk ? i + 1 : h->tk;
    double *p = calloc((size_t)keys, sizeof(*p)), sum = 0;
    const double *q = h->q + ((sample * h->tq + i) * t->heads + head) * t->key_dim;
    for (int64_t j = 0; j < keys; j++) {
        const double *k = h->k + ((sample * h->tk + j) * t->heads + head) * t->key_dim;
        double score = 0;
        for (int64_t d = 0; d < t->key_dim; d++)
            score += q[d] * k[d] / sqrt((double)t->key_dim);
        p[j] = exp(score);
        sum += p[j];
    }
    double *out = h->context + ((sample * h->tq + i) * t->heads + head) * t->value_dim;
    for (int64_t j = 0; j < keys; j++) {
        const double *v = h->v + ((sample * h->tk + j) * t->heads + head) * t->value_dim;
        double weight = p[j] / sum;
        if (t->dropout > 0)
            weight *= reference_keep(h->f, MB_RANDOM_ATTENTION_DROPOUT, t->dropout, sample,
                                     (head * h->tq + i) * h->tk + j);
        for (int64_t d = 0; d < t->value_dim; d++)
            out[d] += weight * v[d];
    }
    free(p);
}

void true_attention(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                    double *y)
{
    const mb_call_t *call = f->call;
    int step = t->no_bias ? 1 : 2, key_input = call->n_inputs - 1;
    int64_t tq = call->inputs[0].dim[0], tk = call->inputs[1].dim[0], s = f->samples;
    int64_t out = call->output.dim[1], keys = t->heads * t->key_dim,
            values = t->heads * t->value_dim;
#define BIAS(i) (t->no_bias ? NULL : w[2 * (i) + 1])
    double *q = project(x[0], w[0], BIAS(0), s * tq, call->inputs[0].dim[1], keys);
    double *k =
        project(x[key_input], w[step], BIAS(1), s * tk, call->inputs[key_input].dim[1], keys);
    double *v = project(x[1], w[2 * step], BIAS(2), s * tk, call->inputs[1].dim[1], values);
    double *context = calloc((size_t)(s * tq * values), sizeof(*context));
    heads_t heads = {t, f, tq, tk, q, k, v, context};
    for (int64_t i = 0; i < s * t->heads * tq; i++)
        attend(&heads, i / (t->heads * tq), i / tq % t->heads, i % tq);
    double *result = project(context, w[3 * step], BIAS(3), s * tq, values, out);
#undef BIAS
    memcpy(y, result, (size_t)(s * tq * out) * sizeof(*y));
    free(q);
    free(k);
    free(v);
    free(context);
    free(result);
}

enum { MOST_STATES = 256 };

/* One direction of a recurrent layer at one sample. */
typedef struct {
    const truth_t *t;
    const layer_fixture_t *f;
    int64_t width, steps, sample, gates;
    int direction;
    const double *x; /* of the sample */
    double *const *w;
    const double *h;         /* before the step */
    const double *before[2]; /* the first; NULL: zero */
} cell_t;

static double dropped_input(const cell_t *c, int64_t position, int64_t gate, int64_t k)
{
    uint32_t purpose =
        (uint32_t)(MB_RANDOM_RECURRENT_INPUT + 4 * c->direction + (c->t->apart ? gate : 0));
    double factor =
        c->t->dropout > 0 ? reference_keep(c->f, purpose, c->t->dropout, c->sample, k) : 1;
    return c->x[position * c->width + k] * factor;
}

static double dropped_state(const cell_t *c, int64_t gate, int64_t k)
{
    const truth_t *t = c->t;
    uint32_t purpose = (uint32_t)(MB_RANDOM_RECURRENT_STATE + 4 * c->direction);
    double factor = t->recurrent_dropout > 0 ? reference_keep(c->f, purpose, t->recurrent_dropout,
                                                              c->sample, gate * t->units + k)
                                             : 1;
    return c->h[k] * factor;
}

static double from_input(const cell_t *c, int64_t position, int64_t gate, int64_t j)
{
    int64_t column = gate * c->t->units + j;
    double sum = c->t->no_bias ? 0 : c->w[2][column];
    for (int64_t k = 0; k < c->width; k++)
        sum += dropped_input(c, position, gate, k) * c->w[0][k * c->gates * c->t->units + column];
    return sum;
}

/* FACTOR: by which the states are multiplied first. */
static double from_states(const cell_t *c, int64_t gate, int64_t j, const double *factor)
{
    int64_t columns = c->gates * c->t->units, column = gate * c->t->units + j;
    bool has_bias = c->t->cell == MB_CELL_GRU && !c->t->no_bias;
    double sum = has_bias ? c->w[2][columns + column] : 0;
    for (int64_t k = 0; k < c->t->units; k++)
        sum += dropped_state(c, gate, k) * (factor == NULL ? 1 : factor[k]) *
               c->w[1][k * columns + column];
    return sum;
}

static double whole(const cell_t *c, int64_t position, int64_t gate, int64_t j)
{
    return from_input(c, position, gate, j) + from_states(c, gate, j, NULL);
}

static double gate_value(const cell_t *c, int64_t position, int64_t gate, int64_t j)
{
    truth_t of_gate = {.activation = c->t->gate};
    return reference_activate(&of_gate, whole(c, position, gate, j));
}

static double lstm_state(const cell_t *c, int64_t p, int64_t j, double *carry)
{
    double candidate = reference_activate(c->t, whole(c, p, 2, j));
    *carry = gate_value(c, p, 1, j) * *carry + gate_value(c, p, 0, j) * candidate;
    return gate_value(c, p, 3, j) * reference_activate(c->t, *carry);
}

static double gru_state(const cell_t *c, int64_t p, int64_t j)
{
    double reset[16], update = gate_value(c, p, 0, j);
    for (int64_t k = 0; k < c->t->units; k++)
        reset[k] = gate_value(c, p, 1, k);
    double inner = c->t->cell == MB_CELL_GRU ? reset[j] * from_states(c, 2, j, NULL)
                                             : from_states(c, 2, j, reset);
    double candidate = reference_activate(c->t, from_input(c, p, 2, j) + inner);
    return update * c->h[j] + (1 - update) * candidate;
}

static bool goes_backwards(const cell_t *c)
{
    return c->t->backwards != (c->direction % 4 == 1);
}

/* Writes the states of all steps, and what is left of them behind the last. */
static void run_cell(cell_t c, double *states, double last[2][16])
{
    double *h = last[0], *carry = last[1];
    for (int i = 0; i < 2; i++) {
        memset(last[i], 0, sizeof(double) * 16);
        if (c.before[i] != NULL)
            memcpy(last[i], c.before[i], sizeof(double) * (size_t)c.t->units);
    }
    bool backwards = goes_backwards(&c);
    for (int64_t step = 0; step < c.steps; step++) {
        int64_t p = backwards ? c.steps - 1 - step : step;
        double *after = states + step * c.t->units;
        c.h = h;
        for (int64_t j = 0; j < c.t->units; j++)
            after[j] = c.t->cell == MB_CELL_SIMPLE ? reference_activate(c.t, whole(&c, p, 0, j))
                       : c.t->cell == MB_CELL_LSTM ? lstm_state(&c, p, j, &carry[j])
                                                   : gru_state(&c, p, j);
        memcpy(h, after, sizeof(double) * (size_t)c.t->units);
    }
}

static double merged(const char *merge, double one, double two)
{
    if (strcmp(merge, "sum") == 0)
        return one + two;
    return strcmp(merge, "mul") == 0 ? one * two : (one + two) / 2;
}

/* Element J of the output's row ROW, with the second direction's steps turned round; of the last
 * step of both where ROW is negative. */
static double merged_state(const truth_t *t, double states[2][MOST_STATES], int64_t steps,
                           int64_t row, int64_t j)
{
    int64_t first = row < 0 ? steps - 1 : row, second = steps - 1 - (row < 0 ? 0 : row);
    double one = states[0][first * t->units + j % t->units];
    if (t->merge == NULL)
        return one;
    double two = states[1][second * t->units + j % t->units];
    if (strcmp(t->merge, "concat") == 0)
        return j < t->units ? one : two;
    return merged(t->merge, one, two);
}

void true_recurrent(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                    double *y)
{
    const mb_call_t *call = f->call;
    int64_t steps = call->inputs[0].dim[0], width = call->inputs[0].dim[1];
    bool sequences = t->states ? t->sequences : call->output.rank > 1;
    int64_t columns = t->units * (t->merge != NULL && strcmp(t->merge, "concat") == 0 ? 2 : 1);
    int64_t rows = sequences ? steps : 1, directions = t->merge == NULL ? 1 : 2;
    int n_states = t->cell == MB_CELL_LSTM ? 2 : 1;
    double states[2][MOST_STATES], last[2][2][16];
    for (int64_t s = 0; s < f->samples; s++) {
        for (int d = 0; d < directions; d++) {
            cell_t c = {t,
                        f,
                        width,
                        steps,
                        s,
                        mb_rnn_gates(t->cell),
                        d,
                        x[0] + s * steps * width,
                        w + d * (t->no_bias ? 2 : 3),
                        NULL,
                        {NULL, NULL}};
            for (int i = 0; i < n_states && call->n_inputs > 1; i++)
                c.before[i] = x[1 + d * n_states + i] + s * t->units;
            run_cell(c, states[d], last[d]);
        }
        for (int64_t i = 0; i < rows * columns; i++)
            *y++ = merged_state(t, states, steps, sequences ? i / columns : -1, i % columns);
        for (int64_t i = 0; i < directions * n_states && t->states; i++)
            for (int64_t j = 0; j < t->units; j++)
                *y++ = last[i / n_states][i % n_states][j];
    }
}

/* Two cells, the second with numbers of its own. */
static void run_pair(cell_t c, double *states)
{
    int64_t steps = c.steps, units = c.t->units;
    double given[MOST_STATES], by_position[MOST_STATES], last[2][16];
    run_cell(c, given, last);
    for (int64_t step = 0; step < steps; step++)
        memcpy(by_position + (goes_backwards(&c) ? steps - 1 - step : step) * units,
               given + step * units, sizeof(double) * (size_t)units);
    c.x = by_position;
    c.width = units;
    c.w += c.t->no_bias ? 2 : 3;
    c.direction += 4;
    run_cell(c, states, last);
}

void true_stack(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                double *y)
{
    const mb_shape_t *in = &f->call->inputs[0];
    int64_t steps = in->dim[0], width = in->dim[1];
    int64_t columns = t->units * (t->merge != NULL && strcmp(t->merge, "concat") == 0 ? 2 : 1);
    double states[2][MOST_STATES];
    for (int64_t s = 0; s < f->samples; s++) {
        for (int d = 0; d < (t->merge == NULL ? 1 : 2); d++) {
            cell_t c = {
                .t = t, .f = f, .width = width, .steps = steps, .sample = s, .direction = d};
            c.gates = mb_rnn_gates(t->cell);
            c.x = x[0] + s * steps * width;
            c.w = w + d * 2 * (t->no_bias ? 2 : 3);
            run_pair(c, states[d]);
        }
        for (int64_t i = 0; i < (t->sequences ? steps : 1) * columns; i++)
            *y++ = merged_state(t, states, steps, t->sequences ? i / columns : -1, i % columns);
    }
}
