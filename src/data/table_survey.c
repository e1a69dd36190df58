/* What the cells of a table's columns are. */
#include "data/table.h"

#include "data/cell.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 40 }; /* characters of a cell in a message */

typedef struct {
    mb_table_t *table;
    const mb_source_form_t *form;
    mb_place_t place;
    int column;
} survey_t;

static mb_column_t *column_of(const survey_t *s)
{
    return &s->table->columns[s->column];
}

static mb_status_t missing(const survey_t *s, mb_place_t place, const char *text)
{
    return mb_table_fault(s->table, place, s->column,
                          "the value is missing%s%.*s%s; fill it in or leave the line away",
                          text[0] == '\0' ? "" : " ('", SHOWN, text, text[0] == '\0' ? "" : "')");
}

static mb_status_t no_number(const survey_t *s, const char *text)
{
    const mb_column_t *c = column_of(s);
    if (c->decided.line == 0)
        return mb_table_fault(s->table, s->place, s->column,
                              "'%.*s' is no number, as the data that this goes with has here",
                              SHOWN, text);
    return mb_table_fault(s->table, s->place, s->column,
                          "'%.*s' is no number, but %s has one in this column at line %" PRId64
                          ", and a column is numbers or words throughout",
                          SHOWN, text, s->table->paths[c->decided.file], c->decided.line);
}

static mb_status_t comma(const survey_t *s, const char *text)
{
    return mb_table_fault(s->table, s->place, s->column,
                          "'%.*s' is a number with a comma; write a decimal point, and nothing "
                          "between thousands",
                          SHOWN, text);
}

static mb_status_t add_word(const survey_t *s, const mb_csv_cell_t *cell)
{
    mb_column_t *c = column_of(s);
    if (c->words == NULL)
        MB_TRY(mb_vocabulary_create(c->key, &c->words));
    return mb_vocabulary_add(c->words, cell->text, cell->length);
}

static mb_status_t check_word(const survey_t *s, const mb_vocabulary_t *known,
                              const mb_csv_cell_t *cell)
{
    if (mb_vocabulary_find(known, cell->text, cell->length) >= 0)
        return MB_OK;
    return mb_table_fault(s->table, s->place, s->column,
                          "'%.*s' is none of the %" PRId64
                          " words that the data that this goes with has here ('%s'%s)",
                          SHOWN, cell->text, known->n, known->n > 0 ? known->words[0] : "",
                          known->n > 1 ? ", ..." : "");
}

static mb_status_t take_number(const survey_t *s, double value)
{
    mb_column_t *c = column_of(s);
    if (c->kind == MB_COLUMN_OPEN && c->missing.line > 0)
        return missing(s, c->missing, c->words->words[0]);
    if (c->kind == MB_COLUMN_OPEN) {
        c->kind = MB_COLUMN_NUMBERS;
        c->decided = s->place;
    }
    if (!isfinite((float)value))
        return mb_table_fault(s->table, s->place, s->column, "%.6g is too large for float32",
                              value);
    c->integral = c->integral && fabs(value) <= (double)INT32_MAX && !(trunc(value) < value) &&
                  !(trunc(value) > value);
    return MB_OK;
}

static mb_status_t take_text(const survey_t *s, const mb_csv_cell_t *cell)
{
    mb_column_t *c = column_of(s);
    if (c->kind == MB_COLUMN_NUMBERS)
        return no_number(s, cell->text);
    if (c->kind == MB_COLUMN_OPEN) {
        c->kind = MB_COLUMN_WORDS;
        c->decided = s->place;
    }
    return add_word(s, cell);
}

/* NA and the like are words among words, and missing among numbers. */
static mb_status_t take_missing(const survey_t *s, const mb_csv_cell_t *cell)
{
    mb_column_t *c = column_of(s);
    if (c->kind == MB_COLUMN_NUMBERS)
        return missing(s, s->place, cell->text);
    if (c->missing.line == 0)
        c->missing = s->place;
    return add_word(s, cell);
}

static mb_status_t take_cell(const survey_t *s, const mb_csv_cell_t *cell)
{
    double value = 0;
    mb_column_t *c = column_of(s);
    const mb_vocabulary_t *known = mb_vocabularies_find(s->form->known, c->key);
    mb_cell_t kind = mb_cell_read(cell->text, cell->length, &value);
    if (kind == MB_CELL_EMPTY)
        return missing(s, s->place, "");
    if (known != NULL)
        return check_word(s, known, cell);
    if (c->kind == MB_COLUMN_WORDS)
        return add_word(s, cell);
    if (kind == MB_CELL_NUMBER)
        return take_number(s, value);
    if (kind == MB_CELL_COMMA)
        return comma(s, cell->text);
    return kind == MB_CELL_MISSING ? take_missing(s, cell) : take_text(s, cell);
}

static mb_status_t take_row(void *user, mb_place_t place, const mb_csv_cell_t *cells)
{
    survey_t *s = user;
    s->place = place;
    s->table->samples++;
    for (s->column = 0; s->column < s->table->n_columns; s->column++) {
        if (s->table->columns[s->column].key != NULL)
            MB_TRY(take_cell(s, &cells[s->column]));
    }
    return MB_OK;
}

/* Data that goes with other data must be of its kinds: what has no vocabulary there is numbers. */
static void begin(mb_table_t *table, const mb_source_form_t *form)
{
    table->samples = 0;
    for (int i = 0; i < table->n_columns; i++) {
        mb_column_t *c = &table->columns[i];
        c->integral = true;
        c->kind = form->known != NULL ? MB_COLUMN_NUMBERS : MB_COLUMN_OPEN;
    }
}

static mb_status_t finish(mb_table_t *table, const mb_source_form_t *form)
{
    for (int i = 0; i < table->n_columns; i++) {
        mb_column_t *c = &table->columns[i];
        const mb_vocabulary_t *known =
            c->key == NULL ? NULL : mb_vocabularies_find(form->known, c->key);
        if (known != NULL)
            MB_TRY(mb_vocabulary_copy(known, &c->words));
        if (c->words != NULL) {
            c->kind = MB_COLUMN_WORDS;
            mb_vocabulary_sort(c->words);
        }
    }
    if (table->samples > 0)
        return MB_OK;
    return mb_error_set(MB_ERR_DATA, "%s: the table has %s", table->paths[0],
                        table->header ? "a header, but no rows" : "no rows");
}

mb_status_t mb_table_survey(mb_table_t *table, const mb_source_form_t *form)
{
    survey_t s = {.table = table, .form = form};
    begin(table, form);
    MB_TRY(mb_table_walk(table, take_row, &s, form));
    return finish(table, form);
}
