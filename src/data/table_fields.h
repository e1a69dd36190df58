/* Which columns of a table serve a model. */
#ifndef MB_DATA_TABLE_FIELDS_H
#define MB_DATA_TABLE_FIELDS_H

#include "data/table.h"

typedef struct {
    const char *name; /* the table's, the model's, or constant */
    int *columns;
    int n_columns;
    mb_shape_t shape; /* of a sample */
} mb_table_field_t;

typedef struct {
    mb_table_field_t *items;
    int n;
} mb_table_fields_t;

/* Chooses the fields, and gives the columns that are used their keys. */
mb_status_t mb_table_choose(mb_table_t *table, const mb_source_wants_t *wants,
                            mb_table_fields_t *out);
void mb_table_fields_free(mb_table_fields_t *fields);

#endif
