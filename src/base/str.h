/* Strings: a buffer that grows, and the nearest spelling of a word. */
#ifndef MB_BASE_STR_H
#define MB_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *text; /* zero-terminated; NULL before the first addition */
    size_t length;
    size_t capacity;
    int failed; /* memory ran out: later additions do nothing */
} mb_str_t;

void mb_str_add(mb_str_t *str, const char *text);
void mb_str_addf(mb_str_t *str, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mb_str_free(mb_str_t *str);

/* The candidate with the least edit distance to WORD, or NULL if none is near enough to suggest
 * (distance over a third of the word's length). */
const char *mb_str_nearest(const char *word, const char *const *candidates, size_t count);

/* "1.5 GiB", "312 KiB"; "1h02m", "3.2 s". Return BUFFER. */
char *mb_str_bytes(double bytes, char *buffer, size_t capacity);
char *mb_str_seconds(double seconds, char *buffer, size_t capacity);
/* A number of bytes, with K, M, G or T, or KiB to TiB, behind it: powers of 1024. False: none. */
bool mb_str_parse_bytes(const char *text, double *out);

#endif
