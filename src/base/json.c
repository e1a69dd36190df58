/* Strict parsing of JSON text. One pass over the bytes comes before jansson's: it bounds the
 * nesting without recursion and names Python's NaN and Infinity, which are not JSON. */
#include "base/config.h"

#include <limits.h>
#include <string.h>

#define MAX_DEPTH 200

typedef struct {
    const char *text;
    size_t length;
    size_t at;
    size_t line_start;
    int line;
    int depth;
} scan_t;

static mb_status_t refuse(const scan_t *scan, const char *what, const char *why)
{
    return mb_error_set(MB_ERR_FORMAT, "%s: malformed JSON at line %d, column %zu: %s", what,
                        scan->line, scan->at - scan->line_start + 1, why);
}

/* Steps over a string whose opening quote is at `at`; jansson judges what is inside. */
static void skip_string(scan_t *scan)
{
    for (scan->at++; scan->at < scan->length && scan->text[scan->at] != '"'; scan->at++) {
        if (scan->text[scan->at] == '\\')
            scan->at++;
    }
}

static bool word_here(const scan_t *scan, const char *word)
{
    size_t bytes = strlen(word);
    return scan->length - scan->at >= bytes && memcmp(scan->text + scan->at, word, bytes) == 0;
}

static mb_status_t scan_byte(scan_t *scan, const char *what)
{
    switch (scan->text[scan->at]) {
    case '\n':
        scan->line++;
        scan->line_start = scan->at + 1;
        break;
    case '"':
        skip_string(scan);
        break;
    case '{':
    case '[':
        if (++scan->depth > MAX_DEPTH)
            return refuse(scan, what, "nested more than 200 deep");
        break;
    case '}':
    case ']':
        scan->depth--;
        break;
    case 'N':
        if (word_here(scan, "NaN"))
            return refuse(scan, what, "NaN is not a JSON value; write a finite number");
        break;
    case 'I':
        if (word_here(scan, "Infinity"))
            return refuse(scan, what, "Infinity is not a JSON value; write a finite number");
        break;
    default:
        break;
    }
    return MB_OK;
}

mb_status_t mb_json_parse(const char *text, size_t length, const char *what, json_t **out)
{
    scan_t scan = {.text = text, .length = length, .line = 1};
    if (length > INT_MAX)
        return mb_error_set(MB_ERR_FORMAT, "%s: %zu bytes of JSON are more than this build reads",
                            what, length);
    for (; scan.at < length; scan.at++)
        MB_TRY(scan_byte(&scan, what));
    json_error_t error;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        return mb_error_set(MB_ERR_FORMAT, "%s: malformed JSON at line %d, column %d: %s", what,
                            error.line, error.column, error.text);
    *out = json;
    return MB_OK;
}
