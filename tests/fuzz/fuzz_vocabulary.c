/* Any text as the vocabularies that a data file or a model records. */
#include "data/vocabulary.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

void mb_fuzz_vocabulary(const uint8_t *data, size_t size);

void mb_fuzz_vocabulary(const uint8_t *data, size_t size)
{
    mb_vocabularies_t words = {NULL, 0};
    char *text = mb_fuzz_text(data, size);
    if (mb_vocabularies_parse(text, "fuzz", &words) == MB_OK)
        mb_vocabularies_free(&words);
    free(text);
}
