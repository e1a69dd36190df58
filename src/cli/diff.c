/* mbrun diff: what two model files or checkpoints do not have in common. */
#include <math.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/diff_text.h"
#include "cli/say.h"
#include "engine/model_variables.h"
#include "store/compare_json.h"

static mb_status_t take_tolerance(const mb_args_t *args, double *tolerance)
{
    const char *text = mb_args_flag(args, "tolerance");
    char *end = NULL;
    *tolerance = text == NULL ? 0.0 : strtod(text, &end);
    if (text != NULL && (end == text || *end != '\0' || !isfinite(*tolerance) || *tolerance < 0))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--tolerance %s: a number of 0 or more is wanted, such as 1e-6", text);
    return MB_OK;
}

static mb_status_t say(const mb_args_t *args, const mb_comparison_t *found)
{
    if (mb_args_has(args, "json"))
        return mb_say_json(mb_comparison_json(found, args->words[0], args->words[1]));
    mb_diff_print(found, args->words[0], args->words[1]);
    return MB_OK;
}

static mb_status_t compare(const mb_args_t *args, bool *equal)
{
    mb_model_file_t *a = NULL, *b = NULL;
    mb_comparison_t found = {.arena = NULL};
    double tolerance;
    MB_TRY(take_tolerance(args, &tolerance));
    mb_status_t status = mb_model_file_open_arranged(args->words[0], &a);
    if (status == MB_OK)
        status = mb_model_file_open_arranged(args->words[1], &b);
    if (status == MB_OK)
        status = mb_compare(a, b, tolerance, &found);
    if (status == MB_OK)
        status = say(args, &found);
    *equal = mb_comparison_equal(&found);
    mb_comparison_free(&found);
    mb_model_file_close(a);
    mb_model_file_close(b);
    return status;
}

static int run_diff(const mb_args_t *args)
{
    bool equal = false;
    int code = mb_say_end(compare(args, &equal));
    return code == MB_EXIT_DONE && !equal ? MB_EXIT_FAILED : code;
}

static const mb_flag_t flags[] = {
    {"tolerance", '\0', "X", "elements within X, absolutely or relative to the larger, are equal"},
    {"json", '\0', NULL, "one JSON object instead of text"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_diff = {
    .name = "diff",
    .usage = "A B [--tolerance X] [--json]",
    .title = "Show what two model files or checkpoints do not have in common",
    .detail =
        "Compared are the configurations key by key, weights and moments by name, what layers "
        "keep\n"
        "from batch to batch, recorded settings and the counters of a run. Each line is\n"
        "\"WHAT  PLACE: IN A | IN B\". Values are compared by their bits (0 and -0 differ, NaN "
        "equals\n"
        "NaN), quantized ones as they decode; neither file is read into memory as a whole.\n"
        "Exit code: 0 equal, 1 different (or a file cannot be read, which is said as an error),\n"
        "2 wrong usage.\n",
    .flags = flags,
    .least_words = 2,
    .most_words = 2,
    .words = "two files",
    .run = run_diff};
