/* The reports of a run as JSON objects: new references, NULL when memory is exhausted. */
#ifndef MB_CLI_REPORT_JSON_H
#define MB_CLI_REPORT_JSON_H

#include <jansson.h>
#include "train/trainer.h"

json_t *mb_json_start(const mb_start_report_t *report);
json_t *mb_json_straggler(const mb_straggler_report_t *report);
json_t *mb_json_step(const mb_step_report_t *report);
json_t *mb_json_metrics(const mb_metric_value_t *metrics, int n);
json_t *mb_json_eval(const mb_eval_report_t *report, const char *event);

#endif
