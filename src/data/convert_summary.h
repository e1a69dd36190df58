/* What a data file is built with, and what came of it, as texts. */
#ifndef MB_DATA_CONVERT_SUMMARY_H
#define MB_DATA_CONVERT_SUMMARY_H

#include <jansson.h>

#include "data/convert.h"

/* "HEIGHTxWIDTH" or "HEIGHTxWIDTHxCHANNELS". */
mb_status_t mb_data_read_size(const char *text, int64_t size[3]);

/* A new reference. */
json_t *mb_data_summary_json(const mb_data_summary_t *summary, const char *output);

#endif
