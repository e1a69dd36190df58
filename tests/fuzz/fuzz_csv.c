/* Bytes as records of a delimited text, raw or gzip. */
#include "data/csv.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <unistd.h>

/* Of gzip, few bytes make many cells, which takes the time of thousands of other inputs. */
enum { MOST_RECORDS = 1000, MOST_GZIP = 256 };

void mb_fuzz_csv(const uint8_t *data, size_t size);

void mb_fuzz_csv(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    mb_csv_t *csv = NULL;
    const mb_csv_cell_t *cells = NULL;
    if (size > MOST_GZIP && data[0] == 0x1f)
        return;
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
