/* mbrun train: a run from a model file, its settings and the ranks at hand. */
#include "cli/train.h"

#include <stdio.h>

#include "base/log.h"
#include "cli/job.h"
#include "cli/run.h"
#include "cli/say.h"
#include "cli/signals.h"

typedef struct {
    mb_job_t job;
    mb_cli_run_t run;
} only_t;

static mb_status_t say_where(void *user)
{
    if (mb_signals_where())
        mb_cli_run_say_where(user);
    return MB_OK;
}

static bool stop(void *user)
{
    say_where(user);
    return mb_signals_stop();
}

static void write_line(void *user, const char *line)
{
    mb_progress_write(user, line);
}

static mb_status_t train(mb_cli_run_t *run, const mb_args_t *args)
{
    MB_TRY(mb_cli_run_set_up(run, args));
    return mb_training_run(run->trainer);
}

static int train_one(const mb_args_t *args)
{
    only_t only;
    mb_cli_run_t *run = &only.run;
    int code;
    bool quiet = mb_args_has(args, "quiet");
    *run = (mb_cli_run_t){.model = args->words[0],
                          .settings = args->settings,
                          .log = &only.job.log,
                          .started = mb_time_seconds(),
                          .stop = stop,
                          .user = run};
    mb_progress_begin(&run->progress, NULL, mb_args_has(args, "json"), quiet);
    if (!mb_job_start(&only.job, args, &code))
        return code;
    run->comm = only.job.comm;
    only.job.log.least = quiet ? MB_LOG_WARNING : MB_LOG_INFO;
    only.job.write = write_line;
    only.job.user = &run->progress;
    mb_signals_install(only.job.rank);
    mb_comm_add_progress(run->comm, say_where, run);
    mb_status_t status = train(run, args);
    mb_progress_clear(&run->progress);
    mb_job_report(&only.job, status);
    mb_cli_run_say_end(run, status);
    mb_comm_remove_progress(run->comm, run);
    mb_training_destroy(run->trainer);
    return mb_job_end(&only.job, status);
}

static int run_train(const mb_args_t *args)
{
    return args->names != NULL || args->ensemble > 0 ? mb_train_several(args) : train_one(args);
}

static const mb_flag_t flags[] = {
    {"output", 'o', "FILE", "write the final model here too: .keras, .weights.h5 or .h5"},
    MB_FLAG_MODELS,
    {"ensemble", '\0', "K", "K seeds of the model at once: S, S+1, ... with --seed S"},
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
        "SIGUSR2 where every rank stands. --max-time and the end of a batch job\n"
        "(SLURM_JOB_END_TIME, where it is set) stop it by themselves, in time for what a\n"
        "step and a checkpoint have taken at most so far. Options win over what is recorded in the "
        "file\n"
        "(mbrun configure), and that over Keras' own settings.\n\n"
        "--models and --ensemble train several models on the same ranks, which fill each\n"
        "other's waits. Options hold for all. Each has a run directory and bits as if alone: with\n"
        "--run DIR it is DIR/NAME, NAME being the model's file name without its ending, or\n"
        "seed-S; an ensemble's DIR is MODEL.run by default.\n",
    .flags = flags,
    .repeats = "models",
    .settings = mb_command_all_settings,
    .n_settings = MB_RUN_SETTINGS,
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .several = true,
    .parallel = true,
    .run = run_train};
