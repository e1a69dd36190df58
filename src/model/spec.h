/* Short texts of the command line that stand for a serialized object: "name" or
 * "name:key=value,key=value" becomes {"class_name": "name", "config": {"key": value, ...}}.
 * Numbers, true, false (also yes, no) and null become JSON values, anything else a string. */
#ifndef MB_MODEL_SPEC_H
#define MB_MODEL_SPEC_H

#include <jansson.h>
#include "base/error.h"

/* WHERE ("--loss") starts the message. *out is a new reference. */
mb_status_t mb_spec_parse(const char *text, const char *where, json_t **out);

/* One value by the same rule; a new reference, NULL when memory is exhausted. */
json_t *mb_spec_value(const char *text);

#endif
