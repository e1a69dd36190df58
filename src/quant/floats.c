/* Formats whose numbers stand for themselves.
 *
 * E3M4 has one free choice, its exponent's bias: the larger it is, the smaller the numbers that are
 * still held and the smaller the largest one. The largest bias that holds every weight is taken;
 * with mse, one of the two above it if that makes the squared error smaller, though the largest
 * weights are then held by the largest number there is. */
#include "quant/methods.h"

#include <math.h>
#include <string.h>

#define TILE 256
#define LARGER_BIASES 2
#define SIGN 0x80u
#define LARGEST_FINITE 0x6Fu

static float largest_magnitude(const float *values, int64_t count)
{
    float largest = 0;
    for (int64_t i = 0; i < count; i++) {
        float size = fabsf(values[i]);
        largest = size > largest ? size : largest;
    }
    return largest;
}

static bool holds(int bias, float magnitude)
{
    return mb_e3m4_encode(magnitude, bias) <= LARGEST_FINITE;
}

static int largest_bias(float magnitude)
{
    int bias = MB_E3M4_MAX_BIAS;
    while (bias > 1 && !holds(bias, magnitude))
        bias--;
    return bias;
}

static void encode_saturated(int bias, const float *values, int64_t count, uint8_t *codes)
{
    mb_number_encode(MB_NUMBER_E3M4, bias, values, count, codes);
    for (int64_t i = 0; i < count; i++) {
        uint8_t finite = (uint8_t)((codes[i] & SIGN) | LARGEST_FINITE);
        codes[i] = (codes[i] & ~SIGN) > LARGEST_FINITE ? finite : codes[i];
    }
}

static double squared_error(int bias, const float *values, int64_t count)
{
    double squares = 0;
    uint8_t codes[TILE];
    float decoded[TILE];
    for (int64_t first = 0; first < count; first += TILE) {
        int64_t n = count - first < TILE ? count - first : TILE;
        encode_saturated(bias, values + first, n, codes);
        mb_number_decode(MB_NUMBER_E3M4, bias, codes, n, decoded);
        for (int64_t i = 0; i < n; i++) {
            double error = (double)decoded[i] - (double)values[first + i];
            squares += error * error;
        }
    }
    return squares;
}

static int choose_bias(const float *values, int64_t count, bool mse)
{
    int fits = largest_bias(largest_magnitude(values, count)), best = fits;
    if (!mse)
        return fits;
    double least = squared_error(fits, values, count);
    for (int bias = fits + 1; bias <= fits + LARGER_BIASES && bias <= MB_E3M4_MAX_BIAS; bias++) {
        double squares = squared_error(bias, values, count);
        if (squares < least) {
            least = squares;
            best = bias;
        }
    }
    return best;
}

mb_status_t mb_encode_floats(const mb_draft_t *draft, const float *values, bool mse)
{
    mb_matrix_t *m = draft->m;
    int64_t count = m->rows * m->columns;
    if (m->number != MB_NUMBER_E3M4) {
        mb_number_encode(m->number, 0, values, count, draft->values);
        return MB_OK;
    }
    m->bias = choose_bias(values, count, mse);
    encode_saturated(m->bias, values, count, draft->values);
    return MB_OK;
}
