/* The structure of tables: header, names, and the walk over their rows. */
#define _POSIX_C_SOURCE 200809L
#include "data/table.h"

#include "base/str.h"
#include "data/cell.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_NAMES = 12, ROWS_BETWEEN = 4096 };

mb_status_t mb_table_fault(const mb_table_t *table, mb_place_t place, int column,
                           const char *format, ...)
{
    char what[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return mb_error_set(MB_ERR_DATA, "%s: line %" PRId64 ", column '%s' (number %d): %s",
                        table->paths[place.file], place.line, table->columns[column].name, column,
                        what);
}

int mb_table_find(const mb_table_t *table, const char *name)
{
    for (int i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i].name, name) == 0)
            return i;
    }
    return -1;
}

char *mb_table_names(const mb_table_t *table)
{
    mb_str_t names = {0};
    for (int i = 0; i < table->n_columns && i < MOST_NAMES; i++)
        mb_str_addf(&names, "%s'%s'", i == 0 ? "" : ", ", table->columns[i].name);
    if (table->n_columns > MOST_NAMES)
        mb_str_addf(&names, " and %d more", table->n_columns - MOST_NAMES);
    return names.text;
}

mb_status_t mb_table_label(const mb_table_t *table, const char *text, int *column)
{
    char *end;
    *column = mb_table_find(table, text);
    if (*column >= 0)
        return MB_OK;
    errno = 0;
    long place = strtol(text, &end, 10);
    place += place < 0 ? table->n_columns : 0;
    if (end != text && *end == '\0' && errno == 0 && place >= 0 && place < table->n_columns) {
        *column = (int)place;
        return MB_OK;
    }
    char *names = mb_table_names(table);
    mb_status_t status =
        mb_error_set(MB_ERR_ARGUMENT,
                     "%s: there is no column '%s' (--label takes a name, or a place from 0): the "
                     "columns are %s",
                     table->paths[0], text, names == NULL ? "" : names);
    free(names);
    return status;
}

static bool is_number(const char *text)
{
    double value;
    return mb_cell_read(text, strlen(text), &value) == MB_CELL_NUMBER;
}

/* None of its cells is a number, or one that is none stands over a number. */
static bool is_header(const mb_table_t *t, const mb_csv_cell_t *second, int n)
{
    bool any = false;
    for (int i = 0; i < t->n_columns; i++) {
        bool number = is_number(t->columns[i].name);
        if (!number && i < n && is_number(second[i].text))
            return true;
        any = any || number;
    }
    return !any;
}

static mb_status_t check_name(const mb_table_t *t, int i)
{
    const char *name = t->columns[i].name;
    if (name[0] == '\0')
        return mb_error_set(MB_ERR_DATA,
                            "%s: line 1: column number %d has no name (pandas writes its index so: "
                            "to_csv(..., index=False) leaves it away)",
                            t->paths[0], i);
    if (mb_table_find(t, name) < i)
        return mb_error_set(MB_ERR_DATA, "%s: line 1: columns %d and %d are both named '%s'",
                            t->paths[0], mb_table_find(t, name), i, name);
    return MB_OK;
}

static mb_status_t rename_column(mb_table_t *t, int i, const char *name)
{
    free(t->columns[i].name);
    t->columns[i].name = strdup(name);
    return t->columns[i].name == NULL ? mb_error_memory("a column's name", strlen(name)) : MB_OK;
}

/* Columns of a table without a header are called by their places. */
static mb_status_t settle_names(mb_table_t *t)
{
    for (int i = 0; i < t->n_columns; i++) {
        char number[32];
        snprintf(number, sizeof(number), "%d", i);
        MB_TRY(t->header ? check_name(t, i) : rename_column(t, i, number));
    }
    return MB_OK;
}

static mb_status_t take_first(mb_table_t *t, const mb_csv_cell_t *cells, int n)
{
    if (n == 0)
        return mb_error_set(MB_ERR_DATA, "%s: the table is empty", t->paths[0]);
    t->columns = calloc((size_t)n, sizeof(*t->columns));
    if (t->columns == NULL)
        return mb_error_memory("a table's columns", (size_t)n);
    for (; t->n_columns < n; t->n_columns++)
        MB_TRY(rename_column(t, t->n_columns, cells[t->n_columns].text));
    return MB_OK;
}

static mb_status_t read_names(mb_table_t *t, mb_csv_t *csv)
{
    const mb_csv_cell_t *cells = NULL;
    int n;
    MB_TRY(mb_csv_next(csv, &cells, &n));
    MB_TRY(take_first(t, cells, n));
    MB_TRY(mb_csv_next(csv, &cells, &n));
    t->header = is_header(t, cells, n);
    return settle_names(t);
}

static mb_status_t read_header(mb_table_t *t)
{
    mb_csv_t *csv;
    MB_TRY(mb_csv_open(t->paths[0], &csv));
    mb_status_t status = read_names(t, csv);
    mb_csv_close(csv);
    return status;
}

static mb_status_t copy_paths(mb_table_t *t, char *const *paths, int n)
{
    t->paths = calloc((size_t)n, sizeof(*t->paths));
    for (int i = 0; t->paths != NULL && i < n; i++) {
        t->paths[i] = strdup(paths[i]);
        if (t->paths[i] == NULL)
            break;
        t->n_paths++;
    }
    return t->n_paths == n ? MB_OK : mb_error_memory("a table's files", (size_t)n);
}

mb_status_t mb_table_open(char *const *paths, int n_paths, mb_table_t **out)
{
    mb_table_t *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return mb_error_memory("a table", sizeof(*t));
    mb_status_t status = copy_paths(t, paths, n_paths);
    if (status == MB_OK)
        status = read_header(t);
    if (status == MB_OK)
        *out = t;
    else
        mb_table_close(t);
    return status;
}

void mb_table_close(mb_table_t *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < t->n_columns; i++) {
        free(t->columns[i].name);
        free(t->columns[i].key);
        mb_vocabulary_destroy(t->columns[i].words);
    }
    for (int i = 0; i < t->n_paths; i++)
        free(t->paths[i]);
    free(t->paths);
    free(t->columns);
    free(t);
}

static mb_status_t check_header(const mb_table_t *t, int file, const mb_csv_cell_t *cells, int n)
{
    for (int i = 0; i < t->n_columns || i < n; i++) {
        const char *wanted = i < t->n_columns ? t->columns[i].name : "nothing";
        const char *found = i < n ? cells[i].text : "nothing";
        if (i >= n || i >= t->n_columns || strcmp(wanted, found) != 0)
            return mb_error_set(MB_ERR_DATA,
                                "%s: line 1: column number %d is '%s' where %s has '%s': tables "
                                "that are joined must have the same columns",
                                t->paths[file], i, found, t->paths[0], wanted);
    }
    return MB_OK;
}

static mb_status_t check_width(const mb_table_t *t, mb_place_t place, int n)
{
    if (n == t->n_columns)
        return MB_OK;
    return mb_error_set(
        MB_ERR_DATA, "%s: line %" PRId64 " has %d cell%s where the first line%s%s has %d",
        t->paths[place.file], place.line, n, n == 1 ? "" : "s", place.file > 0 ? " of " : "",
        place.file > 0 ? t->paths[0] : "", t->n_columns);
}

typedef struct {
    const mb_table_t *table;
    mb_table_visit_t visit;
    void *user;
    const mb_source_form_t *form;
    int64_t before, total; /* bytes of the files done, and of all */
} walk_t;

static void show(const walk_t *w, const mb_csv_t *csv, int64_t rows)
{
    if (w->form->progress != NULL && rows % ROWS_BETWEEN == 0)
        w->form->progress(w->form->user, w->before + mb_csv_bytes(csv), w->total);
}

static mb_status_t walk_rows(const walk_t *w, int file, mb_csv_t *csv)
{
    const mb_csv_cell_t *cells;
    int n;
    int64_t rows = 0;
    MB_TRY(mb_csv_next(csv, &cells, &n));
    if (w->table->header) {
        MB_TRY(check_header(w->table, file, cells, n));
        MB_TRY(mb_csv_next(csv, &cells, &n));
    }
    for (; n > 0; rows++) {
        mb_place_t place = {file, mb_csv_line(csv)};
        MB_TRY(check_width(w->table, place, n));
        MB_TRY(w->visit(w->user, place, cells));
        show(w, csv, rows);
        MB_TRY(mb_csv_next(csv, &cells, &n));
    }
    return MB_OK;
}

static int64_t file_bytes(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

mb_status_t mb_table_walk(const mb_table_t *table, mb_table_visit_t visit, void *user,
                          const mb_source_form_t *form)
{
    walk_t w = {.table = table, .visit = visit, .user = user, .form = form};
    for (int i = 0; i < table->n_paths; i++)
        w.total += file_bytes(table->paths[i]);
    for (int i = 0; i < table->n_paths; i++) {
        mb_csv_t *csv;
        MB_TRY(mb_csv_open(table->paths[i], &csv));
        mb_status_t status = walk_rows(&w, i, csv);
        mb_csv_close(csv);
        MB_TRY(status);
        w.before += file_bytes(table->paths[i]);
    }
    return MB_OK;
}
