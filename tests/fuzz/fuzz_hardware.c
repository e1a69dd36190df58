/* Bytes as a hardware file; what is read must be written so that it is read again. */
#include "pipeline/hardware.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mb_fuzz_hardware(const uint8_t *data, size_t size);

static mb_status_t read_bytes(const void *data, size_t size, mb_hardware_t *out)
{
    char path[MB_FUZZ_PATH];
    int file = mb_fuzz_file(data, size, path);
    mb_status_t status = mb_hardware_read(path, out);
    close(file);
    return status;
}

void mb_fuzz_hardware(const uint8_t *data, size_t size)
{
    mb_hardware_t hardware, again;
    if (read_bytes(data, size, &hardware) != MB_OK)
        return;
    char *text = mb_hardware_text(&hardware);
    if (text == NULL || read_bytes(text, strlen(text), &again) != MB_OK)
        abort();
    free(text);
}
