/* Scales of whole-number codes: by the largest magnitude, or with the least squared error.
 *
 * The error as a function of the scale has many small dips, so it is searched on a grid of clips
 * (the largest magnitude that is still held, as a fraction of what is there), then around the best,
 * then by least squares: for given codes q the best scale is sum w q / sum q^2, which may change
 * the codes, and so on. The result is compared with the unclipped scale in double precision and
 * taken only if it is better.
 *
 * Sums run in a fixed number of lanes, so that the outcome does not depend on vector widths. */
#include "quant/scale.h"

#include "quant/methods.h"

#include <math.h>
#include <string.h>

#define LANES 16
#define TILE 512 /* a multiple of LANES: so many squares are summed in single precision */

typedef struct {
    const float *values;
    int64_t count, stride;
    mb_number_t number, scale_number;
} span_t;

typedef struct {
    float scale;
    int zero;
    double squares; /* summed squared error */
} choice_t;

/* Values [FIRST, FIRST + *COUNT), side by side. */
static const float *tile_of(const span_t *s, int64_t first, int *count, float *buffer)
{
    int64_t rest = s->count - first;
    *count = rest < TILE ? (int)rest : TILE;
    if (s->stride == 1)
        return s->values + first;
    for (int i = 0; i < *count; i++)
        buffer[i] = s->values[(first + i) * s->stride];
    return buffer;
}

/* The smallest and the largest of the values and 0. */
static void ends_of(const span_t *s, float *low, float *high)
{
    float buffer[TILE], least[LANES] = {0}, most[LANES] = {0};
    int count;
    for (int64_t first = 0; first < s->count; first += TILE) {
        const float *v = tile_of(s, first, &count, buffer);
        int i = 0;
        for (; i + LANES <= count; i += LANES)
            for (int k = 0; k < LANES; k++) {
                least[k] = v[i + k] < least[k] ? v[i + k] : least[k];
                most[k] = v[i + k] > most[k] ? v[i + k] : most[k];
            }
        for (int k = 0; i < count; i++, k++) {
            least[k] = v[i] < least[k] ? v[i] : least[k];
            most[k] = v[i] > most[k] ? v[i] : most[k];
        }
    }
    *low = *high = 0;
    for (int k = 0; k < LANES; k++) {
        *low = least[k] < *low ? least[k] : *low;
        *high = most[k] > *high ? most[k] : *high;
    }
}

float mb_scale_stored(mb_number_t scale_number, float scale)
{
    if (scale_number != MB_NUMBER_BF16)
        return scale;
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    return mb_bf16_decode((uint16_t)((bits + 0xFFFF) >> 16));
}

static inline void add_square(float *sum, float quotient, mb_code_range_t range)
{
    float error = quotient - mb_code_round(quotient, range);
    *sum += error * error;
}

/* The summed squared error, with the quotients rounded a little differently from those that make
 * the codes. */
static double roughly(const span_t *s, float scale, int zero)
{
    float buffer[TILE], inverse = 1 / scale;
    mb_code_range_t range = mb_code_range(s->number, zero);
    double squares = 0;
    int count;
    for (int64_t first = 0; first < s->count; first += TILE) {
        const float *v = tile_of(s, first, &count, buffer);
        float sums[LANES] = {0}, all = 0;
        int i = 0;
        for (; i + LANES <= count; i += LANES)
            for (int k = 0; k < LANES; k++)
                add_square(&sums[k], v[i + k] * inverse, range);
        for (int k = 0; i < count; i++, k++)
            add_square(&sums[k], v[i] * inverse, range);
        for (int k = 0; k < LANES; k++)
            all += sums[k];
        squares += (double)all;
    }
    return squares * (double)scale * (double)scale;
}

static double exactly(const span_t *s, float scale, int zero)
{
    mb_code_range_t range = mb_code_range(s->number, zero);
    double squares = 0;
    for (int64_t i = 0; i < s->count; i++) {
        float value = s->values[i * s->stride];
        double error = (double)(scale * mb_code_round(value / scale, range)) - (double)value;
        squares += error * error;
    }
    return squares;
}

/* The least-squares scale for the codes that SCALE gives; 0 when all codes are 0. */
static float refit(const span_t *s, float scale, int zero)
{
    float buffer[TILE], inverse = 1 / scale;
    mb_code_range_t range = mb_code_range(s->number, zero);
    double products = 0, squares = 0;
    int count;
    for (int64_t first = 0; first < s->count; first += TILE) {
        const float *v = tile_of(s, first, &count, buffer);
        for (int i = 0; i < count; i++) {
            double code = (double)mb_code_round(v[i] * inverse, range);
            products += code * (double)v[i];
            squares += code * code;
        }
    }
    return products > 0 ? (float)(products / squares) : 0;
}

/* Takes the scale if it is better; says whether the search may go on this way: far from the best,
 * more clipping only costs more. */
static bool try_scale(const span_t *s, float scale, int zero, choice_t *best)
{
    scale = mb_scale_stored(s->scale_number, scale);
    if (!(scale > 0) || !isfinite(1 / scale))
        return false;
    double squares = roughly(s, scale, zero);
    if (squares < best->squares)
        *best = (choice_t){scale, zero, squares};
    return squares <= 4 * best->squares;
}

static void try_refits(const span_t *s, choice_t *best)
{
    for (int round = 0; round < 3; round++) {
        float scale = refit(s, best->scale, best->zero), before = best->scale;
        if (s->scale_number == MB_NUMBER_BF16)
            scale = mb_bf16_decode(mb_bf16_encode(scale));
        (void)try_scale(s, scale, best->zero, best);
        if (best->scale == before)
            return;
    }
}

static void search_symmetric(const span_t *s, float widest, choice_t *best)
{
    for (int percent = 99; percent >= 35; percent--)
        if (!try_scale(s, widest * ((float)percent / 100), 0, best))
            break;
    float center = best->scale;
    for (int step = -4; step <= 4; step++)
        if (step != 0)
            (void)try_scale(s, center + widest * ((float)step / 500), 0, best);
    try_refits(s, best);
}

static bool try_ends(const span_t *s, float low, float high, choice_t *best)
{
    float scale = mb_scale_stored(s->scale_number, high / 15 - low / 15);
    int zero = scale > 0 ? (int)mb_code_round(-low / scale, (mb_code_range_t){0, 15}) : 0;
    return try_scale(s, scale, zero, best);
}

/* The ends shrink together first, then one by one. */
static void search_offset(const span_t *s, float low, float high, choice_t *best)
{
    float factors[2] = {1, 1};
    for (int percent = 98; percent >= 34; percent -= 2) {
        float factor = (float)percent / 100;
        double before = best->squares;
        if (!try_ends(s, low * factor, high * factor, best))
            break;
        if (best->squares < before)
            factors[0] = factors[1] = factor;
    }
    for (int turn = 0; turn < 4; turn++) {
        int end = turn % 2;
        float center = factors[end];
        for (int step = -5; step <= 5; step++) {
            float factor = center * (1 + 0.03f * (float)step);
            double before = best->squares;
            (void)try_ends(s, low * (end == 0 ? factor : factors[0]),
                           high * (end == 1 ? factor : factors[1]), best);
            if (best->squares < before)
                factors[end] = factor;
        }
    }
    try_refits(s, best);
}

void mb_scale_choose_stored(mb_number_t number, mb_number_t scale_number, bool mse,
                            const float *values, int64_t count, int64_t stride, float *scale,
                            int *zero)
{
    const span_t s = {values, count, stride, number, scale_number};
    float low, high;
    ends_of(&s, &low, &high);
    choice_t plain = {0, 0, 0};
    if (number == MB_NUMBER_U4) {
        plain.scale = mb_scale_stored(scale_number, high / 15 - low / 15);
        if (plain.scale > 0)
            plain.zero = (int)mb_code_round(-low / plain.scale, (mb_code_range_t){0, 15});
    } else {
        float largest = -low > high ? -low : high;
        plain.scale = mb_scale_stored(scale_number, largest / mb_code_range(number, 0).high);
    }
    *scale = plain.scale;
    *zero = plain.zero;
    if (!mse || !(plain.scale > 0) || !isfinite(1 / plain.scale))
        return;

    choice_t best = plain;
    best.squares = roughly(&s, plain.scale, plain.zero);
    if (number == MB_NUMBER_U4)
        search_offset(&s, low, high, &best);
    else
        search_symmetric(&s, plain.scale, &best);
    if (exactly(&s, best.scale, best.zero) < exactly(&s, plain.scale, plain.zero)) {
        *scale = best.scale;
        *zero = best.zero;
    }
}

void mb_scale_choose(mb_number_t number, bool mse, const float *values, int64_t count,
                     int64_t stride, float *scale, int *zero)
{
    mb_scale_choose_stored(number, MB_NUMBER_F32, mse, values, count, stride, scale, zero);
}

void mb_scale_apply(mb_number_t number, const float *values, int64_t count, float scale, int zero,
                    uint8_t *codes)
{
    mb_code_range_t range = mb_code_range(number, zero);
    if (!(scale > 0)) {
        memset(codes, zero, (size_t)count);
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        codes[i] = (uint8_t)((int)mb_code_round(values[i] / scale, range) + zero);
}
