/* The report of a quantized file as JSON: new references, NULL when memory is exhausted. */
#ifndef MB_STORE_REPORT_JSON_H
#define MB_STORE_REPORT_JSON_H

#include <jansson.h>

#include "store/report.h"

json_t *mb_report_json(const mb_report_t *report);
/* Of it: a line for each tensor; what was measured on data, or null. */
json_t *mb_report_lines_json(const mb_report_t *report);
json_t *mb_report_data_json(const mb_report_t *report);

#endif
