/* mbrun eval: loss and metrics of a model on data. */
#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/job.h"
#include "cli/recorded.h"
#include "cli/report_json.h"
#include "cli/say.h"
#include "train/trainer.h"

static void print_line(const char *name, double loss, double accuracy)
{
    printf("%-16sloss %#.9g", name, loss);
    if (isfinite(accuracy))
        printf("  accuracy %.6f", accuracy);
    printf("\n");
}

static void print_metrics(const mb_eval_report_t *report)
{
    for (int i = 0; i < report->n_metrics; i++) {
        const mb_metric_value_t *metric = &report->metrics[i];
        if (metric->told)
            continue;
        printf("%-16s%s", "", metric->name);
        for (int64_t k = 0; k < metric->n; k++)
            printf(" %.9g", metric->values[k]);
        printf("\n");
    }
}

static void print_report(const mb_eval_report_t *report, const char *data)
{
    char samples[MB_COUNT_TEXT], seconds[32], rate[MB_RATE_TEXT];
    print_line(report->n_outputs > 1 ? "total" : "", report->loss, report->accuracy);
    for (int o = 0; o < report->n_outputs && report->n_outputs > 1; o++)
        print_line(report->names[o], report->losses[o], report->accuracies[o]);
    print_metrics(report);
    printf(
        "%-16s%s: %s samples in %s, %s\n", "", data,
        mb_say_count(report->samples, samples, sizeof samples),
        mb_str_seconds(report->seconds, seconds, sizeof seconds),
        mb_say_rate((double)report->samples / report->seconds, report->tokens, rate, sizeof rate));
}

/* What the model file records holds here too, but for what belongs to the run's own ranks. */
static mb_status_t take_recorded(const mb_args_t *args)
{
    static const mb_setting_id_t ids[] = {MB_SET_DATA, MB_SET_LABEL, MB_SET_BATCH,
                                          MB_SET_LOSS, MB_SET_DTYPE, MB_SET_EMULATE};
    return mb_recorded_take(args->words[0], args->settings, ids, sizeof ids / sizeof ids[0]);
}

static mb_status_t evaluate(const mb_job_t *job, const mb_args_t *args, mb_arena_t *arena)
{
    mb_eval_report_t report;
    if (arena == NULL)
        return mb_error_memory("a report", 0);
    MB_TRY(mb_comm_agree(job->comm, take_recorded(args)));
    MB_TRY(mb_evaluate(job->comm, args->words[0], args->settings, &job->log, arena, &report));
    if (job->rank != 0)
        return MB_OK;
    if (mb_args_has(args, "json"))
        return mb_say_json(mb_json_eval(&report, "evaluation"));
    print_report(&report, mb_settings_text(args->settings, MB_SET_DATA));
    fflush(stdout);
    return MB_OK;
}

static int run_eval(const mb_args_t *args)
{
    mb_job_t job;
    int code;
    if (!mb_job_start(&job, args, &code))
        return code;
    mb_arena_t *arena = mb_arena_create();
    mb_status_t status = evaluate(&job, args, arena);
    mb_job_report(&job, status);
    mb_arena_destroy(arena);
    return mb_job_end(&job, status);
}

static const mb_setting_id_t settings[] = {
    MB_SET_DATA,        MB_SET_LABEL,   MB_SET_BATCH,   MB_SET_MICRO_BATCH, MB_SET_REPLICAS,
    MB_SET_STAGES,      MB_SET_LOSS,    MB_SET_WEIGHTS, MB_SET_WEIGHTS_BY,  MB_SET_SKIP_MISMATCH,
    MB_SET_ACTIVATIONS, MB_SET_DTYPE,   MB_SET_EMULATE, MB_SET_DEVICE,      MB_SET_SHARE_DEVICE,
    MB_SET_TRANSPORT,   MB_SET_THREADS, MB_SET_BIND,    MB_SET_DEADLINE};

static const mb_flag_t flags[] = {{"json", '\0', NULL, "one JSON object on stdout instead of text"},
                                  MB_FLAG_PLUGIN,
                                  {.name = NULL}};

const mb_command_t mb_command_eval = {
    .name = "eval",
    .usage = "MODEL.h5 --data FILE [options]",
    .title = "Show the loss and metrics of a model on data",
    .detail =
        "The model is any file of Keras', HDF5 or .keras, or a checkpoint or final.h5. The numbers "
        "do\n"
        "not depend on the ranks and stages that compute them. Quantized weights are used as they\n"
        "are stored.\n",
    .flags = flags,
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .parallel = true,
    .run = run_eval};
