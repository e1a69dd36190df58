/* A number whose digits fit 2^53 and whose power of ten a double holds exactly is one product or
 * quotient, rounded once (Clinger, "How to read floating point numbers accurately", PLDI 1990);
 * the rest go to the C library. */
#define _GNU_SOURCE
#include "data/cell.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EXACT_DIGITS (UINT64_C(1) << 53)
enum { EXACT_POWER = 22, LONGEST_NUMBER = 512 };

typedef struct {
    bool negative;
    uint64_t digits;
    int exponent; /* of ten, times digits */
    bool exact;
} decimal_t;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void add_digit(decimal_t *d, char c, bool fraction)
{
    d->exact = d->exact && d->digits < EXACT_DIGITS / 10;
    if (d->exact)
        d->digits = 10 * d->digits + (uint64_t)(c - '0');
    d->exponent -= fraction;
}

/* [+-] digits [. digits] with a digit somewhere; the place behind it, NULL: no number. */
static const char *read_digits(const char *at, const char *end, char point, decimal_t *d)
{
    int n = 0;
    bool fraction = false;
    for (; at < end && (is_digit(*at) || (*at == point && !fraction)); at++) {
        if (*at == point) {
            fraction = true;
            continue;
        }
        add_digit(d, *at, fraction);
        n++;
    }
    return n == 0 ? NULL : at;
}

static const char *read_exponent(const char *at, const char *end, decimal_t *d)
{
    int value = 0;
    const char *first = ++at;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        first = ++at;
    for (; at < end && is_digit(*at); at++)
        value = value < 100000 ? 10 * value + (*at - '0') : value;
    d->exponent += negative ? -value : value;
    return at == first ? NULL : at;
}

static bool read_decimal(const char *text, size_t length, char point, decimal_t *d)
{
    const char *at = text, *end = text + length;
    *d = (decimal_t){.exact = true};
    if (at < end && (*at == '-' || *at == '+'))
        d->negative = *at++ == '-';
    at = read_digits(at, end, point, d);
    if (at != NULL && at < end && (*at == 'e' || *at == 'E'))
        at = read_exponent(at, end, d);
    return at == end;
}

static double by_library(const char *text, size_t length)
{
    char copy[LONGEST_NUMBER];
    locale_t plain = newlocale(LC_ALL_MASK, "C", NULL);
    memcpy(copy, text, length);
    copy[length] = '\0';
    double value = plain == NULL ? strtod(copy, NULL) : strtod_l(copy, NULL, plain);
    if (plain != NULL)
        freelocale(plain);
    return value;
}

static double value_of(const decimal_t *d, const char *text, size_t length)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!d->exact || d->exponent > EXACT_POWER || d->exponent < -EXACT_POWER)
        return by_library(text, length);
    double digits = (double)d->digits;
    double value = d->exponent < 0 ? digits / powers[-d->exponent] : digits * powers[d->exponent];
    return d->negative ? -value : value;
}

static bool is_missing(const char *text, size_t length)
{
    static const char *const words[] = {"na",  "n/a",  "nan", "null", "none",
                                        "nil", "<na>", "-",   "?",    "#n/a"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strlen(words[i]) == length && strncasecmp(words[i], text, length) == 0)
            return true;
    }
    return false;
}

mb_cell_t mb_cell_read(const char *text, size_t length, double *value)
{
    decimal_t d;
    if (length == 0)
        return MB_CELL_EMPTY;
    if (length < LONGEST_NUMBER && read_decimal(text, length, '.', &d)) {
        *value = value_of(&d, text, length);
        return MB_CELL_NUMBER;
    }
    if (is_missing(text, length))
        return MB_CELL_MISSING;
    return read_decimal(text, length, ',', &d) ? MB_CELL_COMMA : MB_CELL_TEXT;
}
