/* mbrun train: a run from a model file, its settings and the ranks at hand. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/job.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/signals.h"
#include "train/trainer.h"

typedef struct {
    mb_job_t job;
    mb_progress_t progress;
    mb_training_t *trainer; /* NULL before it is set up */
} run_t;

static mb_status_t say_where(void *user)
{
    run_t *run = user;
    char where[256];
    if (!mb_signals_where())
        return MB_OK;
    mb_progress_clear(&run->progress);
    fprintf(stderr, "rank %d on %s: %s\n", run->job.rank, mb_comm_host(run->job.comm),
            mb_comm_where(run->job.comm, where, sizeof where));
    return MB_OK;
}

static bool stop(void *user)
{
    say_where(user);
    return mb_signals_stop();
}

static void on_start(void *user, const mb_start_report_t *report)
{
    mb_progress_start(&((run_t *)user)->progress, report);
}

static void on_step(void *user, const mb_step_report_t *report)
{
    mb_progress_step(&((run_t *)user)->progress, report);
}

static void on_evaluated(void *user, const mb_eval_report_t *report)
{
    mb_progress_evaluated(&((run_t *)user)->progress, report);
}

static void on_saved(void *user, const char *path)
{
    mb_progress_saved(&((run_t *)user)->progress, path);
}

static void write_line(void *user, const char *line)
{
    mb_progress_write(user, line);
}

static mb_status_t train(run_t *run, const mb_args_t *args)
{
    mb_training_options_t options = {.comm = run->job.comm,
                                     .model = args->words[0],
                                     .settings = args->settings,
                                     .output = mb_args_flag(args, "output"),
                                     .restart = mb_args_has(args, "restart"),
                                     .log = &run->job.log,
                                     .events = {.user = run,
                                                .start = on_start,
                                                .step = on_step,
                                                .evaluated = on_evaluated,
                                                .saved = on_saved,
                                                .stop = stop}};
    MB_TRY(mb_training_create(&options, &run->trainer));
    return mb_training_run(run->trainer);
}

static int run_train(const mb_args_t *args)
{
    run_t run = {.trainer = NULL};
    int code;
    mb_progress_begin(&run.progress, mb_args_has(args, "json"), mb_args_has(args, "quiet"));
    if (!mb_job_start(&run.job, args, &code))
        return code;
    run.job.log.least = mb_args_has(args, "quiet") ? MB_LOG_WARNING : MB_LOG_INFO;
    run.job.write = write_line;
    run.job.user = &run.progress;
    mb_signals_install(run.job.rank);
    mb_comm_add_progress(run.job.comm, say_where, &run);
    mb_status_t status = train(&run, args);
    mb_progress_clear(&run.progress);
    mb_job_report(&run.job, status);
    if (run.job.rank == 0)
        mb_progress_end(&run.progress, status,
                        run.trainer == NULL ? NULL : mb_training_directory(run.trainer));
    mb_comm_remove_progress(run.job.comm, &run);
    mb_training_destroy(run.trainer);
    return mb_job_end(&run.job, status);
}

static const mb_flag_t flags[] = {
    {"output", 'o', "FILE", "write the final model here too: .keras, .weights.h5 or .h5"},
    {"restart", '\0', NULL, "forget the run's checkpoints and begin again"},
    {"json", '\0', NULL, "one JSON object a line on stdout instead of text"},
    {"quiet", 'q', NULL, "print errors only"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

const mb_command_t mb_command_train = {
    .name = "train",
    .usage = "MODEL.h5 [options]",
    .title = "Start a training run, or go on with it",
    .detail =
        "Each MPI rank computes one pipeline stage of one group of replicas. The run lives in\n"
        "MODEL.run beside the model: checkpoints, metrics.jsonl, log.txt, and final.h5 at the\n"
        "end. The same command started again goes on from the newest complete checkpoint, on\n"
        "any number of ranks. SIGUSR1 asks for a checkpoint and the end (exit code 85),\n"
        "SIGUSR2 where every rank stands. Options win over what is recorded in the file\n"
        "(mbrun configure), and that over Keras' own settings.\n",
    .flags = flags,
    .settings = mb_command_all_settings,
    .n_settings = MB_RUN_SETTINGS,
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .parallel = true,
    .run = run_train};
