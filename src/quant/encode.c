/* mb_encode: makes the memory for a layout, lets a method fill it, measures what came out. */
#include "quant/encode.h"

#include "base/crc32c.h"
#include "quant/deflate.h"
#include "quant/measure.h"
#include "quant/methods.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_ZEROS = 0, OWN_SUMS, OWN_FLOATS };

static const char *const method_names[MB_METHOD_COUNT] = {"nearest", "mse", "gptq", "awq"};

mb_status_t mb_method_parse(const char *text, mb_method_t *out)
{
    for (int i = 0; i < MB_METHOD_COUNT; i++)
        if (strcmp(text, method_names[i]) == 0) {
            *out = (mb_method_t)i;
            return MB_OK;
        }
    return mb_error_set(MB_ERR_ARGUMENT, "method '%s': there are nearest, mse, gptq and awq", text);
}

const char *mb_method_name(mb_method_t method)
{
    return (unsigned)method < MB_METHOD_COUNT ? method_names[method] : "?";
}

/* What encoding one tensor works with. */
typedef struct {
    const mb_format_t *format;
    const mb_view_t *view;
    const float *values;
    int64_t count;
    const char *where;
} source_t;

static mb_status_t refuse_at(const source_t *s, int64_t at, const char *cause)
{
    return mb_error_set(MB_ERR_NUMERIC, "%s: element %lld (row %lld, column %lld) is %.9g: %s",
                        s->where, (long long)at, (long long)(at / s->view->columns),
                        (long long)(at % s->view->columns), (double)s->values[at], cause);
}

static int64_t first_not_finite(const float *values, int64_t count)
{
    for (int64_t first = 0; first < count; first += 1024) {
        int64_t end = first + 1024 < count ? first + 1024 : count;
        int bad = 0;
        for (int64_t i = first; i < end; i++)
            bad |= !isfinite(values[i]);
        for (int64_t i = first; bad && i < end; i++)
            if (!isfinite(values[i]))
                return i;
    }
    return -1;
}

static mb_status_t check_finite(const source_t *s)
{
    int64_t at = first_not_finite(s->values, s->count);
    if (at < 0)
        return MB_OK;
    return refuse_at(s, at,
                     "only finite weights can be quantized; use a checkpoint from before the "
                     "training left the finite numbers");
}

/* E3M4 at its smallest bias, since that holds the largest numbers. */
static mb_status_t check_range(const source_t *s)
{
    mb_number_t number = s->format->number;
    if (number != MB_NUMBER_F16 && number != MB_NUMBER_BF16 && number != MB_NUMBER_E3M4)
        return MB_OK;
    float limit =
        number == MB_NUMBER_F16 ? 65520.0f : (number == MB_NUMBER_E3M4 ? 63.0f : 0x1.ffp127f);
    for (int64_t i = 0; i < s->count; i++) {
        if (fabsf(s->values[i]) < limit)
            continue;
        if (number == MB_NUMBER_F16)
            return refuse_at(s, i, "fp16 holds numbers up to 65504; bf16, int8 or fp32 will do");
        if (number == MB_NUMBER_BF16)
            return refuse_at(s, i, "bf16 holds numbers up to 3.39e38; fp32 will do");
        return refuse_at(s, i, "e3m4 holds numbers up to 62; fp16, bf16 or int8 will do");
    }
    return MB_OK;
}

static bool has_scales(const mb_format_t *format)
{
    return format->grain != MB_GRAIN_NONE;
}

static mb_method_t method_for(const source_t *s, mb_method_t method,
                              const mb_calibration_t *calibration)
{
    if (!has_scales(s->format) && s->format->number != MB_NUMBER_E3M4)
        return MB_METHOD_NEAREST;
    bool by_inputs = method == MB_METHOD_GPTQ || method == MB_METHOD_AWQ;
    bool calibrated = calibration != NULL && calibration->count > 0 &&
                      calibration->covariance != NULL && !s->view->lookup;
    return by_inputs && !(calibrated && has_scales(s->format)) ? MB_METHOD_MSE : method;
}

static mb_status_t take_memory(int64_t bytes, void **out)
{
    *out = bytes > 0 ? calloc((size_t)bytes, 1) : NULL;
    return bytes > 0 && *out == NULL ? mb_error_memory("a quantized tensor", (size_t)bytes) : MB_OK;
}

static int64_t packed_zeros(const mb_matrix_t *m)
{
    return m->has_zeros ? mb_matrix_scale_rows(m) * ((mb_matrix_scale_columns(m) + 1) / 2) : 0;
}

static void pack_zeros(const mb_matrix_t *m, const uint8_t *zeros, uint8_t *packed)
{
    int64_t rows = mb_matrix_scale_rows(m), columns = mb_matrix_scale_columns(m);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            packed[r * ((columns + 1) / 2) + c / 2] |=
                (uint8_t)(zeros[r * columns + c] << (c % 2 * 4));
}

static mb_status_t make_parts(mb_encoded_t *e)
{
    mb_encoding_t *encoding = &e->encoding;
    const mb_matrix_t *m = &encoding->layout;
    encoding->bytes[MB_PART_VALUES] = mb_matrix_value_bytes(m);
    encoding->bytes[MB_PART_SCALES] = mb_matrix_scale_bytes(m);
    encoding->bytes[MB_PART_ZEROS] = packed_zeros(m);
    encoding->bytes[MB_PART_ROW_SCALES] = m->has_row_scales ? m->rows * (int64_t)sizeof(float) : 0;
    for (int part = 0; part < MB_PART_COUNT; part++)
        MB_TRY(take_memory(encoding->bytes[part], &e->parts[part]));
    if (m->has_zeros)
        MB_TRY(take_memory(mb_matrix_scales(m), &e->own[OWN_ZEROS]));
    float *row_scales = e->parts[MB_PART_ROW_SCALES];
    for (int64_t r = 0; row_scales != NULL && r < m->rows; r++)
        row_scales[r] = 1.0f;
    return MB_OK;
}

/* Points the matrix at what is there, and sums columns. */
static mb_status_t attach(mb_encoded_t *e)
{
    mb_matrix_t *m = &e->matrix;
    *m = e->encoding.layout;
    m->values = e->own[OWN_FLOATS] != NULL ? e->own[OWN_FLOATS] : e->parts[MB_PART_VALUES];
    m->scales = e->parts[MB_PART_SCALES];
    m->zeros = e->own[OWN_ZEROS];
    m->row_scales = e->parts[MB_PART_ROW_SCALES];
    if (!m->has_column_sums)
        return MB_OK;
    MB_TRY(take_memory(m->columns * (int64_t)sizeof(int32_t), &e->own[OWN_SUMS]));
    mb_matrix_sum_columns(m->values, m->rows, m->columns, e->own[OWN_SUMS]);
    m->column_sums = e->own[OWN_SUMS];
    return MB_OK;
}

static mb_status_t fill(const source_t *s, const mb_calibration_t *calibration, mb_encoded_t *e)
{
    mb_method_t method = e->encoding.method;
    mb_matrix_t m = e->encoding.layout;
    m.values = e->parts[MB_PART_VALUES];
    m.scales = e->parts[MB_PART_SCALES];
    m.zeros = e->own[OWN_ZEROS];
    m.row_scales = e->parts[MB_PART_ROW_SCALES];
    const mb_draft_t draft = {&m,
                              e->parts[MB_PART_VALUES],
                              e->parts[MB_PART_SCALES],
                              e->own[OWN_ZEROS],
                              e->parts[MB_PART_ROW_SCALES],
                              s->view};
    mb_status_t status;
    if (method == MB_METHOD_GPTQ)
        status = mb_encode_gptq(&draft, s->values, calibration, &e->encoding.method);
    else if (method == MB_METHOD_AWQ)
        status = mb_encode_awq(&draft, s->values, calibration, &e->encoding.method);
    else if (has_scales(s->format))
        status = mb_encode_scaled(&draft, s->values, method == MB_METHOD_MSE);
    else
        status = mb_encode_floats(&draft, s->values, method == MB_METHOD_MSE);
    MB_TRY(status);

    e->encoding.layout.bias = m.bias;
    e->encoding.layout.has_row_scales = m.has_row_scales;
    if (!m.has_row_scales) {
        free(e->parts[MB_PART_ROW_SCALES]);
        e->parts[MB_PART_ROW_SCALES] = NULL;
        e->encoding.bytes[MB_PART_ROW_SCALES] = 0;
    }
    if (m.has_zeros)
        pack_zeros(&m, m.zeros, e->parts[MB_PART_ZEROS]);
    return MB_OK;
}

/* Rounds to the kept mantissa bits, and deflates. */
static mb_status_t fill_rounded(const source_t *s, mb_encoded_t *e)
{
    int64_t bytes = s->count * (int64_t)sizeof(float);
    MB_TRY(take_memory(bytes, &e->own[OWN_FLOATS]));
    mb_number_cut(s->format->kept_bits, s->values, s->count, e->own[OWN_FLOATS]);
    int64_t at = first_not_finite(e->own[OWN_FLOATS], s->count);
    if (at >= 0)
        return refuse_at(s, at, "rounded, it is past the largest float32; fp32 will do");
    return mb_deflate(e->own[OWN_FLOATS], s->count, s->where, &e->parts[MB_PART_VALUES],
                      &e->encoding.bytes[MB_PART_VALUES]);
}

/* Decodes some rows at a time, so that no second copy of the tensor is made. */
static mb_status_t measure(const source_t *s, mb_encoded_t *e)
{
    const int64_t wanted = 1 << 16;
    int64_t columns = s->view->columns, rows = columns > 0 ? wanted / columns + 1 : 1;
    void *decoded;
    MB_TRY(take_memory((rows < s->view->rows ? rows : s->view->rows) * columns *
                           (int64_t)sizeof(float),
                       &decoded));
    mb_error_sums_t sums = {0, 0, 0, 0, 0};
    for (int64_t r = 0; r < s->view->rows && decoded != NULL; r += rows) {
        int64_t rest = s->view->rows - r, n = rows < rest ? rows : rest;
        mb_matrix_decode_rows(&e->matrix, r, n, decoded);
        mb_error_sums_add(&sums, s->values + r * columns, decoded, n * columns);
    }
    mb_error_sums_finish(&sums, &e->encoding.loss);
    free(decoded);
    if (isfinite(e->encoding.loss.rmse))
        return MB_OK;
    return mb_error_set(MB_ERR_NUMERIC,
                        "%s: weights this large, once rounded, are past the largest float32; fp32 "
                        "will do",
                        s->where);
}

static mb_status_t encode(const source_t *s, const mb_calibration_t *calibration, mb_encoded_t *e)
{
    MB_TRY(check_finite(s));
    MB_TRY(check_range(s));
    if (s->format->kept_bits > 0) {
        MB_TRY(fill_rounded(s, e));
    } else {
        MB_TRY(make_parts(e));
        MB_TRY(fill(s, calibration, e));
    }
    MB_TRY(attach(e));
    MB_TRY(measure(s, e));
    for (int part = 0; part < MB_PART_COUNT; part++)
        e->encoding.crc =
            mb_crc32c(e->encoding.crc, e->parts[part], (size_t)e->encoding.bytes[part]);
    return MB_OK;
}

mb_status_t mb_encode(const mb_format_t *format, mb_method_t method, const mb_view_t *view,
                      const float *values, const mb_calibration_t *calibration, const char *where,
                      mb_encoded_t *out)
{
    const source_t s = {format, view, values, view->rows * view->columns, where};
    mb_encoded_t e = {.encoding = {.format = *format, .view = *view}};
    if (format->number == MB_NUMBER_U8)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: uint8 is for an optimizer's moments", where);
    e.encoding.method = method_for(&s, method, calibration);
    e.encoding.layout = mb_format_matrix(format, view);
    e.encoding.layout.has_row_scales = e.encoding.method == MB_METHOD_AWQ;
    mb_status_t status = encode(&s, calibration, &e);
    if (status != MB_OK)
        mb_encoded_free(&e);
    else
        *out = e;
    return status;
}

mb_status_t mb_encoded_adopt(const mb_encoding_t *encoding, void *parts[MB_PART_COUNT],
                             mb_encoded_t *out)
{
    mb_encoded_t e = {.encoding = *encoding};
    const mb_matrix_t *m = &e.encoding.layout;
    mb_status_t status = MB_OK;
    memcpy(e.parts, parts, sizeof e.parts);
    if (encoding->format.kept_bits > 0) {
        int64_t count = m->rows * m->columns;
        MB_TRY_GOTO(take_memory(count * (int64_t)sizeof(float), &e.own[OWN_FLOATS]), status, out);
        MB_TRY_GOTO(mb_inflate(parts[MB_PART_VALUES], encoding->bytes[MB_PART_VALUES], count,
                               e.own[OWN_FLOATS]),
                    status, out);
    }
    if (m->has_zeros) {
        MB_TRY_GOTO(take_memory(mb_matrix_scales(m), &e.own[OWN_ZEROS]), status, out);
        mb_matrix_unpack_zeros(m, parts[MB_PART_ZEROS], e.own[OWN_ZEROS]);
    }
    MB_TRY_GOTO(attach(&e), status, out);
    *out = e;
    return MB_OK;
out:
    memset(e.parts, 0, sizeof e.parts);
    mb_encoded_free(&e);
    return status;
}

void mb_encoded_free(mb_encoded_t *encoded)
{
    for (int part = 0; part < MB_PART_COUNT; part++)
        free(encoded->parts[part]);
    for (size_t i = 0; i < sizeof encoded->own / sizeof *encoded->own; i++)
        free(encoded->own[i]);
    memset(encoded->parts, 0, sizeof encoded->parts);
    memset(encoded->own, 0, sizeof encoded->own);
    encoded->matrix = (mb_matrix_t){.number = MB_NUMBER_F32};
}
