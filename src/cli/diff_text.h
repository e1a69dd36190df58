/* What mbrun diff found, as text and as JSON. */
#ifndef MB_CLI_DIFF_TEXT_H
#define MB_CLI_DIFF_TEXT_H

#include <jansson.h>
#include "store/compare.h"

void mb_diff_print(const mb_comparison_t *comparison, const char *a, const char *b);
/* A new reference. */
json_t *mb_diff_json(const mb_comparison_t *comparison, const char *a, const char *b);

#endif
