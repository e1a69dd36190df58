/* Targets are chosen first; the features of the only input are what they leave. */
#include "data/table_fields.h"

#include "data/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    mb_table_t *table;
    const mb_source_wants_t *wants;
    mb_table_fields_t *fields;
    int label; /* -1: none is named */
    bool *taken;
} choice_t;

static mb_status_t add_field(const choice_t *c, const char *name, mb_table_field_t **out)
{
    mb_table_field_t *field = &c->fields->items[c->fields->n];
    field->name = name;
    field->columns = calloc((size_t)c->table->n_columns, sizeof(int));
    if (field->columns == NULL)
        return mb_error_memory("a table's columns", (size_t)c->table->n_columns);
    c->fields->n++;
    *out = field;
    return MB_OK;
}

static mb_status_t give_key(const choice_t *c, int column, const char *field, int place)
{
    char key[256];
    if (place < 0)
        snprintf(key, sizeof(key), "%s", field);
    else
        snprintf(key, sizeof(key), "%s.%d", field, place);
    free(c->table->columns[column].key);
    c->table->columns[column].key = strdup(key);
    c->taken[column] = true;
    return c->table->columns[column].key == NULL ? mb_error_memory(key, sizeof(key)) : MB_OK;
}

static mb_status_t add_column(const choice_t *c, const char *name, int column)
{
    mb_table_field_t *field = NULL;
    MB_TRY(add_field(c, name, &field));
    field->columns[0] = column;
    field->n_columns = 1;
    return give_key(c, column, name, -1);
}

static mb_status_t no_column(const choice_t *c, const char *role, const char *name,
                             const char *remedy)
{
    char *names = mb_table_names(c->table);
    mb_status_t status =
        mb_error_set(MB_ERR_DATA, "%s: no column for the model's %s '%s'%s; the columns are %s",
                     c->table->paths[0], role, name, remedy, names == NULL ? "" : names);
    free(names);
    return status;
}

static mb_status_t choose_output(const choice_t *c, int output)
{
    const char *name = c->wants->output_names[output];
    bool only = c->wants->n_outputs == 1;
    int column = only && c->label >= 0 ? c->label : mb_table_find(c->table, name);
    if (column < 0 && only)
        column = mb_table_find(c->table, "y");
    if (column < 0)
        return no_column(c, "output", name,
                         only ? ": --label COLUMN names the targets"
                              : ": with several outputs each is the column of its name");
    return add_column(c, only ? "y" : name, column);
}

static mb_status_t check_label(const choice_t *c)
{
    if (c->label < 0 || c->wants->n_outputs <= 1)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: --label names one column, but the model has %d outputs: name the "
                        "columns of the table as the outputs",
                        c->table->paths[0], c->wants->n_outputs);
}

static int64_t wanted_elements(const mb_shape_t *want)
{
    return mb_shape_is_open(want) ? -1 : mb_shape_elements(want);
}

/* Columns carry no shape, so features in the number of the input's elements have the input's. */
static mb_status_t shape_features(const choice_t *c, int input, mb_table_field_t *field)
{
    char want[MB_SHAPE_TEXT];
    field->shape = (mb_shape_t){.rank = 1, .dim = {field->n_columns}};
    if (input < 0)
        return MB_OK;
    const mb_shape_t *shape = &c->wants->input_shapes[input];
    int64_t wanted = wanted_elements(shape);
    if (wanted == field->n_columns)
        field->shape = *shape;
    if (wanted < 0 || wanted == field->n_columns)
        return MB_OK;
    char *names = mb_table_names(c->table);
    mb_status_t status = mb_error_set(
        MB_ERR_SHAPE,
        "%s: %d column%s of features, but the model's input '%s' takes %s%s; the columns are %s",
        c->table->paths[0], field->n_columns, field->n_columns == 1 ? "" : "s",
        c->wants->input_names[input], mb_shape_text(shape, want, sizeof(want)),
        c->label < 0 ? ": --label COLUMN takes the targets out" : "", names == NULL ? "" : names);
    free(names);
    return status;
}

static mb_status_t choose_features(const choice_t *c, int input)
{
    mb_table_field_t *field = NULL;
    MB_TRY(add_field(c, "x", &field));
    for (int i = 0; i < c->table->n_columns; i++) {
        if (!c->taken[i] && i != c->label)
            field->columns[field->n_columns++] = i;
    }
    if (field->n_columns == 0)
        return mb_error_set(MB_ERR_DATA, "%s: no column is left for the features",
                            c->table->paths[0]);
    for (int i = 0; i < field->n_columns; i++)
        MB_TRY(give_key(c, field->columns[i], "x", i));
    return shape_features(c, input, field);
}

/* The only input takes one column of its own name where it wants one number. */
static bool takes_own_column(const choice_t *c, int input)
{
    int column = mb_table_find(c->table, c->wants->input_names[input]);
    return column >= 0 && !c->taken[column] && column != c->label &&
           wanted_elements(&c->wants->input_shapes[input]) == 1;
}

static mb_status_t choose_input(const choice_t *c, int input)
{
    const char *name = c->wants->input_names[input];
    bool only = mb_source_only_input(c->wants) == input;
    int column = mb_table_find(c->table, name);
    if (only && !takes_own_column(c, input))
        return choose_features(c, input);
    if (column >= 0)
        return add_column(c, name, column);
    if (mb_source_is_positions(c->wants, input))
        return MB_OK;
    return no_column(c, "input", name, ": with several inputs each is the column of its name");
}

static mb_status_t choose_for_model(const choice_t *c)
{
    MB_TRY(check_label(c));
    for (int o = 0; o < c->wants->n_outputs; o++)
        MB_TRY(choose_output(c, o));
    for (int i = 0; i < c->wants->n_inputs; i++)
        MB_TRY(choose_input(c, i));
    return MB_OK;
}

static mb_status_t choose_all(const choice_t *c)
{
    if (!c->wants->form.columns)
        MB_TRY(choose_features(c, -1));
    for (int i = 0; i < c->table->n_columns && c->wants->form.columns; i++) {
        if (i != c->label)
            MB_TRY(add_column(c, c->table->columns[i].name, i));
    }
    return c->label < 0 ? MB_OK : add_column(c, "y", c->label);
}

static mb_status_t choose(choice_t *c)
{
    c->label = -1;
    if (c->wants->form.label != NULL)
        MB_TRY(mb_table_label(c->table, c->wants->form.label, &c->label));
    return c->wants->n_inputs == 0 ? choose_all(c) : choose_for_model(c);
}

mb_status_t mb_table_choose(mb_table_t *table, const mb_source_wants_t *wants,
                            mb_table_fields_t *out)
{
    size_t most = (size_t)(wants->n_inputs + wants->n_outputs + table->n_columns) + 2;
    choice_t c = {.table = table, .wants = wants, .fields = out};
    out->n = 0;
    out->items = calloc(most, sizeof(*out->items));
    c.taken = calloc((size_t)table->n_columns, sizeof(bool));
    mb_status_t status = out->items == NULL || c.taken == NULL
                             ? mb_error_memory("a table's fields", most)
                             : choose(&c);
    free(c.taken);
    if (status != MB_OK)
        mb_table_fields_free(out);
    return status;
}

void mb_table_fields_free(mb_table_fields_t *fields)
{
    for (int i = 0; i < fields->n; i++)
        free(fields->items[i].columns);
    free(fields->items);
    *fields = (mb_table_fields_t){NULL, 0};
}
