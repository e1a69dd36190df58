/* Tables as samples. Opening reads them once to learn what they hold; the values, 4 bytes a cell,
 * are kept from the first sample that is asked for on, so that a rank that feeds nothing keeps
 * none. */
#define _POSIX_C_SOURCE 200809L
#include "data/cell.h"
#include "data/extent.h"
#include "data/internal.h"
#include "data/spool.h"
#include "data/table_fields.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    mb_source_t base;
    mb_table_t *table;
    mb_table_fields_t fields;
    char **names; /* one a field */
    mb_spool_t *spools;
    mb_extent_t *extents;
    bool filled;
    int64_t rows; /* while filling */
    pthread_mutex_t filling;
} table_t;

static void table_close(mb_source_t *source)
{
    table_t *t = (table_t *)source;
    for (int i = 0; i < source->n_fields; i++) {
        if (t->spools != NULL)
            mb_spool_free(&t->spools[i]);
        if (t->names != NULL)
            free(t->names[i]);
    }
    free(t->names);
    free(t->spools);
    free(t->extents);
    mb_table_fields_free(&t->fields);
    mb_table_close(t->table);
    pthread_mutex_destroy(&t->filling);
    mb_source_release(source);
}

static mb_status_t changed(const table_t *t)
{
    return mb_error_set(MB_ERR_IO, "%s: the table changed since it was opened", t->base.path);
}

static mb_status_t cell_value(const table_t *t, const mb_column_t *column,
                              const mb_csv_cell_t *cell, double *value)
{
    if (column->kind == MB_COLUMN_WORDS) {
        int64_t word = mb_vocabulary_find(column->words, cell->text, cell->length);
        *value = (double)word;
        return word < 0 ? changed(t) : MB_OK;
    }
    bool number = mb_cell_read(cell->text, cell->length, value) == MB_CELL_NUMBER;
    return number ? MB_OK : changed(t);
}

static void put(void *to, int64_t at, mb_dtype_t dtype, double value)
{
    if (dtype == MB_I32)
        ((int32_t *)to)[at] = (int32_t)value;
    else
        ((float *)to)[at] = (float)value;
}

static mb_status_t fill_row(void *user, mb_place_t place, const mb_csv_cell_t *cells)
{
    table_t *t = user;
    (void)place;
    if (t->rows == t->base.samples)
        return changed(t);
    for (int f = 0; f < t->fields.n; f++) {
        const mb_table_field_t *field = &t->fields.items[f];
        for (int i = 0; i < field->n_columns; i++) {
            double value = 0;
            const mb_column_t *column = &t->table->columns[field->columns[i]];
            MB_TRY(cell_value(t, column, &cells[field->columns[i]], &value));
            put(t->spools[f].bytes, t->rows * field->n_columns + i, t->base.fields[f].stored,
                value);
        }
    }
    t->rows++;
    return MB_OK;
}

static mb_status_t fill(table_t *t)
{
    const mb_source_form_t silent = {.label = NULL};
    t->rows = 0;
    for (int f = 0; f < t->fields.n; f++) {
        mb_spool_free(&t->spools[f]);
        MB_TRY(mb_spool_create(t->base.samples * t->extents[f].bytes, t->base.path, &t->spools[f]));
        t->extents[f].memory = t->spools[f].bytes;
    }
    MB_TRY(mb_table_walk(t->table, fill_row, t, &silent));
    t->filled = t->rows == t->base.samples;
    return t->filled ? MB_OK : changed(t);
}

static mb_status_t ensure_filled(table_t *t)
{
    pthread_mutex_lock(&t->filling);
    mb_status_t status = t->filled ? MB_OK : fill(t);
    pthread_mutex_unlock(&t->filling);
    return status;
}

static mb_status_t table_read(mb_source_t *source, int field, const int64_t *indices, int64_t count,
                              bool as_int, void *to)
{
    table_t *t = (table_t *)source;
    MB_TRY(ensure_filled(t));
    return mb_extent_read(source, field, &t->extents[field], indices, count, as_int, to);
}

static const mb_source_class_t table_class = {sizeof(mb_source_class_t), "table", table_close,
                                              table_read, true};

static bool is_integral(const table_t *t, const mb_table_field_t *field)
{
    for (int i = 0; i < field->n_columns; i++) {
        const mb_column_t *c = &t->table->columns[field->columns[i]];
        if (c->kind == MB_COLUMN_NUMBERS && !c->integral)
            return false;
    }
    return true;
}

static mb_status_t describe(table_t *t, int f)
{
    const mb_table_field_t *field = &t->fields.items[f];
    t->names[f] = strdup(field->name);
    if (t->names[f] == NULL)
        return mb_error_memory("a field's name", strlen(field->name));
    bool integral = is_integral(t, field);
    mb_dtype_t stored = integral ? MB_I32 : MB_F32;
    t->base.fields[f] = (mb_field_t){
        .name = t->names[f], .shape = field->shape, .stored = stored, .integral = integral};
    t->extents[f] = (mb_extent_t){.file = -1,
                                  .stride = 4 * (int64_t)field->n_columns,
                                  .bytes = 4 * (int64_t)field->n_columns,
                                  .element = {.stored = stored}};
    t->base.digest = mb_digest_field(t->base.digest, &t->base.fields[f], &t->extents[f].element,
                                     t->base.samples);
    return MB_OK;
}

static mb_status_t publish_words(table_t *t)
{
    for (int i = 0; i < t->table->n_columns; i++) {
        const mb_vocabulary_t *words = t->table->columns[i].words;
        mb_vocabulary_t *copy = NULL;
        if (words == NULL)
            continue;
        MB_TRY(mb_vocabulary_copy(words, &copy));
        MB_TRY(mb_source_take_words(&t->base, copy));
    }
    return MB_OK;
}

static mb_status_t digest_file(table_t *t, const char *path)
{
    struct stat info;
    mb_extent_t bytes = {.file = open(path, O_RDONLY | O_CLOEXEC)};
    if (bytes.file < 0 || fstat(bytes.file, &info) != 0)
        return mb_error_set(MB_ERR_IO, "%s: %s", path, strerror(errno));
    mb_status_t status = mb_extent_digest(&bytes, path, info.st_size,
                                          MB_DIGEST_BYTES / t->table->n_paths, &t->base.digest);
    close(bytes.file);
    return status;
}

static mb_status_t set_up(table_t *t, const mb_source_wants_t *wants)
{
    size_t n = (size_t)t->fields.n;
    t->names = calloc(n, sizeof(*t->names));
    t->spools = calloc(n, sizeof(*t->spools));
    t->extents = calloc(n, sizeof(*t->extents));
    if (t->names == NULL || t->spools == NULL || t->extents == NULL)
        return mb_error_memory("a table", n);
    t->base.samples = t->table->samples;
    for (int f = 0; f < t->fields.n; f++)
        MB_TRY(describe(t, f));
    MB_TRY(publish_words(t));
    for (int i = 0; i < t->table->n_paths; i++)
        MB_TRY(digest_file(t, t->table->paths[i]));
    mb_source_add_channel(&t->base, wants);
    return mb_source_check_inputs(&t->base, wants);
}

static mb_status_t wrap(mb_table_t *table, const mb_table_fields_t *fields,
                        const mb_source_wants_t *wants, mb_source_t **out)
{
    mb_source_t *source =
        mb_source_allocate(&table_class, sizeof(table_t), table->paths[0], fields->n);
    if (source == NULL)
        return mb_error_memory("a table", sizeof(table_t));
    table_t *t = (table_t *)source;
    t->table = table;
    t->fields = *fields;
    pthread_mutex_init(&t->filling, NULL);
    mb_status_t status = set_up(t, wants);
    if (status == MB_OK) {
        *out = source;
        return MB_OK;
    }
    t->table = NULL; /* the caller frees these with an error */
    t->fields = (mb_table_fields_t){NULL, 0};
    table_close(source);
    return status;
}

mb_status_t mb_source_open_table(char *const *paths, int n_paths, const mb_source_wants_t *wants,
                                 mb_source_t **out)
{
    mb_table_t *table = NULL;
    mb_table_fields_t fields = {NULL, 0};
    mb_status_t status = mb_table_open(paths, n_paths, &table);
    if (status == MB_OK)
        status = mb_table_choose(table, wants, &fields);
    if (status == MB_OK)
        status = mb_table_survey(table, &wants->form);
    if (status == MB_OK)
        status = wrap(table, &fields, wants, out);
    if (status != MB_OK) {
        mb_table_fields_free(&fields);
        mb_table_close(table);
    }
    return status;
}
