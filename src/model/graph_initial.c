/* Initial values of a parameter: Keras' distributions over Philox, each value a function of the
 * seed, the parameter's path and the element alone.
 *
 * The counter is { element, hash of the path (two words), element's high bits << 24 | attempt << 8
 * | purpose }. Normal deviates are Box and Muller's ("A note on the generation of random normal
 * deviates", 1958). */
#include "model/graph.h"

#include "base/philox.h"

#include <math.h>
#include <stdlib.h>

/* Keras divides by the deviation that a standard normal has after truncation to (-2, 2). */
#define TRUNCATED_DEVIATION 0.87962566103423978
#define PI 3.14159265358979323846

typedef struct {
    uint32_t key[2];
    uint32_t hash[2];
} stream_t;

static void draw(const stream_t *stream, int64_t counter, uint32_t attempt, uint32_t words[4])
{
    uint32_t high = (uint32_t)(counter >> 32);
    mb_philox((const uint32_t[4]){(uint32_t)(counter & 0xFFFFFFFF), stream->hash[0],
                                  stream->hash[1],
                                  high << 24 | attempt << 8 | (uint32_t)MB_RANDOM_INITIAL},
              stream->key, words);
}

/* Two independent standard normal deviates from two words. */
static void box_muller(const uint32_t words[2], double out[2])
{
    double radius = sqrt(-2.0 * log(mb_random_open_unit(words[0])));
    double angle = 2.0 * PI * mb_random_open_unit(words[1]);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

static void fill_constant(float value, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = value;
}

/* In float32, as Keras: (high - low) u + low. */
static void fill_uniform(const stream_t *stream, double low, double high, int64_t count, float *out)
{
    float from = (float)low, width = (float)(high - low);
    for (int64_t i = 0; i < count; i += 4) {
        uint32_t words[4];
        draw(stream, i / 4, 0, words);
        for (int64_t j = 0; j < 4 && i + j < count; j++)
            out[i + j] = width * mb_random_unit(words[j]) + from;
    }
}

static void fill_normal(const stream_t *stream, double mean, double deviation, int64_t count,
                        float *out)
{
    for (int64_t i = 0; i < count; i += 4) {
        uint32_t words[4];
        double normal[4];
        draw(stream, i / 4, 0, words);
        box_muller(words, normal);
        box_muller(words + 2, normal + 2);
        for (int64_t j = 0; j < 4 && i + j < count; j++)
            out[i + j] = (float)(mean + deviation * normal[j]);
    }
}

/* The first deviate inside (-2, 2): one word in 22 leaves it, four in a row one in 230000. */
static double truncated(const stream_t *stream, int64_t element)
{
    for (uint32_t attempt = 0; attempt < 0xFFFF; attempt++) {
        uint32_t words[4];
        double normal[4];
        draw(stream, element, attempt, words);
        box_muller(words, normal);
        box_muller(words + 2, normal + 2);
        for (int j = 0; j < 4; j++) {
            if (normal[j] > -2.0 && normal[j] < 2.0)
                return normal[j];
        }
    }
    return 0.0;
}

static void fill_truncated(const stream_t *stream, double mean, double deviation, int64_t count,
                           float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(mean + deviation * truncated(stream, i));
}

static double scaled_variance(const mb_param_t *param)
{
    const mb_initializer_t *initializer = &param->initializer;
    double in = (double)param->fan_in, out = (double)param->fan_out;
    double fan = initializer->mode == MB_FAN_IN    ? in
                 : initializer->mode == MB_FAN_OUT ? out
                                                   : (in + out) / 2.0;
    return initializer->scale / fmax(1.0, fan);
}

static void fill_scaled(const stream_t *stream, const mb_param_t *param, float *out)
{
    double variance = scaled_variance(param);
    double limit = sqrt(3.0 * variance);
    switch (param->initializer.distribution) {
    case MB_DIST_UNIFORM:
        fill_uniform(stream, -limit, limit, param->elements, out);
        break;
    case MB_DIST_NORMAL:
        fill_normal(stream, 0, sqrt(variance), param->elements, out);
        break;
    case MB_DIST_TRUNCATED:
        fill_truncated(stream, 0, sqrt(variance) / TRUNCATED_DEVIATION, param->elements, out);
        break;
    }
}

/* A diagonal of GAIN; a matrix, as Keras wants it. */
static mb_status_t fill_identity(const mb_param_t *param, float *out)
{
    if (param->shape.rank != 2)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "parameter '%s': the initializer Identity is for matrices",
                            param->path);
    fill_constant(0, param->elements, out);
    for (int64_t i = 0; i < param->shape.dim[0] && i < param->shape.dim[1]; i++)
        out[i * param->shape.dim[1] + i] = (float)param->initializer.a;
    return MB_OK;
}

/* Makes the columns of A [rows, columns], rows >= columns, orthogonal and of length one, by
 * Gram and Schmidt's method with each column reduced twice (Giraud, Langou, Rozloznik, 2005). The
 * signs are those of a QR decomposition with a positive diagonal, which makes normal deviates
 * uniform among such matrices (Mezzadri, "How to generate random matrices", 2007). */
static void orthogonalize(double *a, int64_t rows, int64_t columns)
{
    for (int64_t j = 0; j < columns; j++) {
        double *column = a + j * rows, square = 0.0;
        for (int64_t k = 0; k < 2 * j; k++) {
            const double *other = a + k % j * rows;
            double dot = 0.0;
            for (int64_t i = 0; i < rows; i++)
                dot += other[i] * column[i];
            for (int64_t i = 0; i < rows; i++)
                column[i] -= dot * other[i];
        }
        for (int64_t i = 0; i < rows; i++)
            square += column[i] * column[i];
        for (int64_t i = 0; i < rows; i++)
            column[i] /= sqrt(square);
    }
}

/* The longer side's vectors stand one after the other in A; the last axis is the matrix's columns.
 */
static mb_status_t fill_orthogonal(const stream_t *stream, const mb_param_t *param, float *out)
{
    int64_t columns = param->shape.dim[param->shape.rank - 1], rows = param->elements / columns;
    int64_t longer = rows > columns ? rows : columns, shorter = param->elements / longer;
    if (param->shape.rank < 2)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "parameter '%s': the initializer Orthogonal is for matrices",
                            param->path);
    double *a = malloc(sizeof(double) * (size_t)param->elements);
    if (a == NULL)
        return mb_error_memory("orthogonal values", sizeof(double) * (size_t)param->elements);
    fill_normal(stream, 0, 1, param->elements, out);
    for (int64_t i = 0; i < param->elements; i++)
        a[i] = (double)out[i];
    orthogonalize(a, longer, shorter);
    for (int64_t i = 0; i < param->elements; i++) {
        int64_t row = i / columns, column = i % columns;
        int64_t at = rows > columns ? column * rows + row : row * columns + column;
        out[i] = (float)(param->initializer.a * a[at]);
    }
    free(a);
    return MB_OK;
}

static mb_status_t fill(const mb_param_t *param, uint64_t seed, float *values)
{
    const mb_initializer_t *initializer = &param->initializer;
    uint64_t hash = mb_hash_name(param->path);
    stream_t stream = {.key = {(uint32_t)(seed & 0xFFFFFFFF), (uint32_t)(seed >> 32)},
                       .hash = {(uint32_t)(hash & 0xFFFFFFFF), (uint32_t)(hash >> 32)}};
    switch (initializer->kind) {
    case MB_INIT_ZEROS:
        fill_constant(0, param->elements, values);
        return MB_OK;
    case MB_INIT_ONES:
        fill_constant(1, param->elements, values);
        return MB_OK;
    case MB_INIT_CONSTANT:
        fill_constant((float)initializer->a, param->elements, values);
        return MB_OK;
    case MB_INIT_UNIFORM:
        fill_uniform(&stream, initializer->a, initializer->b, param->elements, values);
        return MB_OK;
    case MB_INIT_NORMAL:
        fill_normal(&stream, initializer->a, initializer->b, param->elements, values);
        return MB_OK;
    case MB_INIT_TRUNCATED_NORMAL:
        fill_truncated(&stream, initializer->a, initializer->b, param->elements, values);
        return MB_OK;
    case MB_INIT_VARIANCE_SCALING:
        fill_scaled(&stream, param, values);
        return MB_OK;
    case MB_INIT_ORTHOGONAL:
        return fill_orthogonal(&stream, param, values);
    case MB_INIT_IDENTITY:
        return fill_identity(param, values);
    }
    return mb_error_set(MB_ERR_INTERNAL, "parameter '%s': no such initializer (%d)", param->path,
                        (int)initializer->kind);
}

mb_status_t mb_param_initialize(const mb_param_t *param, uint64_t seed, float *values)
{
    const mb_initializer_t *initializer = &param->initializer;
    MB_TRY(fill(param, seed, values));
    for (int64_t i = initializer->ones_from; i < initializer->ones_to; i++)
        values[i] = 1.0f;
    return MB_OK;
}
