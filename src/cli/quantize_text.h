/* What mbrun quantize says: the report as a table, and as JSON. */
#ifndef MB_CLI_QUANTIZE_TEXT_H
#define MB_CLI_QUANTIZE_TEXT_H

#include <jansson.h>
#include "compress/quantize.h"
#include "store/report_json.h"

void mb_quantize_print(const mb_quantize_result_t *result, const char *output);
/* New reference; NULL when memory is exhausted. */
json_t *mb_quantize_json(const mb_quantize_result_t *result, const char *output);
/* The report alone, as a file has it. */
void mb_report_print(const mb_report_t *report);

#endif
