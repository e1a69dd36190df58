/* mbrun predict: the outputs of a model for data, as an HDF5 file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/job.h"
#include "cli/recorded.h"
#include "cli/say.h"
#include "data/paths.h"
#include "infer/predictor.h"
#include "train/layout.h"

typedef struct {
    bool live;
    double shown;
} live_t;

static void show_progress(void *user, int64_t done, int64_t samples)
{
    live_t *live = user;
    double now = mb_time_seconds();
    if (!live->live || (done < samples && now - live->shown < 0.1))
        return;
    live->shown = now;
    fprintf(stderr, "\r%" PRId64 "/%" PRId64 " samples\033[K", done, samples);
    if (done >= samples)
        fputs("\r\033[K", stderr);
}

/* Writing the answers over the model or the data would lose them. */
static mb_status_t check_output(const char *output, const char *other)
{
    struct stat a, b;
    if (stat(output, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
        a.st_ino == b.st_ino)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: the output is one of the inputs", output);
    return MB_OK;
}

/* What is wrong with the names is said where the data is opened. */
static mb_status_t check_data(const char *output, const char *data)
{
    mb_paths_t paths;
    mb_status_t status = MB_OK;
    if (mb_paths_expand(data, &paths) != MB_OK)
        return MB_OK;
    for (int i = 0; i < paths.n && status == MB_OK; i++)
        status = check_output(output, paths.path[i]);
    mb_paths_free(&paths);
    return status;
}

static mb_status_t check(const mb_args_t *args)
{
    const char *output = mb_args_flag(args, "output");
    const char *data = mb_settings_text(args->settings, MB_SET_DATA);
    if (data == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: no data to predict from; use --data FILE",
                            args->words[0]);
    if (output == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "no file for the outputs; use -o OUT.h5");
    MB_TRY(check_output(output, args->words[0]));
    return check_data(output, data);
}

static mb_status_t print_report(const mb_args_t *args, const mb_predict_report_t *report)
{
    char samples[MB_COUNT_TEXT], seconds[32], median[32], rare[32], told[MB_RATE_TEXT];
    const char *output = mb_args_flag(args, "output");
    double rate = report->seconds > 0 ? (double)report->samples / report->seconds : 0;
    if (mb_args_has(args, "json"))
        return mb_say_json(json_pack(
            "{s:s, s:s, s:I, s:o, s:o, s:I, s:o, s:o, s:i, s:i}", "event", "prediction", "output",
            output, "samples", (json_int_t)report->samples, "seconds",
            mb_json_number(report->seconds), "samples_per_second", mb_json_number(rate), "batch",
            (json_int_t)report->batch, "batch_seconds", mb_json_number(report->batch_seconds),
            "batch_seconds_99", mb_json_number(report->batch_seconds_99), "stages", report->stages,
            "groups", report->groups));
    printf("%s samples in %s, %s\n", mb_say_count(report->samples, samples, sizeof samples),
           mb_str_seconds(report->seconds, seconds, sizeof seconds),
           mb_say_rate(rate, report->tokens, told, sizeof told));
    if (report->samples > 0)
        printf("a batch of %" PRId64 " takes %s from first stage to last; 99 %% take at most %s\n",
               report->batch, mb_str_seconds(report->batch_seconds, median, sizeof median),
               mb_str_seconds(report->batch_seconds_99, rare, sizeof rare));
    printf("outputs: %s\n", output);
    fflush(stdout);
    return MB_OK;
}

/* A run's model predicts in the type that it was trained in. */
static mb_status_t take_recorded(const mb_args_t *args)
{
    static const mb_setting_id_t ids[] = {MB_SET_DTYPE, MB_SET_EMULATE};
    return mb_recorded_take(args, ids, sizeof ids / sizeof ids[0]);
}

static mb_status_t predict(const mb_job_t *job, const mb_args_t *args)
{
    MB_TRY(mb_comm_agree(job->comm, take_recorded(args)));
    const mb_settings_t *s = args->settings;
    mb_predict_report_t report;
    live_t live = {.live = !mb_args_has(args, "json") && isatty(STDERR_FILENO)};
    bool batch_given = s->origin[MB_SET_BATCH] == MB_FROM_USER;
    mb_predict_options_t options = {.comm = job->comm,
                                    .model = args->words[0],
                                    .data = mb_settings_text(s, MB_SET_DATA),
                                    .label = mb_settings_text(s, MB_SET_LABEL),
                                    .output = mb_args_flag(args, "output"),
                                    .batch = batch_given ? mb_settings_int(s, MB_SET_BATCH) : 0,
                                    .stages = (int)mb_settings_int(s, MB_SET_STAGES),
                                    .machine = mb_layout_machine(s),
                                    .dtype = mb_settings_text(s, MB_SET_DTYPE),
                                    .deadline = mb_settings_real(s, MB_SET_DEADLINE),
                                    .log = &job->log,
                                    .user = &live,
                                    .progress = show_progress};
    bool integer = true;
    mb_status_t status = check(args);
    if (status == MB_OK)
        status = mb_settings_weights(s, &options.weights);
    if (status == MB_OK)
        status = mb_layout_activations(s, &integer);
    MB_TRY(mb_comm_agree(job->comm, status));
    options.float_activations = !integer;
    MB_TRY(mb_predict(&options, &report));
    return job->rank == 0 ? print_report(args, &report) : MB_OK;
}

static int run_predict(const mb_args_t *args)
{
    mb_job_t job;
    int code;
    if (!mb_job_start(&job, args, &code))
        return code;
    mb_status_t status = predict(&job, args);
    mb_job_report(&job, status);
    return mb_job_end(&job, status);
}

static const mb_setting_id_t settings[] = {
    MB_SET_DATA,      MB_SET_LABEL,      MB_SET_BATCH,         MB_SET_STAGES,
    MB_SET_WEIGHTS,   MB_SET_WEIGHTS_BY, MB_SET_SKIP_MISMATCH, MB_SET_ACTIVATIONS,
    MB_SET_DTYPE,     MB_SET_EMULATE,    MB_SET_DEVICE,        MB_SET_SHARE_DEVICE,
    MB_SET_TRANSPORT, MB_SET_THREADS,    MB_SET_BIND,          MB_SET_DEADLINE};

static const mb_flag_t flags[] = {
    {"output", 'o', "FILE", "HDF5 file for the outputs: one dataset each, by name"},
    {"json", '\0', NULL, "one JSON object on stdout instead of text"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_predict = {
    .name = "predict",
    .usage = "MODEL.h5 --data FILE -o OUT.h5 [options]",
    .title = "Write the outputs of a model for data",
    .detail =
        "OUT.h5 appears when it is complete, and replaces an existing one. The outputs do not\n"
        "depend on the ranks and stages that compute them. Quantized weights are used as they are\n"
        "stored.\n",
    .flags = flags,
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .parallel = true,
    .run = run_predict};
