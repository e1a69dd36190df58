/* What mbrun diff found, as text. */
#ifndef MB_CLI_DIFF_TEXT_H
#define MB_CLI_DIFF_TEXT_H

#include "store/compare.h"

void mb_diff_print(const mb_comparison_t *comparison, const char *a, const char *b);

#endif
