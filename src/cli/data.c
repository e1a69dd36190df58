/* mbrun data: a data file from IDX files or text. */
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/say.h"
#include "data/convert.h"

static mb_status_t print_json(const char *output, const mb_data_summary_t *summary)
{
    json_t *shape = json_array();
    for (int i = 0; i < summary->shape.rank; i++)
        json_array_append_new(shape, json_integer(summary->shape.dim[i]));
    return mb_say_json(json_pack("{s:s, s:I, s:o, s:s, s:b, s:b, s:I}", "output", output, "samples",
                                 (json_int_t)summary->samples, "shape", shape, "dtype",
                                 mb_dtype_name(summary->dtype), "labels", summary->has_labels,
                                 "tokens", summary->is_tokens, "bytes",
                                 (json_int_t)summary->bytes));
}

static void print_text(const char *output, const mb_data_summary_t *summary)
{
    char count[MB_COUNT_TEXT], shape[MB_SHAPE_TEXT], bytes[32];
    mb_say_count(summary->samples, count, sizeof count);
    mb_str_bytes((double)summary->bytes, bytes, sizeof bytes);
    if (summary->is_tokens)
        printf("%s: %s tokens, %s\n", output, count, bytes);
    else
        printf("%s: %s samples of %s %s, %s; %s\n", output, count,
               mb_shape_text(&summary->shape, shape, sizeof shape), mb_dtype_name(summary->dtype),
               summary->has_labels ? "with labels" : "without labels", bytes);
}

static mb_status_t convert(const mb_args_t *args)
{
    mb_data_summary_t summary = {0};
    const char *output = mb_args_flag(args, "output");
    if (output == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "no file to write; use -o DATA.h5");
    MB_TRY(mb_data_convert(args->words, args->n_words, output, &summary));
    if (mb_args_has(args, "json"))
        return print_json(output, &summary);
    print_text(output, &summary);
    return MB_OK;
}

static int run_data(const mb_args_t *args)
{
    return mb_say_end(convert(args));
}

static const mb_flag_t flags[] = {{"output", 'o', "FILE", "the HDF5 file to write"},
                                  {"json", '\0', NULL, "one JSON object on stdout instead of text"},
                                  {.name = NULL}};

const mb_command_t mb_command_data = {
    .name = "data",
    .usage = "IN... -o DATA.h5",
    .title = "Build a data file from IDX files or text",
    .detail =
        "IN: IDX images, raw or gzip, each with its labels behind it, beside it by the usual\n"
        "name, or as IMAGES,LABELS; a folder with train-* and t10k-* (DIR, DIR:test); or text,\n"
        "whose bytes become tokens. Several are joined. DATA.h5 gets the datasets x and y, or\n"
        "tokens; it appears when it is complete, and replaces an existing one.\n",
    .flags = flags,
    .least_words = 1,
    .most_words = 1 << 20,
    .words = "at least one input",
    .run = run_data};
