/* A comparison as JSON. */
#ifndef MB_STORE_COMPARE_JSON_H
#define MB_STORE_COMPARE_JSON_H

#include <jansson.h>

#include "store/compare.h"

/* What each kind of difference is called. */
extern const char *const mb_compared_text_names[MB_COMPARED_TEXTS];
extern const char *const mb_compared_tensor_names[MB_COMPARED_TENSORS];

/* Of the files called A and B. A new reference. */
json_t *mb_comparison_json(const mb_comparison_t *comparison, const char *a, const char *b);

#endif
