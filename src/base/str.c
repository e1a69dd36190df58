/* The growing buffer, edit distance for suggestions, and sizes and times for people. */
#include "base/str.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int reserve(mb_str_t *str, size_t more)
{
    if (str->failed)
        return 0;
    if (more > SIZE_MAX / 4 - str->length) {
        str->failed = 1;
        return 0;
    }
    size_t needed = str->length + more + 1;
    if (needed <= str->capacity)
        return 1;
    size_t capacity = str->capacity * 2 > needed ? str->capacity * 2 : needed + 64;
    char *text = realloc(str->text, capacity);
    if (text == NULL) {
        str->failed = 1;
        return 0;
    }
    str->text = text;
    str->capacity = capacity;
    return 1;
}

void mb_str_add(mb_str_t *str, const char *text)
{
    size_t length = strlen(text);
    if (!reserve(str, length))
        return;
    memcpy(str->text + str->length, text, length + 1);
    str->length += length;
}

void mb_str_addf(mb_str_t *str, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0) {
        str->failed = 1;
    } else if (reserve(str, (size_t)length)) {
        vsnprintf(str->text + str->length, (size_t)length + 1, format, again);
        str->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

void mb_str_free(mb_str_t *str)
{
    free(str->text);
    *str = (mb_str_t){0};
}

#define LONGEST_WORD 64

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). Words
 * are at most LONGEST_WORD long. */
static size_t edit_distance(const char *a, size_t length_a, const char *b, size_t length_b)
{
    size_t rows[3][LONGEST_WORD + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= length_b; j++)
        above[j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1, SIZE_MAX);
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[length_b];
}

const char *mb_str_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word);
    if (length > LONGEST_WORD)
        return NULL;
    const char *nearest = NULL;
    size_t nearest_distance = length / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t candidate_length = strlen(candidates[i]);
        if (candidate_length > LONGEST_WORD)
            continue;
        size_t distance = edit_distance(word, length, candidates[i], candidate_length);
        if (distance < nearest_distance) {
            nearest_distance = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

/* Three digits: "1.5 GiB", "64 MiB", "1020 KiB". */
char *mb_str_bytes(double bytes, char *buffer, size_t capacity)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    while (fabs(bytes) >= 1023.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        bytes /= 1024.0;
        unit++;
    }
    if (fabs(bytes) >= 100.0)
        snprintf(buffer, capacity, "%.0f %s", bytes, units[unit]);
    else
        snprintf(buffer, capacity, "%.3g %s", bytes, units[unit]);
    return buffer;
}

char *mb_str_seconds(double seconds, char *buffer, size_t capacity)
{
    if (seconds < 0.9995)
        snprintf(buffer, capacity, "%.3g ms", seconds * 1e3);
    else if (seconds < 59.95)
        snprintf(buffer, capacity, "%.1f s", seconds);
    else if (!(seconds < 1e12))
        snprintf(buffer, capacity, "for ever");
    else {
        int64_t whole = (int64_t)(seconds + 0.5);
        long long days = whole / 86400, hours = whole / 3600, minutes = whole / 60;
        if (minutes < 60)
            snprintf(buffer, capacity, "%lldm%02llds", minutes, (long long)(whole % 60));
        else if (hours < 24)
            snprintf(buffer, capacity, "%lldh%02lldm", hours, minutes % 60);
        else
            snprintf(buffer, capacity, "%lldd%02lldh", days, hours % 24);
    }
    return buffer;
}

static double unit_bytes(const char *unit)
{
    static const char letters[] = "KMGT";
    double bytes = 1;
    if (unit[0] == '\0')
        return 1;
    for (const char *letter = letters; *letter != '\0'; letter++) {
        bytes *= 1024;
        if (unit[0] == *letter && (unit[1] == '\0' || strcmp(unit + 1, "iB") == 0))
            return bytes;
    }
    return -1;
}

bool mb_str_parse_bytes(const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end), unit = unit_bytes(end);
    *out = value * unit;
    return end != text && value >= 0 && unit > 0 && *out < 0x1p62;
}
