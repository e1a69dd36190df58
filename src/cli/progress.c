/* See progress.h. */
#include "cli/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/report_json.h"
#include "cli/say.h"
#include "cli/time_text.h"
#include "config.h"
#include "store/io.h"

#define LIVE_SECONDS 0.1
#define LINE_SECONDS 5.0
#define MAX_STAGE_LINES 8

void mb_progress_begin(mb_progress_t *progress, const char *name, bool json, bool quiet)
{
    *progress = (mb_progress_t){.name = name,
                                .json = json,
                                .quiet = quiet,
                                .live = name == NULL && !json && !quiet && isatty(STDERR_FILENO),
                                .begun = mb_time_seconds(),
                                .val_loss = NAN,
                                .val_accuracy = NAN};
}

void mb_progress_clear(mb_progress_t *progress)
{
    if (progress->live_shown)
        fputs("\r\033[K", stderr);
    progress->live_shown = false;
}

static void close_log(mb_progress_t *progress)
{
    if (progress->log != NULL)
        fclose(progress->log);
    free(progress->log_path);
    progress->log = NULL;
    progress->log_path = NULL;
}

/* What is in the log was shown as well: it is not worth ending a run that can go on. */
static void lose_log(mb_progress_t *progress)
{
    int error = errno;
    mb_progress_clear(progress);
    fprintf(stderr, "mbrun: warning: cannot write '%s': %s; the log has no more lines\n",
            progress->log_path, strerror(error));
    close_log(progress);
}

void mb_progress_write(void *user, const char *line)
{
    mb_progress_t *progress = user;
    if (progress->log != NULL &&
        (fprintf(progress->log, "%s\n", line) < 0 || fflush(progress->log) != 0))
        lose_log(progress);
}

static void print(const mb_progress_t *progress, FILE *stream, const char *line)
{
    bool named = progress->name != NULL;
    fprintf(stream, "%s%s%s\n", named ? progress->name : "", named ? ": " : "", line);
}

/* A line of text, to the log and, unless another form is wanted, to stderr. */
static void say(mb_progress_t *progress, const char *format, ...) MB_PRINTF(2, 3);
static void say(mb_progress_t *progress, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    mb_progress_write(progress, line);
    if (progress->json || progress->quiet)
        return;
    mb_progress_clear(progress);
    print(progress, stderr, line);
}

/* A line on stdout. */
static void tell(const mb_progress_t *progress, const char *format, ...) MB_PRINTF(2, 3);
static void tell(const mb_progress_t *progress, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    print(progress, stdout, line);
}

static void say_object(mb_progress_t *progress, json_t *object)
{
    if (progress->name != NULL && object != NULL)
        json_object_set_new(object, "name", json_string(progress->name));
    if (progress->json)
        mb_say_json(object);
    else
        json_decref(object);
}

static void open_stream(mb_progress_t *progress)
{
    int fd = -1;
    if (mb_io_open_append(progress->log_path, &fd) == MB_OK)
        progress->log = fdopen(fd, "a");
    if (progress->log != NULL)
        return;
    if (fd >= 0)
        close(fd);
    mb_progress_clear(progress);
    fprintf(stderr, "mbrun: warning: %s; this run has no log\n", mb_error_get());
    close_log(progress);
}

static void open_log(mb_progress_t *progress, const char *directory)
{
    size_t bytes = directory == NULL ? 0 : strlen(directory) + sizeof "/log.txt";
    char *path = bytes == 0 ? NULL : malloc(bytes);
    if (path == NULL)
        return;
    snprintf(path, bytes, "%s/log.txt", directory);
    progress->log_path = path;
    open_stream(progress);
    if (progress->log == NULL)
        return;
    time_t now = time(NULL);
    struct tm local;
    char line[64], date[32];
    if (localtime_r(&now, &local) == NULL || strftime(date, sizeof date, "%F %T", &local) == 0)
        return;
    snprintf(line, sizeof line, "mbrun %s, started %s", VERSION, date);
    mb_progress_write(progress, line);
}

/* What stands in host memory, where anything does. */
static const char *host_text(const mb_start_report_t *report, int s, char *text, size_t capacity)
{
    char moments[32], activations[32];
    bool both = report->host_moment_bytes[s] > 0 && report->host_activation_bytes[s] > 0;
    mb_str_bytes((double)report->host_moment_bytes[s], moments, sizeof moments);
    mb_str_bytes((double)report->host_activation_bytes[s], activations, sizeof activations);
    text[0] = '\0';
    if (report->host_moment_bytes[s] > 0 || report->host_activation_bytes[s] > 0)
        snprintf(text, capacity, "; in host memory %s%s%s%s%s",
                 report->host_moment_bytes[s] > 0 ? "moments " : "",
                 report->host_moment_bytes[s] > 0 ? moments : "", both ? ", " : "",
                 report->host_activation_bytes[s] > 0 ? "activations " : "",
                 report->host_activation_bytes[s] > 0 ? activations : "");
    return text;
}

static const char *copy_text(const mb_start_report_t *report, int s, char *text, size_t capacity)
{
    char bytes[32];
    text[0] = '\0';
    if (report->copy_bytes[s] > 0)
        snprintf(text, capacity, ", copy for checkpoints %s",
                 mb_str_bytes((double)report->copy_bytes[s], bytes, sizeof bytes));
    return text;
}

static void say_memory(mb_progress_t *progress, const mb_start_report_t *report)
{
    for (int s = 0; s < report->stages && s < MAX_STAGE_LINES; s++) {
        char parameters[32], gradients[32], moments[32], activations[32], copy[64], host[128];
        say(progress, "%-10sstage %d: parameters %s, gradients %s, moments %s, activations %s%s%s",
            s == 0 ? "memory" : "", s,
            mb_str_bytes((double)report->parameter_bytes[s], parameters, sizeof parameters),
            mb_str_bytes((double)report->gradient_bytes[s], gradients, sizeof gradients),
            mb_str_bytes((double)report->moment_bytes[s], moments, sizeof moments),
            mb_str_bytes((double)report->activation_bytes[s], activations, sizeof activations),
            copy_text(report, s, copy, sizeof copy), host_text(report, s, host, sizeof host));
    }
    if (report->stages > MAX_STAGE_LINES)
        say(progress, "%-10sand %d more stages", "", report->stages - MAX_STAGE_LINES);
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

static void say_layout(mb_progress_t *progress, const mb_start_report_t *report)
{
    int ranks = report->stages * report->groups;
    say(progress,
        "%-10s%d rank%s = %d stage%s x %d group%s; %d replica%s of %" PRId64
        " micro-batch%s of %" PRId64 "%s%s",
        "layout", ranks, plural(ranks), report->stages, plural(report->stages), report->groups,
        plural(report->groups), report->replicas, plural(report->replicas), report->micros,
        report->micros == 1 ? "" : "es", report->micro_batch, report->stages > 1 ? ", " : "",
        report->stages > 1 ? report->schedule : "");
}

static void say_start(mb_progress_t *progress, const mb_start_report_t *report)
{
    char parameters[MB_COUNT_TEXT], samples[MB_COUNT_TEXT];
    say(progress, "%-10s%s: %s parameters, %s", "model", report->model,
        mb_say_count(report->parameters, parameters, sizeof parameters), report->optimizer);
    say(progress, "%-10s%s: %s samples", "data", report->data,
        mb_say_count(report->samples, samples, sizeof samples));
    say_layout(progress, report);
    say(progress,
        "%-10s%" PRId64 " samples; %" PRId64 " step%s an epoch, %" PRId64 " in all; seed %" PRIu64,
        "batch", report->batch, report->steps_per_epoch, plural(report->steps_per_epoch),
        report->total_steps, report->seed);
    say(progress, "%-10s%s%s%s%s", "device", report->device, report->choice == NULL ? "" : " (",
        report->choice == NULL ? "" : report->choice, report->choice == NULL ? "" : ")");
    if (report->transport != NULL)
        say(progress, "%-10s%s", "transport", report->transport);
    say_memory(progress, report);
    for (int i = 0; i < report->n_notes; i++)
        say(progress, "%-10s%s", "note", report->notes[i]);
    if (report->run == NULL)
        return;
    if (report->resumed_from != NULL)
        say(progress, "%-10s%s, going on from step %" PRId64 " of %s", "run", report->run,
            report->resumed_step, report->resumed_from);
    else
        say(progress, "%-10s%s", "run", report->run);
}

void mb_progress_start(void *user, const mb_start_report_t *report)
{
    mb_progress_t *progress = user;
    open_log(progress, report->run);
    progress->first_step = report->resumed_step;
    progress->finished = report->resumed_step >= report->total_steps;
    progress->epochs =
        (report->total_steps + report->steps_per_epoch - 1) / report->steps_per_epoch;
    if (progress->json)
        say_object(progress, mb_json_start(report));
    if (!progress->finished)
        say_start(progress, report);
    progress->last.step = report->resumed_step;
    progress->last.total_steps = report->total_steps;
    progress->tokens = report->tokens;
}

static void add_number(char *text, size_t capacity, const char *format, double value)
{
    size_t length = strlen(text);
    if (isfinite(value))
        snprintf(text + length, capacity - length, format, value);
}

/* Also one that is not finite. */
static void add_loss(char *text, size_t capacity, const char *format, double value)
{
    size_t length = strlen(text);
    snprintf(text + length, capacity - length, format, value);
}

static void add_text(char *text, size_t capacity, const char *more)
{
    size_t length = strlen(text);
    snprintf(text + length, capacity - length, "%s", more);
}

/* Those that the model asks for, by their names, each behind LEAD. */
static void add_metrics(char *text, size_t capacity, const char *lead,
                        const mb_metric_value_t *metrics, int n)
{
    for (int i = 0; i < n; i++) {
        size_t length = strlen(text);
        if (metrics[i].told)
            continue;
        snprintf(text + length, capacity - length, "%s%s", lead, metrics[i].name);
        for (int64_t k = 0; k < metrics[i].n; k++)
            add_number(text, capacity, " %.5g", metrics[i].values[k]);
    }
}

static void keep(mb_told_t *told, const char *lead, const mb_metric_value_t *metrics, int n)
{
    told->text[0] = '\0';
    add_metrics(told->text, sizeof told->text, lead, metrics, n);
    json_decref(told->json);
    told->json = mb_json_metrics(metrics, n);
}

/* How fast it goes and, unless that is nothing to wait for, how long it will take. */
static void add_pace(char *text, size_t capacity, const mb_progress_t *progress,
                     const mb_step_report_t *report)
{
    char rate[MB_RATE_TEXT], left[32];
    size_t length = strlen(text);
    mb_say_rate(report->samples_per_second, progress->tokens, rate, sizeof rate);
    if (rate[0] != '\0')
        length += (size_t)snprintf(text + length, capacity - length, "  %s", rate);
    if (length < capacity && report->seconds_left >= 1)
        snprintf(text + length, capacity - length, "  %s left",
                 mb_str_seconds(report->seconds_left, left, sizeof left));
}

static int live_width(void)
{
    struct winsize window;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1;
    return known ? window.ws_col - 1 : 79;
}

static void show_live(mb_progress_t *progress, const mb_step_report_t *report)
{
    char line[1024];
    snprintf(line, sizeof line,
             "epoch %" PRId64 "/%" PRId64 "  step %" PRId64 "/%" PRId64 "  loss %.6g",
             report->epoch, progress->epochs, report->step_in_epoch, report->steps_per_epoch,
             report->loss);
    add_number(line, sizeof line, "  acc %.4f", report->accuracy);
    add_metrics(line, sizeof line, "  ", report->metrics, report->n_metrics);
    add_pace(line, sizeof line, progress, report);
    fprintf(stderr, "\r%.*s\033[K", live_width(), line);
    progress->live_shown = true;
}

static void say_step(mb_progress_t *progress, const mb_step_report_t *report)
{
    char line[1024];
    snprintf(line, sizeof line, "epoch %" PRId64 "/%" PRId64 "  step %" PRId64 "/%" PRId64 "%s",
             report->epoch, progress->epochs, report->step, report->total_steps,
             report->left_out ? "  left out" : "");
    if (!report->left_out)
        add_loss(line, sizeof line, "  loss %#.9g", report->loss);
    add_number(line, sizeof line, "  accuracy %.4f", report->accuracy);
    add_metrics(line, sizeof line, "  ", report->metrics, report->n_metrics);
    keep(&progress->metrics, ", ", report->metrics, report->n_metrics);
    add_pace(line, sizeof line, progress, report);
    say(progress, "%s", line);
}

/* The first step of a start, the last of an epoch, and one every few seconds. */
static bool deserves_line(const mb_progress_t *progress, const mb_step_report_t *report, double now)
{
    bool first = report->step == progress->first_step + 1 && !progress->live;
    bool last =
        report->step_in_epoch == report->steps_per_epoch || report->step == report->total_steps;
    return first || last || (!progress->live && now - progress->logged >= LINE_SECONDS);
}

void mb_progress_step(void *user, const mb_step_report_t *report)
{
    mb_progress_t *progress = user;
    double now = mb_time_seconds();
    progress->last = *report;
    if (deserves_line(progress, report, now)) {
        say_step(progress, report);
        if (progress->json)
            say_object(progress, mb_json_step(report));
        progress->logged = now;
        return;
    }
    if (progress->live && now - progress->shown >= LIVE_SECONDS) {
        show_live(progress, report);
        progress->shown = now;
    }
}

void mb_progress_evaluated(void *user, const mb_eval_report_t *report)
{
    mb_progress_t *progress = user;
    char line[1024];
    progress->val_loss = report->loss;
    progress->val_accuracy = report->accuracy;
    snprintf(line, sizeof line, "epoch %" PRId64 "/%" PRId64 "  validation loss %#.9g",
             report->epoch, progress->epochs, report->loss);
    add_number(line, sizeof line, "  accuracy %.4f", report->accuracy);
    add_metrics(line, sizeof line, "  ", report->metrics, report->n_metrics);
    keep(&progress->val_metrics, ", validation ", report->metrics, report->n_metrics);
    say(progress, "%s", line);
    if (progress->json)
        say_object(progress, mb_json_eval(report, "validation"));
}

void mb_progress_saved(void *user, const char *path)
{
    mb_progress_t *progress = user;
    char line[1024];
    double now = mb_time_seconds();
    snprintf(line, sizeof line, "saved %s", path);
    if (now - progress->saved >= LINE_SECONDS)
        say(progress, "%s", line);
    else
        mb_progress_write(progress, line);
    progress->saved = now;
    if (progress->json)
        say_object(progress, json_pack("{s:s, s:s}", "event", "saved", "path", path));
}

void mb_progress_profiled(void *user, const mb_time_report_t *report)
{
    mb_progress_t *progress = user;
    char line[MB_TIME_LINE];
    for (int i = 0; mb_time_line(report, i, line); i++)
        say(progress, "%s", line);
    if (progress->json)
        say_object(progress, mb_time_json(report));
}

void mb_progress_straggler(void *user, const mb_straggler_report_t *report)
{
    mb_progress_t *progress = user;
    char since[32];
    say(progress,
        "warning: rank %d on %s (stage %d) takes %.1f times as long for its part of a step as %s, "
        "since step %" PRId64 ", %s ago; the other ranks wait %.0f %% of their time",
        report->rank, report->host, report->stage, report->factor,
        report->by_replicas ? "the other replicas of its stage" : "before", report->since_step,
        mb_str_seconds(report->seconds, since, sizeof since), 100 * report->waited);
    if (progress->json)
        say_object(progress, mb_json_straggler(report));
}

static void say_results(mb_progress_t *progress, const char *directory)
{
    char line[2048], took[32];
    const mb_step_report_t *last = &progress->last;
    snprintf(line, sizeof line, "done: %" PRId64 " step%s, %" PRId64 " of them now in %s",
             last->step, plural(last->step), last->step - progress->first_step,
             mb_str_seconds(mb_time_seconds() - progress->begun, took, sizeof took));
    add_number(line, sizeof line, ", loss %#.9g", last->loss);
    add_number(line, sizeof line, ", accuracy %.4f", last->accuracy);
    add_text(line, sizeof line, progress->metrics.text);
    add_number(line, sizeof line, ", validation loss %#.9g", progress->val_loss);
    add_number(line, sizeof line, ", validation accuracy %.4f", progress->val_accuracy);
    add_text(line, sizeof line, progress->val_metrics.text);
    if (last->steps_left_out > 0)
        add_number(line, sizeof line, ", %.0f steps left out whose numbers were not finite",
                   (double)last->steps_left_out);
    mb_progress_write(progress, line);
    if (progress->quiet)
        return;
    tell(progress, "%s", line);
    tell(progress, "model:   %s/final.h5", directory);
    tell(progress, "metrics: %s/metrics.jsonl", directory);
}

static void say_finished(mb_progress_t *progress, const char *directory)
{
    if (progress->quiet)
        return;
    tell(progress, "%s: this run is finished: %" PRId64 " of %" PRId64 " steps are done", directory,
         progress->last.step, progress->last.total_steps);
    tell(progress, "model:   %s/final.h5", directory);
    tell(progress, "To train on, give a larger --epochs or --steps; to begin again, --restart.");
}

static json_t *end_object(const mb_progress_t *progress, mb_status_t status, const char *directory)
{
    const char *state = status == MB_OK ? "done" : status == MB_ERR_STOPPED ? "stopped" : "failed";
    const mb_step_report_t *last = &progress->last;
    return json_pack("{s:s, s:s, s:b, s:o, s:I, s:o, s:o, s:O?, s:o, s:o, s:O?, s:o}", "event",
                     "end", "state", state, "was_finished", progress->finished, "message",
                     mb_json_text(status == MB_OK ? NULL : mb_error_get()), "step",
                     (json_int_t)last->step, "loss", mb_json_number(last->loss), "accuracy",
                     mb_json_number(last->accuracy), "metrics", progress->metrics.json,
                     "validation_loss", mb_json_number(progress->val_loss), "validation_accuracy",
                     mb_json_number(progress->val_accuracy), "validation_metrics",
                     progress->val_metrics.json, "run", mb_json_text(directory));
}

void mb_progress_end(mb_progress_t *progress, mb_status_t status, const char *directory)
{
    mb_progress_clear(progress);
    if (progress->json)
        say_object(progress, end_object(progress, status, directory));
    if (status == MB_ERR_STOPPED)
        say(progress, "%s", mb_error_get());
    if (status == MB_OK && !progress->json && progress->finished)
        say_finished(progress, directory);
    else if (status == MB_OK && !progress->json)
        say_results(progress, directory);
    fflush(stdout);
    close_log(progress);
    json_decref(progress->metrics.json);
    json_decref(progress->val_metrics.json);
}
