/* See run.h. */
#include "cli/run.h"

#include "cli/batch.h"

static void on_start(void *user, const mb_start_report_t *report)
{
    mb_progress_start(&((mb_cli_run_t *)user)->progress, report);
}

static void on_step(void *user, const mb_step_report_t *report)
{
    mb_progress_step(&((mb_cli_run_t *)user)->progress, report);
}

static void on_evaluated(void *user, const mb_eval_report_t *report)
{
    mb_progress_evaluated(&((mb_cli_run_t *)user)->progress, report);
}

static void on_saved(void *user, const char *path)
{
    mb_progress_saved(&((mb_cli_run_t *)user)->progress, path);
}

static void on_profiled(void *user, const mb_time_report_t *report)
{
    mb_progress_profiled(&((mb_cli_run_t *)user)->progress, report);
}

static void on_straggler(void *user, const mb_straggler_report_t *report)
{
    mb_progress_straggler(&((mb_cli_run_t *)user)->progress, report);
}

static bool on_boundary(void *user)
{
    const mb_cli_run_t *run = user;
    return run->stop(run->user);
}

mb_status_t mb_cli_run_set_up(mb_cli_run_t *run, const mb_args_t *args)
{
    mb_training_options_t options = {.comm = run->comm,
                                     .model = run->model,
                                     .settings = run->settings,
                                     .output = mb_args_flag(args, "output"),
                                     .restart = mb_args_has(args, "restart"),
                                     .log = run->log,
                                     .started = run->started,
                                     .end = mb_batch_end(),
                                     .events = {.user = run,
                                                .start = on_start,
                                                .step = on_step,
                                                .evaluated = on_evaluated,
                                                .saved = on_saved,
                                                .profiled = on_profiled,
                                                .straggles = on_straggler,
                                                .stop = on_boundary}};
    options.end.saving = run->saving;
    return mb_training_create(&options, &run->trainer);
}

void mb_cli_run_say_where(mb_cli_run_t *run)
{
    char where[256];
    bool named = run->name != NULL;
    mb_progress_clear(&run->progress);
    fprintf(stderr, "rank %d on %s: %s%s%s\n", mb_comm_rank(run->comm), mb_comm_host(run->comm),
            named ? run->name : "", named ? ": " : "",
            mb_comm_where(run->comm, where, sizeof where));
}

void mb_cli_run_say_end(mb_cli_run_t *run, mb_status_t status)
{
    if (mb_comm_rank(run->comm) == 0)
        mb_progress_end(&run->progress, status,
                        run->trainer == NULL ? NULL : mb_training_directory(run->trainer));
}
