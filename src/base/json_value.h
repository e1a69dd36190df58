/* Values that may have no word in JSON. */
#ifndef MB_BASE_JSON_VALUE_H
#define MB_BASE_JSON_VALUE_H

#include <jansson.h>

/* A number, or null when it is not finite. New reference. */
json_t *mb_json_number(double value);
/* A text, or null. New reference. */
json_t *mb_json_text(const char *text);

#endif
