/* mbrun data: a data file from any other kind of data. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/bar.h"
#include "cli/command.h"
#include "cli/say.h"
#include "data/convert_summary.h"

static const char *describe_labels(const mb_data_summary_t *summary, char *text, size_t capacity)
{
    if (!summary->has_labels)
        return "without labels";
    if (summary->classes == 0)
        return "with labels";
    snprintf(text, capacity, "with labels of %" PRId64 " classes", summary->classes);
    return text;
}

static void print_text(const char *output, const mb_data_summary_t *summary)
{
    char count[MB_COUNT_TEXT], shape[MB_SHAPE_TEXT], bytes[32], labels[64];
    mb_say_count(summary->samples, count, sizeof count);
    mb_str_bytes((double)summary->bytes, bytes, sizeof bytes);
    if (summary->is_tokens) {
        printf("%s: %s tokens, %s\n", output, count, bytes);
        return;
    }
    printf("%s: %s samples of %s %s, %s%s; %s\n", output, count,
           mb_shape_text(&summary->shape, shape, sizeof shape), mb_dtype_name(summary->dtype),
           describe_labels(summary, labels, sizeof labels),
           summary->normalized ? ", with mean and variance" : "", bytes);
    if (summary->n_datasets > 1 + summary->has_labels)
        printf("%s: %d datasets in all\n", output, summary->n_datasets);
}

static void show(void *user, const char *what, int64_t done, int64_t total)
{
    mb_bar_show(user, what, done, total);
}

static mb_status_t convert(const mb_args_t *args)
{
    mb_data_summary_t summary = {0};
    mb_bar_t bar;
    const char *output = mb_args_flag(args, "output"), *size = mb_args_flag(args, "size");
    mb_data_options_t options = {.label = mb_args_flag(args, "label"),
                                 .columns = mb_args_has(args, "columns"),
                                 .text = mb_args_has(args, "text"),
                                 .normalize = mb_args_has(args, "normalize"),
                                 .like = mb_args_flag(args, "like"),
                                 .progress = show,
                                 .user = &bar};
    if (output == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "no file to write; use -o DATA.h5");
    if (size != NULL)
        MB_TRY(mb_data_read_size(size, options.image_size));
    mb_bar_begin(&bar, mb_args_has(args, "json"));
    mb_status_t status = mb_data_convert(args->words, args->n_words, output, &options, &summary);
    mb_bar_end(&bar);
    MB_TRY(status);
    if (mb_args_has(args, "json"))
        return mb_say_json(mb_data_summary_json(&summary, output));
    print_text(output, &summary);
    return MB_OK;
}

static int run_data(const mb_args_t *args)
{
    return mb_say_end(convert(args));
}

static const mb_flag_t flags[] = {
    {"output", 'o', "FILE", "the HDF5 file to write"},
    {"label", '\0', "COLUMN", "a table's column of targets: its name, or its place from 0"},
    {"columns", '\0', NULL, "a table: one dataset a column, for models with an input a column"},
    {"like", '\0', "FILE.h5", "a data file whose words have their integers here too"},
    {"size", '\0', "HxW[xC]", "bring images to this size (and 1, 3 or 4 channels)"},
    {"normalize", '\0', NULL, "add mean and variance of each feature, for Normalization"},
    {"text", '\0', NULL, "the inputs are text, whatever they are called"},
    {"json", '\0', NULL, "one JSON object on stdout instead of text"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_data = {
    .name = "data",
    .usage = "IN... -o DATA.h5",
    .title = "Build a data file from tables, arrays, images or text",
    .detail =
        "IN, several of one kind:\n"
        "  tables   CSV or TSV (.csv, .tsv, .gz behind it too): x gets the columns of features,\n"
        "           y the column --label; words become integers, /vocabulary keeps the words\n"
        "  arrays   NPY (X.npy, or X.npy,Y.npy, or a folder of arrays by name) and NPZ, whose\n"
        "           members x_train ... are named ARCHIVE.npz:train\n"
        "  images   a folder of PNG and JPEG images, a folder a class (FOLDER/CLASS/a.png)\n"
        "  IDX      images, raw or gzip, each with its labels behind it, beside it by the usual\n"
        "           name, or as IMAGES,LABELS; a folder with train-* and t10k-* (DIR, DIR:test)\n"
        "  text     (.txt, .text, .md): its bytes become tokens\n"
        "IDX and text are joined in the order given, the others in the order of their names.\n"
        "DATA.h5 appears when it is complete, and replaces an existing one. The formats are\n"
        "described in doc/data.md.\n",
    .flags = flags,
    .least_words = 1,
    .most_words = 1 << 20,
    .words = "at least one input",
    .run = run_data};
