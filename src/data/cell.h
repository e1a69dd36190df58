/* What the text of a table's cell is. */
#ifndef MB_DATA_CELL_H
#define MB_DATA_CELL_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    MB_CELL_NUMBER,  /* decimal, with a point and an exponent if wanted */
    MB_CELL_EMPTY,   /* nothing */
    MB_CELL_MISSING, /* NA, NaN, null and the like: missing in a column of numbers */
    MB_CELL_COMMA,   /* a number with a decimal comma */
    MB_CELL_TEXT     /* anything else */
} mb_cell_t;

/* TEXT has no spaces around it. *value is set for a number: the nearest double, whatever the
 * host's locale; infinite beyond double's range. */
mb_cell_t mb_cell_read(const char *text, size_t length, double *value);

#endif
