/* Records of a delimited text, front to back: RFC 4180, with other delimiters too; raw or gzip. */
#ifndef MB_DATA_CSV_H
#define MB_DATA_CSV_H

#include "base/error.h"
#include "base/types.h"

typedef struct mb_csv mb_csv_t;

typedef struct {
    const char *text; /* zero-terminated, valid until the next record */
    size_t length;
    bool quoted;
} mb_csv_cell_t;

/* PATH ends in .csv, .tsv or .tab, with .gz behind it or not: that is what makes it a table. */
bool mb_csv_has_ending(const char *path);

/* The delimiter of .tsv and .tab is the tab; of others the comma, or where the first line has none
 * the semicolon, or the tab. */
mb_status_t mb_csv_open(const char *path, mb_csv_t **out);
void mb_csv_close(mb_csv_t *csv);
/* The next record; *n is 0 at the end. Empty lines are no records. Spaces around an unquoted cell
 * are not part of it. */
mb_status_t mb_csv_next(mb_csv_t *csv, const mb_csv_cell_t **cells, int *n);
/* The line on which the last record began, from 1. */
int64_t mb_csv_line(const mb_csv_t *csv);
/* How many bytes of the file were read. */
int64_t mb_csv_bytes(const mb_csv_t *csv);

#endif
