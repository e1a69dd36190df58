/* Bytes as a table of training data: the survey of its columns, its words, and its samples. */
#include "data/source.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

enum { LARGEST_SAMPLE = 4096 };

void mb_fuzz_table(const uint8_t *data, size_t size);

static void read_field(mb_source_t *source, int field)
{
    static float values[LARGEST_SAMPLE];
    const int64_t index = source->samples - 1;
    if (source->samples > 0 && mb_shape_elements(&source->fields[field].shape) <= LARGEST_SAMPLE)
        (void)source->class_->read(source, field, &index, 1, false, values);
}

void mb_fuzz_table(const uint8_t *data, size_t size)
{
    static const mb_source_wants_t any;
    mb_source_t *source = NULL;
    if (mb_source_open(mb_fuzz_named("table.csv", data, size), &any, &source) != MB_OK)
        return;
    for (int i = 0; i < source->n_fields; i++)
        read_field(source, i);
    mb_source_close(source);
}
