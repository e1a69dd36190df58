/* Bytes as the metrics of a run that goes on from step 5. */
#include "store/run_dir.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

void mb_fuzz_metrics(const uint8_t *data, size_t size);

void mb_fuzz_metrics(const uint8_t *data, size_t size)
{
    mb_run_dir_t *dir = NULL;
    mb_metrics_log_t *log = NULL;
    char *folder = strdup(mb_fuzz_named("metrics.jsonl", data, size));
    if (folder == NULL)
        abort();
    *strrchr(folder, '/') = '\0';
    if (mb_run_dir_open(NULL, folder, &dir) == MB_OK) {
        if (mb_metrics_log_open(dir, 5, &log) == MB_OK)
            mb_metrics_log_close(log);
        mb_run_dir_close(dir);
    }
    free(folder);
}
