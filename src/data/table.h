/* Tables of one structure, joined: their columns, what each holds, and their rows in order. */
#ifndef MB_DATA_TABLE_H
#define MB_DATA_TABLE_H

#include "data/csv.h"
#include "data/source.h"

typedef enum { MB_COLUMN_OPEN = 0, MB_COLUMN_NUMBERS, MB_COLUMN_WORDS } mb_column_kind_t;

typedef struct {
    int file;
    int64_t line; /* 0: nowhere */
} mb_place_t;

typedef struct {
    char *name;
    char *key; /* what its vocabulary is called; set for columns that are used */
    mb_column_kind_t kind;
    bool integral;          /* all its numbers are whole and in int32's range */
    mb_place_t decided;     /* where the kind was seen */
    mb_place_t missing;     /* of a cell that is missing if the column turns out to be numbers */
    mb_vocabulary_t *words; /* NULL unless there are any */
} mb_column_t;

typedef struct {
    char **paths;
    int n_paths;
    bool header;
    int n_columns;
    mb_column_t *columns;
    int64_t samples;
} mb_table_t;

/* Reads the first file's first line: a header when none of its cells is a number, or when one that
 * is none stands over a number; else columns are named 0, 1, ... */
mb_status_t mb_table_open(char *const *paths, int n_paths, mb_table_t **out);
void mb_table_close(mb_table_t *table);

/* The column of a name, -1 if there is none. */
int mb_table_find(const mb_table_t *table, const char *name);
/* By name, or by place from 0, or from the end as -1. */
mb_status_t mb_table_label(const mb_table_t *table, const char *text, int *column);
/* "'a', 'b', 'c'", cut where it is long; the caller frees. */
char *mb_table_names(const mb_table_t *table);

/* One pass over all rows that finds what the columns with a key hold, and counts the rows. A
 * column is numbers when its first cell is; then every cell must be one. Else its cells are words:
 * those that FORM knows, if it knows any, or those that occur. */
mb_status_t mb_table_survey(mb_table_t *table, const mb_source_form_t *form);

/* Calls VISIT for each row in order. */
typedef mb_status_t (*mb_table_visit_t)(void *user, mb_place_t place, const mb_csv_cell_t *cells);
mb_status_t mb_table_walk(const mb_table_t *table, mb_table_visit_t visit, void *user,
                          const mb_source_form_t *form);

/* MB_ERR_DATA naming file, line and column. */
mb_status_t mb_table_fault(const mb_table_t *table, mb_place_t place, int column,
                           const char *format, ...) MB_PRINTF(4, 5);

#endif
