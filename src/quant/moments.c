/* See moments.h. */
#include "quant/moments.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/crc32c.h"

/* The square of a smaller scale would fall out of the normal numbers. */
#define LEAST_ROOT_SCALE 0x1p-62f

typedef struct {
    mb_moment_kind_t kind;
    const float *values, *divisor;
    const mb_matrix_t *layout;
    void *codes, *scales;
} draft_t;

static bool is_square(mb_moment_kind_t kind)
{
    return kind == MB_MOMENT_SQUARE || kind == MB_MOMENT_SQUARE_OUTWARD;
}

mb_format_t mb_moment_format(mb_moment_kind_t kind)
{
    return (mb_format_t){.number = is_square(kind) ? MB_NUMBER_U8 : MB_NUMBER_I8,
                         .grain = MB_GRAIN_BLOCK,
                         .block = MB_MOMENT_BLOCK,
                         .squared = is_square(kind)};
}

static mb_status_t check_values(mb_moment_kind_t kind, const float *values, int64_t count,
                                const char *where)
{
    for (int64_t i = 0; i < count; i++) {
        bool finite = isfinite(values[i]);
        if (finite && (values[i] >= 0 || !is_square(kind)))
            continue;
        return mb_error_set(MB_ERR_NUMERIC,
                            "%s: value %" PRId64 " is %g, which 8 bits cannot hold (%s); look for "
                            "the step where the losses go wrong, or keep --moments fp32",
                            where, i, (double)values[i],
                            finite ? "an average of squares is not negative" : "it is not finite");
    }
    return MB_OK;
}

/* The next larger number that the scale's type holds. */
static float raise_scale(mb_number_t number, float scale)
{
    if (number != MB_NUMBER_BF16)
        return nextafterf(scale, INFINITY);
    return mb_bf16_decode((uint16_t)(mb_bf16_encode(scale) + 1));
}

/* The smallest scale of the type that is not below SCALE. */
static float round_scale(mb_number_t number, float scale)
{
    if (number != MB_NUMBER_BF16)
        return scale;
    float rounded = mb_bf16_decode(mb_bf16_encode(scale));
    return rounded < scale ? raise_scale(number, rounded) : rounded;
}

static void put_scale(const draft_t *draft, int64_t block, float scale)
{
    if (draft->layout->scale_number == MB_NUMBER_BF16)
        ((uint16_t *)draft->scales)[block] = mb_bf16_encode(scale);
    else
        ((float *)draft->scales)[block] = scale;
}

static float squared(float scale, int code)
{
    float root = scale * (float)code;
    return root * root;
}

static void encode_squares(const draft_t *draft, int64_t first, int64_t end, int64_t block)
{
    mb_number_t number = draft->layout->scale_number;
    uint8_t *codes = draft->codes;
    float largest = 0;
    for (int64_t i = first; i < end; i++)
        largest = fmaxf(largest, draft->values[i]);
    float scale = round_scale(number, fmaxf(sqrtf(largest) / 255.0f, LEAST_ROOT_SCALE));
    while (squared(scale, 255) < largest)
        scale = raise_scale(number, scale);
    put_scale(draft, block, scale);
    for (int64_t i = first; i < end; i++) {
        float value = draft->values[i];
        int code = (int)fminf(rintf(sqrtf(value) / scale), 255.0f);
        if (value > 0 && code == 0)
            code = 1;
        while (draft->kind == MB_MOMENT_SQUARE_OUTWARD && squared(scale, code) < value)
            code++;
        while (isinf(squared(scale, code)))
            code--;
        codes[i] = (uint8_t)code;
    }
}

static void encode_signed(const draft_t *draft, int64_t first, int64_t end, int64_t block)
{
    int8_t *codes = draft->codes;
    float largest = 0;
    for (int64_t i = first; i < end; i++)
        largest = fmaxf(largest, fabsf(draft->values[i]));
    float scale = round_scale(draft->layout->scale_number, largest / 127.0f);
    put_scale(draft, block, scale);
    for (int64_t i = first; i < end; i++) {
        float value = draft->values[i], size = fabsf(value);
        bool harmless = draft->divisor == NULL || draft->divisor[i] > 0;
        int code = scale > 0 && harmless ? (int)fminf(rintf(size / scale), 127.0f) : 0;
        while (isinf(scale * (float)code) ||
               (draft->kind == MB_MOMENT_SIGNED_INWARD && scale * (float)code > size))
            code--;
        codes[i] = (int8_t)(value < 0 ? -code : code);
    }
}

static mb_status_t take_parts(mb_encoded_t *out)
{
    mb_encoding_t *encoding = &out->encoding;
    encoding->bytes[MB_PART_VALUES] = mb_matrix_value_bytes(&encoding->layout);
    encoding->bytes[MB_PART_SCALES] = mb_matrix_scale_bytes(&encoding->layout);
    for (int part = MB_PART_VALUES; part <= MB_PART_SCALES; part++) {
        size_t bytes = (size_t)encoding->bytes[part];
        out->parts[part] = malloc(bytes > 0 ? bytes : 1);
        if (out->parts[part] == NULL)
            return mb_error_memory("a moment in 8 bits", bytes);
    }
    out->matrix = encoding->layout;
    out->matrix.values = out->parts[MB_PART_VALUES];
    out->matrix.scales = out->parts[MB_PART_SCALES];
    return MB_OK;
}

/* What the file says of it. */
static mb_status_t describe(const float *values, int64_t count, mb_encoded_t *out)
{
    float *decoded = malloc((size_t)(count > 0 ? count : 1) * sizeof *decoded);
    if (decoded == NULL)
        return mb_error_memory("a moment in 8 bits", (size_t)count * sizeof *decoded);
    mb_matrix_decode(&out->matrix, decoded);
    mb_measure(values, decoded, count, &out->encoding.loss);
    free(decoded);
    for (int part = MB_PART_VALUES; part <= MB_PART_SCALES; part++)
        out->encoding.crc =
            mb_crc32c(out->encoding.crc, out->parts[part], (size_t)out->encoding.bytes[part]);
    return MB_OK;
}

mb_status_t mb_moment_encode(mb_moment_kind_t kind, const float *values, const float *divisor,
                             int64_t count, const char *where, mb_encoded_t *out)
{
    MB_TRY(check_values(kind, values, count, where));
    mb_view_t view = {.rows = 1, .columns = count, .lookup = true};
    mb_format_t format = mb_moment_format(kind);
    *out = (mb_encoded_t){.encoding = {.format = format, .view = view}};
    out->encoding.layout = mb_format_matrix(&format, &view);
    out->encoding.layout.has_column_sums = false;
    mb_status_t status = take_parts(out);
    draft_t draft = {.kind = kind,
                     .values = values,
                     .divisor = divisor,
                     .layout = &out->encoding.layout,
                     .codes = out->parts[MB_PART_VALUES],
                     .scales = out->parts[MB_PART_SCALES]};
    int64_t length = out->encoding.layout.block_columns;
    for (int64_t first = 0; status == MB_OK && first < count; first += length) {
        int64_t end = first + length < count ? first + length : count;
        if (is_square(kind))
            encode_squares(&draft, first, end, first / length);
        else
            encode_signed(&draft, first, end, first / length);
    }
    if (status == MB_OK)
        status = describe(values, count, out);
    if (status != MB_OK)
        mb_encoded_free(out);
    return status;
}
