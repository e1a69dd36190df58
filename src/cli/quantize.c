/* mbrun quantize: a model file stored smaller, and what that costs. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/job.h"
#include "cli/quantize_text.h"
#include "cli/say.h"

typedef struct {
    bool live;
    double shown;
} live_t;

typedef struct {
    mb_arena_t *arena;
    mb_format_t format;
    mb_format_rule_t *rules;
    live_t live;
    mb_quantize_options_t options;
} request_t;

static void show_progress(void *user, const char *what, int64_t done, int64_t all)
{
    live_t *live = user;
    double now = mb_time_seconds();
    if (!live->live || (done < all && now - live->shown < 0.1))
        return;
    live->shown = now;
    fprintf(stderr, "\r%s: %" PRId64 "/%" PRId64 "\033[K", what, done, all);
    if (done >= all)
        fputs("\r\033[K", stderr);
}

/* "30M" and "30MB" are 30,000,000 bytes, "30MiB" 31,457,280. */
static mb_status_t read_size(const char *text, int64_t *bytes)
{
    static const char letters[] = "kmgt";
    char *end;
    double value = strtod(text, &end), factor = 1;
    const char *found = *end == '\0' ? NULL : strchr(letters, tolower((unsigned char)*end));
    if (found != NULL) {
        bool binary = strcasecmp(end + 1, "ib") == 0;
        for (const char *at = letters; at <= found; at++)
            factor *= binary ? 1024 : 1000;
        end += binary ? 3 : strcasecmp(end + 1, "b") == 0 ? 2 : 1;
    }
    if (end == text || *end != '\0' || !(value * factor >= 1) || !(value * factor < 1e18))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--target-size %s is no size: a number of bytes, 500k, 30M, 30MiB, 2G",
                            text);
    *bytes = (int64_t)(value * factor);
    return MB_OK;
}

static mb_status_t read_drop(const char *text, double *drop)
{
    char *end;
    double value = strtod(text, &end);
    bool percent = end != text && *end == '%';
    if (end == text || end[percent] != '\0' || !(value > 0) || !isfinite(value))
        return mb_error_set(
            MB_ERR_ARGUMENT,
            "--max-drop %s is no bound: 1%%, or 0.01, which is the same rise of the loss", text);
    *drop = percent ? value / 100 : value;
    return MB_OK;
}

static mb_status_t read_samples(const char *text, int64_t *samples)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < 1)
        return mb_error_set(MB_ERR_ARGUMENT, "--samples %s is no number of samples", text);
    *samples = value;
    return MB_OK;
}

static mb_status_t read_rule(request_t *request, const char *text, mb_format_rule_t *rule)
{
    char *pattern = mb_arena_strdup(request->arena, text);
    char *equals = pattern == NULL ? NULL : strchr(pattern, '=');
    if (pattern == NULL)
        return mb_error_memory("the command line", 0);
    if (equals == NULL || equals == pattern || equals[1] == '\0')
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--rule '%s' is not REGEX=FORMAT, like 'norm|bias|embed=fp32'", text);
    *equals = '\0';
    rule->pattern = pattern;
    mb_status_t status = mb_format_parse(equals + 1, &rule->format);
    return status == MB_OK ? MB_OK : mb_error_prefix(status, "--rule '%s': ", text);
}

static mb_status_t read_rules(request_t *request, const mb_args_t *args)
{
    request->rules = MB_ARENA_ARRAY(request->arena, mb_format_rule_t, args->n_repeated + 1);
    if (request->rules == NULL)
        return mb_error_memory("the command line", 0);
    for (int r = 0; r < args->n_repeated; r++)
        MB_TRY(read_rule(request, args->repeated[r], &request->rules[r]));
    request->options.n_rules = args->n_repeated;
    request->options.rules = request->rules;
    return MB_OK;
}

static mb_status_t read_output(request_t *request, const mb_args_t *args)
{
    const char *output = mb_args_flag(args, "output");
    bool dry = mb_args_has(args, "dry-run");
    if (output == NULL && !dry)
        return mb_error_set(MB_ERR_ARGUMENT, "no file to write; use -o OUT.h5, or --dry-run");
    if (!dry && access(output, F_OK) == 0 && !mb_args_has(args, "force"))
        return mb_error_set(MB_ERR_ARGUMENT, "%s exists already; use --force to replace it",
                            output);
    request->options.output = dry ? NULL : output;
    return MB_OK;
}

static mb_status_t read_flags(request_t *request, const mb_args_t *args)
{
    mb_quantize_options_t *options = &request->options;
    const char *format = mb_args_flag(args, "format"), *method = mb_args_flag(args, "method");
    const char *samples = mb_args_flag(args, "samples"), *drop = mb_args_flag(args, "max-drop");
    const char *size = mb_args_flag(args, "target-size");
    if (request->arena == NULL)
        return mb_error_memory("the command line", 0);
    if (format != NULL) {
        MB_TRY(mb_format_parse(format, &request->format));
        options->format = &request->format;
    }
    options->method_given = method != NULL;
    if (method != NULL)
        MB_TRY(mb_method_parse(method, &options->method));
    if (samples != NULL)
        MB_TRY(read_samples(samples, &options->samples));
    if (drop != NULL)
        MB_TRY(read_drop(drop, &options->max_drop));
    if (size != NULL)
        MB_TRY(read_size(size, &options->target_bytes));
    MB_TRY(read_rules(request, args));
    return read_output(request, args);
}

static mb_status_t read_request(const mb_args_t *args, request_t *request)
{
    const mb_settings_t *s = args->settings;
    bool batch_given = s->origin[MB_SET_BATCH] == MB_FROM_USER;
    *request = (request_t){
        .arena = mb_arena_create(),
        .live = {.live = !mb_args_has(args, "json") && isatty(STDERR_FILENO)},
        .options = {.model = args->words[0],
                    .data = mb_settings_text(s, MB_SET_DATA),
                    .again = mb_args_has(args, "again"),
                    .keras_int8 = mb_args_has(args, "keras-int8"),
                    .batch = batch_given ? mb_settings_int(s, MB_SET_BATCH) : 0,
                    .loss = mb_settings_text(s, MB_SET_LOSS),
                    .device = mb_settings_text(s, MB_SET_DEVICE),
                    .threads = (int)mb_settings_int(s, MB_SET_THREADS),
                    .deadline = mb_settings_real(s, MB_SET_DEADLINE),
                    .keep_binding = strcmp(mb_settings_text(s, MB_SET_BIND), "keep") == 0,
                    .progress = show_progress}};
    request->options.user = &request->live;
    return read_flags(request, args);
}

static mb_status_t quantize(request_t *request, const mb_args_t *args, int rank)
{
    mb_quantize_result_t result;
    const char *output = request->options.output;
    MB_TRY(mb_quantize(&request->options, request->arena, &result));
    if (rank != 0)
        return MB_OK;
    if (mb_args_has(args, "json"))
        return mb_say_json(mb_quantize_json(&result, output));
    mb_quantize_print(&result, output);
    return MB_OK;
}

static int quantize_on_ranks(request_t *request, const mb_args_t *args, mb_status_t status)
{
    mb_job_t job;
    int code;
    if (!mb_job_start(&job, args, &code))
        return code;
    request->options.comm = job.comm;
    request->options.log = &job.log;
    status = mb_comm_agree(job.comm, status);
    if (status == MB_OK)
        status = quantize(request, args, job.rank);
    mb_job_report(&job, status);
    return mb_job_end(&job, status);
}

/* One process without data needs no MPI. */
static int run_quantize(const mb_args_t *args)
{
    request_t request;
    int code;
    mb_status_t status = read_request(args, &request);
    if (mb_launched() || (status == MB_OK && request.options.data != NULL))
        code = quantize_on_ranks(&request, args, status);
    else
        code = mb_say_end(status == MB_OK ? quantize(&request, args, 0) : status);
    if (request.arena != NULL)
        mb_arena_destroy(request.arena);
    return code;
}

static void print_formats(void)
{
    fputs("\nFormats:\n"
          "  fp32                  as it is; expands a quantized file\n"
          "  fp16, bf16            16 bits\n"
          "  e3m4                  8 bits: a small float, with an exponent bias for each tensor\n"
          "  int8[:channel]        8 bits, a scale for each output; eval and predict compute with\n"
          "                        whole numbers; also int8:tensor, int8:block=32|64|128|256\n"
          "  int4[:block=32]       4 bits, a scale for each block; int4:block=64,offset: with an\n"
          "                        offset too\n"
          "  rounded[:bits=9]      float32 with that many mantissa bits, compressed, for readers\n"
          "                        that refuse other floats\n"
          "\nMethods: nearest; mse (the scale that makes the squared error least); gptq (each\n"
          "row's error is made good by the others; needs --data); awq (rows scaled by what they\n"
          "are multiplied by; needs --data).\n",
          stdout);
}

static const mb_setting_id_t settings[] = {MB_SET_DATA,    MB_SET_BATCH,   MB_SET_LOSS,
                                           MB_SET_DEVICE,  MB_SET_THREADS, MB_SET_BIND,
                                           MB_SET_DEADLINE};

static const mb_flag_t flags[] = {
    {"output", 'o', "OUT.h5", "the model file to write"},
    {"format", '\0', "FORMAT",
     "what matrices are stored as; with --target-size or --max-drop: at "
     "the cheapest"},
    {"method", '\0', "METHOD",
     "nearest, mse, gptq or awq (default: mse; nearest for plain floats)"},
    {"rule", '\0', "REGEX=FORMAT",
     "tensors whose name the extended regular expression finds get "
     "this format; may be repeated, the first that finds a name holds"},
    {"samples", '\0', "N", "use the first N samples of the data only"},
    {"target-size", '\0', "SIZE",
     "choose formats so that all tensors take at most SIZE (30M, "
     "30MiB) and the loss rises least"},
    {"max-drop", '\0', "X",
     "choose the cheapest formats that raise the loss by at most X (1%), "
     "with a margin for data not seen"},
    {"dry-run", '\0', NULL, "do everything but write"},
    {"again", '\0', NULL, "quantize a quantized file once more, though it degrades"},
    {"keras-int8", '\0', NULL, "write Keras' own int8 layout"},
    {"force", '\0', NULL, "replace an existing file"},
    {"json", '\0', NULL, "one JSON object on stdout instead of text"},
    {.name = NULL}};

const mb_command_t mb_command_quantize = {
    .name = "quantize",
    .usage = "MODEL.h5 -o OUT.h5 --format FORMAT [options]",
    .title = "Store a model smaller, and show what it costs",
    .detail =
        "Matrices, convolutions and tables get the format; all other tensors stay fp32 unless a\n"
        "rule names them. Formats with scales are for matrices only. With --data the loss, the\n"
        "accuracy and the outputs are compared with the float32 model's. OUT.h5 holds the report\n"
        "and appears when it is complete. Several ranks share the tensors.\n",
    .more = print_formats,
    .flags = flags,
    .repeats = "rule",
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .parallel = true,
    .run = run_quantize};
