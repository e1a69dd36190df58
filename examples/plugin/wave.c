/* Samples of a wave that are computed when they are asked for: y = sin(frequency x), x in [-1, 1).
 * A file with the ending .wave holds two numbers: how many samples, and the frequency. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

typedef struct {
    long long samples;
    double frequency;
} wave_t;

static const mb_plugin_field_t fields[] = {{"x", {1, {1}}, 0}, {"y", {1, {1}}, 0}};

static mb_status_t open_wave(const char *path, void **data, mb_plugin_contents_t *contents)
{
    wave_t *wave = malloc(sizeof *wave);
    FILE *file = fopen(path, "r");
    int found = wave == NULL || file == NULL
                    ? 0
                    : fscanf(file, "%lld %lf", &wave->samples, &wave->frequency);
    if (file != NULL)
        fclose(file);
    if (found != 2 || wave->samples < 1) {
        free(wave);
        return mb->error(MB_ERR_FORMAT, "wanted are a number of samples and a frequency");
    }
    *data = wave;
    *contents = (mb_plugin_contents_t){wave->samples, 2, fields};
    return MB_OK;
}

/* The fractional parts of index times the golden ratio lie evenly. */
static mb_status_t read_wave(void *data, int field, int64_t index, void *to)
{
    const wave_t *wave = data;
    double x = 2.0 * fmod((double)index * 0.6180339887498949, 1.0) - 1.0;
    float value = (float)(field == 0 ? x : sin(wave->frequency * x));
    memcpy(to, &value, sizeof value);
    return MB_OK;
}

const mb_plugin_source_t wave_source = {.size = sizeof(mb_plugin_source_t),
                                        .ending = ".wave",
                                        .threads = 1,
                                        .open = open_wave,
                                        .read = read_wave,
                                        .close = free};
