/* Where the time of a run's steps went (mbrun train --profile), for people and as JSON. */
#ifndef MB_CLI_TIME_TEXT_H
#define MB_CLI_TIME_TEXT_H

#include <jansson.h>
#include "train/trainer.h"

#define MB_TIME_LINE 160

/* Line number I of both tables; false behind the last one. */
bool mb_time_line(const mb_time_report_t *report, int i, char line[MB_TIME_LINE]);
/* A new reference. */
json_t *mb_time_json(const mb_time_report_t *report);

#endif
