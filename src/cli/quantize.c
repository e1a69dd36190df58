/* mbrun quantize: a model file stored smaller, and what that costs. */
#include <inttypes.h>
#include <stdio.h>
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
    live_t live;
    mb_log_t log;
    mb_quantize_options_t options;
} request_t;

static void say_rank_0(void *user, mb_log_level_t level, const char *message)
{
    (void)user, (void)level;
    if (mb_launch_rank() == 0)
        fprintf(stderr, "mbrun: %s\n", message);
}

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
    static const char *const texts[] = {"format", "method", "samples", "target-size", "max-drop"};
    static const char *const switches[] = {"again", "keras-int8"};
    mb_quantize_options_t *options = &request->options;
    if (request->arena == NULL)
        return mb_error_memory("the command line", 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = mb_args_flag(args, texts[i]);
        if (text != NULL)
            MB_TRY(mb_quantize_set(options, request->arena, texts[i], text));
    }
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        MB_TRY(mb_quantize_set(options, request->arena, switches[i],
                               mb_args_has(args, switches[i]) ? "yes" : "no"));
    for (int r = 0; r < args->n_repeated; r++)
        MB_TRY(mb_quantize_set(options, request->arena, "rule", args->repeated[r]));
    return read_output(request, args);
}

static mb_status_t read_request(const mb_args_t *args, request_t *request)
{
    *request = (request_t){.arena = mb_arena_create(),
                           .live = {.live = !mb_args_has(args, "json") && isatty(STDERR_FILENO)},
                           .options = {.model = args->words[0], .progress = show_progress}};
    request->options.user = &request->live;
    request->log = (mb_log_t){say_rank_0, NULL, MB_LOG_INFO};
    request->options.log = &request->log;
    MB_TRY(mb_quantize_take_settings(&request->options, args->settings));
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

static const mb_setting_id_t settings[] = {
    MB_SET_DATA,       MB_SET_LABEL,         MB_SET_BATCH,   MB_SET_LOSS,         MB_SET_WEIGHTS,
    MB_SET_WEIGHTS_BY, MB_SET_SKIP_MISMATCH, MB_SET_DEVICE,  MB_SET_SHARE_DEVICE, MB_SET_TRANSPORT,
    MB_SET_THREADS,    MB_SET_BIND,          MB_SET_DEADLINE};

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
    MB_FLAG_PLUGIN,
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
