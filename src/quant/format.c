/* Formats by name, and the matrix layout that each makes. */
#include "quant/format.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_INT4_BLOCK 32
#define DEFAULT_KEPT_BITS 9
#define ROUNDED "rounded"

static const mb_number_t named_numbers[] = {MB_NUMBER_F32,  MB_NUMBER_F16, MB_NUMBER_BF16,
                                            MB_NUMBER_E3M4, MB_NUMBER_I8,  MB_NUMBER_U8,
                                            MB_NUMBER_I4};

static mb_status_t refuse(const char *text, const char *cause)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "format '%s': %s; there are fp32, fp16, bf16, e3m4, int8 (one scale a "
                        "channel), int8:tensor, int8:block=32|64|128|256, int4 (blocks of 32), "
                        "int4:block=32|64|128|256, int4:offset, int4:block=64,offset and "
                        "rounded:bits=1..22 (float32, deflated)",
                        text, cause);
}

/* The value of "KEY=NUMBER"; -1: something else. */
static long key_value(const char *option, const char *key)
{
    size_t length = strlen(key);
    if (strncmp(option, key, length) != 0 || option[length] != '=')
        return -1;
    const char *digits = option + length + 1;
    char *end;
    long value = strtol(digits, &end, 10);
    return *digits >= '0' && *digits <= '9' && *end == '\0' && value <= 1 << 20 ? value : -1;
}

/* Returns what is wrong with the option, NULL: nothing. */
static const char *apply(const char *option, mb_format_t *format)
{
    bool whole = format->number == MB_NUMBER_I8 || format->number == MB_NUMBER_I4 ||
                 format->number == MB_NUMBER_U4 || format->number == MB_NUMBER_U8;
    long block = key_value(option, "block"), bits = key_value(option, "bits");
    if (whole && block >= 0) {
        if (block != 32 && block != 64 && block != 128 && block != 256)
            return "a block has 32, 64, 128 or 256 weights";
        format->grain = MB_GRAIN_BLOCK;
        format->block = (int)block;
        return NULL;
    }
    if (format->kept_bits > 0 && bits >= 0) {
        format->kept_bits = (int)bits;
        return bits >= 1 && bits <= 22 ? NULL : "bits is from 1 to 22";
    }
    if (format->number == MB_NUMBER_I4 && strcmp(option, "offset") == 0) {
        format->number = MB_NUMBER_U4;
        return NULL;
    }
    if (format->number == MB_NUMBER_U8 && strcmp(option, "squared") == 0) {
        format->squared = true;
        return NULL;
    }
    if (format->number == MB_NUMBER_I8 && strcmp(option, "tensor") == 0) {
        format->grain = MB_GRAIN_TENSOR;
        return NULL;
    }
    if (format->number == MB_NUMBER_I8 && strcmp(option, "channel") == 0) {
        format->grain = MB_GRAIN_CHANNEL;
        return NULL;
    }
    return "this format does not take that option";
}

static bool base_format(const char *name, mb_format_t *out)
{
    *out = (mb_format_t){.number = MB_NUMBER_F32};
    if (strcmp(name, ROUNDED) == 0) {
        out->kept_bits = DEFAULT_KEPT_BITS;
        return true;
    }
    for (size_t i = 0; i < sizeof named_numbers / sizeof *named_numbers; i++) {
        if (strcmp(name, mb_number_name(named_numbers[i])) != 0)
            continue;
        out->number = named_numbers[i];
        if (out->number == MB_NUMBER_I8)
            out->grain = MB_GRAIN_CHANNEL;
        if (out->number == MB_NUMBER_I4 || out->number == MB_NUMBER_U8) {
            out->grain = MB_GRAIN_BLOCK;
            out->block = DEFAULT_INT4_BLOCK;
        }
        return true;
    }
    return false;
}

static mb_status_t refuse_name(const char *text, const char *name)
{
    static const char *const names[] = {"fp32", "fp16", "bf16", "e3m4", "int8", "int4", ROUNDED};
    const char *nearest = mb_str_nearest(name, names, sizeof names / sizeof *names);
    char cause[96];
    if (nearest != NULL)
        snprintf(cause, sizeof cause, "there is no such format (did you mean %s?)", nearest);
    else
        snprintf(cause, sizeof cause, "there is no such format");
    return refuse(text, cause);
}

mb_status_t mb_format_parse(const char *text, mb_format_t *out)
{
    char words[MB_FORMAT_TEXT];
    if (strlen(text) >= sizeof words)
        return refuse(text, "there is no such format");
    memcpy(words, text, strlen(text) + 1);
    char *options = strchr(words, ':');
    if (options != NULL)
        *options++ = '\0';
    mb_format_t format;
    if (!base_format(words, &format))
        return refuse_name(text, words);
    while (options != NULL) {
        char *next = strchr(options, ',');
        if (next != NULL)
            *next++ = '\0';
        const char *wrong = apply(options, &format);
        if (wrong != NULL)
            return refuse(text, wrong);
        options = next;
    }
    if (format.number == MB_NUMBER_U8 && !format.squared)
        return refuse_name(text, words);
    *out = format;
    return MB_OK;
}

static void options_text(const mb_format_t *f, char *buffer, size_t capacity)
{
    bool four = f->number == MB_NUMBER_I4 || f->number == MB_NUMBER_U4;
    const char *flag =
        f->number == MB_NUMBER_U4 ? "offset" : (f->number == MB_NUMBER_U8 ? "squared" : "");
    buffer[0] = '\0';
    if (f->grain == MB_GRAIN_BLOCK && !((four || f->squared) && f->block == DEFAULT_INT4_BLOCK))
        snprintf(buffer, capacity, ":block=%d%s%s", f->block, *flag != '\0' ? "," : "", flag);
    else if (f->grain == MB_GRAIN_TENSOR)
        snprintf(buffer, capacity, ":tensor");
    else if (*flag != '\0')
        snprintf(buffer, capacity, ":%s", flag);
}

char *mb_format_text(const mb_format_t *format, char *buffer, size_t capacity)
{
    char options[32];
    if (format->kept_bits > 0) {
        snprintf(buffer, capacity, ROUNDED);
        if (format->kept_bits != DEFAULT_KEPT_BITS)
            snprintf(buffer, capacity, ROUNDED ":bits=%d", format->kept_bits);
        return buffer;
    }
    options_text(format, options, sizeof options);
    mb_number_t number = format->number == MB_NUMBER_U4 ? MB_NUMBER_I4 : format->number;
    snprintf(buffer, capacity, "%s%s", mb_number_name(number), options);
    return buffer;
}

bool mb_format_equal(const mb_format_t *a, const mb_format_t *b)
{
    return a->number == b->number && a->grain == b->grain &&
           (a->grain != MB_GRAIN_BLOCK || a->block == b->block) && a->kept_bits == b->kept_bits &&
           a->squared == b->squared;
}

bool mb_format_is_float(const mb_format_t *format)
{
    return format->grain == MB_GRAIN_NONE;
}

mb_matrix_t mb_format_matrix(const mb_format_t *format, const mb_view_t *view)
{
    mb_matrix_t m = {.number = format->number,
                     .rows = view->rows,
                     .columns = view->columns,
                     .squared = format->squared,
                     .has_zeros = format->number == MB_NUMBER_U4};
    int64_t along = view->lookup ? view->columns : view->rows;
    if (format->grain == MB_GRAIN_NONE)
        return m;
    if (format->grain == MB_GRAIN_BLOCK) {
        m.scale_number = MB_NUMBER_BF16;
        along = along < format->block ? along : format->block;
    }
    m.block_rows = view->lookup ? 1 : along;
    m.block_columns = view->lookup ? along : 1;
    if (format->grain == MB_GRAIN_TENSOR) {
        m.block_rows = view->rows;
        m.block_columns = view->columns;
    }
    m.has_column_sums = m.number == MB_NUMBER_I8 && !view->lookup && m.block_rows >= m.rows &&
                        (m.block_columns == 1 || m.block_columns == m.columns);
    return m;
}

int64_t mb_format_bytes(const mb_format_t *format, const mb_view_t *view)
{
    mb_matrix_t m = mb_format_matrix(format, view);
    int64_t bytes = mb_matrix_value_bytes(&m) + mb_matrix_scale_bytes(&m);
    if (m.has_zeros)
        bytes += mb_matrix_scale_rows(&m) * ((mb_matrix_scale_columns(&m) + 1) / 2);
    return bytes;
}
