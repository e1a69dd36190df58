/* mbrun predict: the outputs of a model for data, as an HDF5 file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/job.h"
#include "cli/predict.h"
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

mb_status_t mb_prediction_check(const mb_prediction_t *one)
{
    const char *data = mb_settings_text(one->settings, MB_SET_DATA);
    if (data == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: no data to predict from; use --data FILE",
                            one->model);
    if (one->output == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "no file for the outputs; use -o OUT.h5");
    MB_TRY(check_output(one->output, one->model));
    return check_data(one->output, data);
}

static mb_status_t print_json(const mb_prediction_t *one, const mb_predict_report_t *report,
                              double rate)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:I, s:o, s:o, s:i, s:i}", "event", "prediction", "output",
        one->output, "samples", (json_int_t)report->samples, "seconds",
        mb_json_number(report->seconds), "samples_per_second", mb_json_number(rate), "batch",
        (json_int_t)report->batch, "batch_seconds", mb_json_number(report->batch_seconds),
        "batch_seconds_99", mb_json_number(report->batch_seconds_99), "stages", report->stages,
        "groups", report->groups);
    if (one->name != NULL && object != NULL)
        json_object_set_new(object, "name", json_string(one->name));
    return mb_say_json(object);
}

static mb_status_t print_report(const mb_prediction_t *one, const mb_predict_report_t *report)
{
    char samples[MB_COUNT_TEXT], seconds[32], median[32], rare[32], told[MB_RATE_TEXT];
    const char *name = one->name == NULL ? "" : one->name, *colon = one->name == NULL ? "" : ": ";
    double rate = report->seconds > 0 ? (double)report->samples / report->seconds : 0;
    if (mb_args_has(one->args, "json"))
        return print_json(one, report, rate);
    printf("%s%s%s samples in %s, %s\n", name, colon,
           mb_say_count(report->samples, samples, sizeof samples),
           mb_str_seconds(report->seconds, seconds, sizeof seconds),
           mb_say_rate(rate, report->tokens, told, sizeof told));
    if (report->samples > 0)
        printf("%s%sa batch of %" PRId64
               " takes %s from first stage to last; 99 %% take at most %s\n",
               name, colon, report->batch,
               mb_str_seconds(report->batch_seconds, median, sizeof median),
               mb_str_seconds(report->batch_seconds_99, rare, sizeof rare));
    printf("%s%soutputs: %s\n", name, colon, one->output);
    fflush(stdout);
    return MB_OK;
}

/* A run's model predicts in the type that it was trained in. */
static mb_status_t take_recorded(const mb_prediction_t *one)
{
    static const mb_setting_id_t ids[] = {MB_SET_DTYPE, MB_SET_EMULATE};
    return mb_recorded_take(one->model, one->settings, ids, sizeof ids / sizeof ids[0]);
}

mb_status_t mb_prediction_run(const mb_prediction_t *one)
{
    MB_TRY(mb_comm_agree(one->comm, take_recorded(one)));
    const mb_settings_t *s = one->settings;
    mb_predict_report_t report;
    bool shows = one->name == NULL && !mb_args_has(one->args, "json");
    live_t live = {.live = shows && isatty(STDERR_FILENO)};
    bool batch_given = s->origin[MB_SET_BATCH] == MB_FROM_USER;
    mb_predict_options_t options = {.comm = one->comm,
                                    .model = one->model,
                                    .data = mb_settings_text(s, MB_SET_DATA),
                                    .label = mb_settings_text(s, MB_SET_LABEL),
                                    .output = one->output,
                                    .batch = batch_given ? mb_settings_int(s, MB_SET_BATCH) : 0,
                                    .stages = (int)mb_settings_int(s, MB_SET_STAGES),
                                    .machine = mb_layout_machine(s),
                                    .dtype = mb_settings_text(s, MB_SET_DTYPE),
                                    .deadline = mb_settings_real(s, MB_SET_DEADLINE),
                                    .log = one->log,
                                    .user = &live,
                                    .progress = show_progress};
    bool integer = true;
    mb_status_t status = mb_prediction_check(one);
    if (status == MB_OK)
        status = mb_settings_weights(s, &options.weights);
    if (status == MB_OK)
        status = mb_layout_activations(s, &integer);
    MB_TRY(mb_comm_agree(one->comm, status));
    options.float_activations = !integer;
    MB_TRY(mb_predict(&options, &report));
    return mb_comm_rank(one->comm) == 0 ? print_report(one, &report) : MB_OK;
}

static int predict_one(const mb_args_t *args)
{
    mb_job_t job;
    int code;
    if (!mb_job_start(&job, args, &code))
        return code;
    mb_prediction_t one = {.comm = job.comm,
                           .args = args,
                           .model = args->words[0],
                           .output = mb_args_flag(args, "output"),
                           .settings = args->settings,
                           .log = &job.log};
    mb_status_t status = mb_prediction_run(&one);
    mb_job_report(&job, status);
    return mb_job_end(&job, status);
}

static int run_predict(const mb_args_t *args)
{
    return args->names != NULL ? mb_predict_several(args) : predict_one(args);
}

static const mb_setting_id_t settings[] = {
    MB_SET_DATA,      MB_SET_LABEL,      MB_SET_BATCH,         MB_SET_STAGES,
    MB_SET_WEIGHTS,   MB_SET_WEIGHTS_BY, MB_SET_SKIP_MISMATCH, MB_SET_ACTIVATIONS,
    MB_SET_DTYPE,     MB_SET_EMULATE,    MB_SET_DEVICE,        MB_SET_SHARE_DEVICE,
    MB_SET_TRANSPORT, MB_SET_THREADS,    MB_SET_BIND,          MB_SET_DEADLINE};

static const mb_flag_t flags[] = {
    {"output", 'o', "FILE",
     "HDF5 file for the outputs: one dataset each, by name; with --models the folder for NAME.h5"},
    MB_FLAG_MODELS,
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
        "stored. With --models FILE,... several models predict at once, each into OUT/NAME.h5,\n"
        "NAME being its file name without its ending.\n",
    .flags = flags,
    .repeats = "models",
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .several = true,
    .parallel = true,
    .run = run_predict};
