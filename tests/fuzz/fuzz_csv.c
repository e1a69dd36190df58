/* Bytes as records of a delimited text, raw or gzip. */
#include "data/csv.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <unistd.h>

enum { MOST_RECORDS = 1000 };

void mb_fuzz_csv(const uint8_t *data, size_t size);

void mb_fuzz_csv(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    mb_csv_t *csv = NULL;
    const mb_csv_cell_t *cells = NULL;
    int n = 1, file = mb_fuzz_file(data, size, path);
    if (mb_csv_open(path, &csv) == MB_OK) {
        for (int r = 0; r < MOST_RECORDS && n > 0 && mb_csv_next(csv, &cells, &n) == MB_OK; r++) {
            for (int i = 0; i < n; i++) {
                if (cells[i].text[cells[i].length] != '\0')
                    abort();
            }
        }
        mb_csv_close(csv);
    }
    close(file);
}
