/* Finds out of what kind the inputs are, and has them converted. */
#define _POSIX_C_SOURCE 200809L
#include "data/convert_private.h"

#include "data/kind.h"
#include "data/paths.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

typedef enum { UNKNOWN, HDF5, IDX, TEXT, TABLE, ARRAYS, IMAGES, FAMILIES } family_t;

static const char *const family_names[FAMILIES] = {"of no known kind", "HDF5",   "IDX",   "text",
                                                   "a table",          "arrays", "images"};

static bool has_text_ending(const char *path)
{
    static const char *const endings[] = {".txt", ".text", ".md"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t tail = strlen(endings[i]);
        if (length > tail && strcasecmp(path + length - tail, endings[i]) == 0)
            return true;
    }
    return false;
}

static mb_status_t family_of(const char *path, bool text, family_t *family)
{
    static const family_t of_kind[] = {
        [MB_DATA_UNKNOWN] = UNKNOWN, [MB_DATA_HDF5] = HDF5,    [MB_DATA_IDX] = IDX,
        [MB_DATA_NPY] = ARRAYS,      [MB_DATA_NPZ] = ARRAYS,   [MB_DATA_TABLE] = TABLE,
        [MB_DATA_IMAGES] = IMAGES,   [MB_DATA_PLUGIN] = ARRAYS};
    struct stat info;
    mb_data_kind_t kind;
    bool file = stat(path, &info) == 0 && S_ISREG(info.st_mode);
    if (file && (text || has_text_ending(path))) {
        *family = TEXT;
        return MB_OK;
    }
    MB_TRY(mb_data_kind(path, &kind));
    *family = of_kind[kind];
    return MB_OK;
}

/* Patterns that the shell did not expand are of the kind of their first file. */
static mb_status_t family_of_input(const char *input, bool text, family_t *family)
{
    mb_paths_t paths;
    MB_TRY(mb_paths_expand(input, &paths));
    mb_status_t status = family_of(paths.path[0], text, family);
    if (status == MB_OK && strcmp(paths.path[0], input) != 0 && (*family == IDX || *family == TEXT))
        status = mb_error_set(MB_ERR_ARGUMENT,
                              "%s: %s is joined in the order given, so name the files (without "
                              "quotes the shell does)",
                              input, family_names[*family]);
    mb_paths_free(&paths);
    return status;
}

static mb_status_t refuse(const char *path, family_t family)
{
    struct stat info;
    if (family == HDF5)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: HDF5 is what this makes; --data takes it as it is", path);
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return mb_error_set(MB_ERR_IO,
                            "%s: the folder holds no train-images-idx3-ubyte[.gz], no NPY files "
                            "and no folders of images by class",
                            path);
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: neither IDX (raw or gzip), NPY nor NPZ, and its ending is neither a "
                        "table's (.csv, .tsv) nor text's (.txt); --text reads it as text",
                        path);
}

static mb_status_t find_family(const mb_conversion_t *c, family_t *family)
{
    for (int i = 0; i < c->n_inputs; i++) {
        family_t other;
        MB_TRY(family_of_input(c->inputs[i], c->options->text, &other));
        if (other == UNKNOWN || other == HDF5)
            return refuse(c->inputs[i], other);
        if (i > 0 && other != *family)
            return mb_error_set(
                MB_ERR_ARGUMENT, "%s is %s, but %s is %s: one data file is made of one kind",
                c->inputs[0], family_names[*family], c->inputs[i], family_names[other]);
        *family = other;
    }
    return MB_OK;
}

/* An option that would do nothing is a mistake. */
static mb_status_t check_options(const mb_conversion_t *c, family_t family)
{
    const mb_data_options_t *o = c->options;
    const char *option = NULL, *wants = NULL;
    if (o->label != NULL && family != TABLE)
        option = "--label", wants = "tables";
    else if (o->columns && family != TABLE)
        option = "--columns", wants = "tables";
    else if (o->image_size[0] > 0 && family != IMAGES)
        option = "--size", wants = "folders of images";
    else if (o->like != NULL && family != TABLE && family != IMAGES)
        option = "--like", wants = "tables and folders of images";
    if (option == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s is for %s, and %s is %s", option, wants, c->inputs[0],
                        family_names[family]);
}

/* Replacing an input would lose it. */
static mb_status_t check_output(const char *const *inputs, int n_inputs, const char *output)
{
    struct stat to, from;
    if (stat(output, &to) != 0)
        return MB_OK;
    if (S_ISDIR(to.st_mode))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: the output is a folder; name a file", output);
    for (int i = 0; i < n_inputs; i++) {
        if (stat(inputs[i], &from) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
            return mb_error_set(MB_ERR_ARGUMENT, "%s: the output is one of the inputs", output);
    }
    return MB_OK;
}

void mb_convert_show(const mb_conversion_t *c, const char *what, int64_t done, int64_t total)
{
    if (c->options->progress != NULL)
        c->options->progress(c->options->user, what, done, total);
}

/* Bytes of two axes are an image without an axis of channels. */
int64_t mb_convert_channels(const mb_shape_t *sample, mb_dtype_t stored)
{
    bool plain = sample->rank == 0 || (sample->rank == 2 && stored == MB_U8);
    return plain ? 1 : sample->dim[sample->rank - 1];
}

mb_status_t mb_convert_write_deviation(mb_conversion_t *c, mb_deviation_t *deviation,
                                       const mb_output_dataset_t *mean,
                                       const mb_output_dataset_t *variance)
{
    size_t bytes = (size_t)deviation->channels * sizeof(double);
    mb_deviation_finish(deviation);
    MB_TRY(mb_output_write(&c->file, mean->offset, deviation->mean, bytes));
    return mb_output_write(&c->file, variance->offset, deviation->squares, bytes);
}

static mb_status_t convert(mb_conversion_t *c)
{
    family_t family = UNKNOWN;
    MB_TRY(check_output(c->inputs, c->n_inputs, c->output));
    MB_TRY(find_family(c, &family));
    MB_TRY(check_options(c, family));
    if (family == IDX)
        return mb_convert_idx(c);
    return family == TEXT ? mb_convert_text(c) : mb_convert_source(c);
}

mb_status_t mb_data_convert(const char *const *inputs, int n_inputs, const char *output,
                            const mb_data_options_t *options, mb_data_summary_t *summary)
{
    static const mb_data_options_t none = {.label = NULL};
    mb_conversion_t c = {.inputs = inputs,
                         .n_inputs = n_inputs,
                         .output = output,
                         .options = options == NULL ? &none : options,
                         .file = {.staged = {.file = {.fd = -1}}},
                         .summary = summary};
    if (n_inputs < 1)
        return mb_error_set(MB_ERR_ARGUMENT, "no input is named");
    c.buffer = malloc(MB_CONVERT_BYTES);
    mb_status_t status =
        c.buffer == NULL ? mb_error_memory("a data file's buffer", MB_CONVERT_BYTES) : convert(&c);
    mb_output_close(&c.file);
    free(c.buffer);
    return status;
}
