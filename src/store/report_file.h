/* /mbrun/report in a file. */
#ifndef MB_STORE_REPORT_FILE_H
#define MB_STORE_REPORT_FILE_H

#include "store/h5_write.h"
#include "store/report.h"

mb_status_t mb_report_write(const mb_h5_writer_t *h5, const mb_report_t *report);
/* Into the reader's arena; *report is NULL when the file has none. */
mb_status_t mb_report_read(const mb_h5_reader_t *reader, mb_report_t **report);

#endif
