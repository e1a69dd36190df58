/* See submit_script.h. The script hands all to mbrun supervise: signals, restarts, the queue. */
#include "cli/submit_script.h"

#include <string.h>

#include "base/duration.h"

#define NEXT " \\\n    "
enum { RESTARTS = 3 };

static bool is_plain(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./,:=+@%";
    return word[0] != '\0' && word[strspn(word, plain)] == '\0';
}

void mb_script_quote(mb_str_t *out, const char *before, const char *word)
{
    mb_str_add(out, before);
    if (is_plain(word)) {
        mb_str_add(out, word);
        return;
    }
    mb_str_add(out, "'");
    for (const char *at = word; *at != '\0'; at++)
        mb_str_addf(out, *at == '\'' ? "'\\''" : "%c", *at);
    mb_str_add(out, "'");
}

/* ---- the run's options */

/* VALUE may be several lines, each one use of the option. */
static void add_values(mb_str_t *out, const char *key, const char *value)
{
    mb_str_t line = {0};
    char option[96];
    snprintf(option, sizeof option, NEXT "--%s=", key);
    for (const char *at = value; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        mb_str_addf(&line, "%.*s", (int)length, at);
        mb_script_quote(out, option, line.text);
        mb_str_free(&line);
        line = (mb_str_t){0};
        at += length + (at[length] == '\n');
    }
}

static void add_setting(mb_str_t *out, const mb_settings_t *settings, mb_setting_id_t id)
{
    const mb_setting_info_t *info = mb_setting_info(id);
    const char *value = settings->value[id];
    if (value == NULL || settings->origin[id] != MB_FROM_USER)
        return;
    if (info->kind != MB_KIND_SWITCH)
        add_values(out, info->key, value);
    else
        mb_str_addf(out, NEXT "--%s%s", strcmp(value, "yes") == 0 ? "" : "no-", info->key);
}

void mb_script_options(const mb_args_t *args, mb_str_t *out)
{
    static const char *const passed[] = {"ensemble", "output", "json", "quiet"};
    for (int id = 0; id < MB_RUN_SETTINGS; id++)
        add_setting(out, args->settings, (mb_setting_id_t)id);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        const char *value = mb_args_flag(args, passed[i]);
        if (value != NULL && value[0] != '\0')
            add_values(out, passed[i], value);
        else if (value != NULL)
            mb_str_addf(out, NEXT "--%s", passed[i]);
    }
    if (args->plugins.text != NULL)
        add_values(out, "plugin", args->plugins.text);
}

/* ---- the plan's */

static bool is_open(const mb_script_t *s, mb_setting_id_t id)
{
    return s->args->settings->origin[id] != MB_FROM_USER;
}

/* With --memory a run's own choice keeps within it, to the byte. */
static void add_plan(const mb_script_t *s, mb_str_t *out)
{
    char text[MB_LAYOUTS_NAME];
    const mb_candidate_t *best = &s->plan->all[0];
    bool limited = mb_settings_has(s->args->settings, MB_SET_MEMORY);
    if (is_open(s, MB_SET_STAGES))
        mb_str_addf(out, NEXT "--stages=%d", best->stages);
    if (is_open(s, MB_SET_SCHEDULE) && !limited && best->stages > 1)
        mb_str_addf(out, NEXT "--schedule=%s", mb_layouts_schedule(best, text));
    if (is_open(s, MB_SET_RECOMPUTE) && !limited && best->schedule.recomputes)
        mb_script_quote(out, NEXT "--recompute=", mb_layouts_recompute(s->plan, best, text));
    if (is_open(s, MB_SET_REPLICAS) && !s->goes_on)
        mb_str_addf(out, NEXT "--replicas=%d", best->replicas);
    if (is_open(s, MB_SET_MICRO_BATCH) && !s->goes_on)
        mb_str_addf(out, NEXT "--micro-batch=%lld", (long long)best->micro_batch);
}

/* ---- the script */

static void add_head(const mb_script_t *s, mb_str_t *out)
{
    char step[32], time[MB_DURATION_TEXT];
    const mb_candidate_t *best = &s->plan->all[0];
    mb_str_addf(out,
                "#!/bin/bash\n" MB_SCRIPT_MARK ": %d rank%s on %d node%s, %d stage%s x %d "
                "replica%s,\n# %d micro-batch%s of %lld a step, predicted to take %s (%s).\n"
                "# Submitted again it goes on with the run. Options of sbatch win over those "
                "below.\n\n",
                s->ranks, s->ranks == 1 ? "" : "s", s->nodes, s->nodes == 1 ? "" : "s",
                best->stages, best->stages == 1 ? "" : "s", best->replicas,
                best->replicas == 1 ? "" : "s", best->micros, best->micros == 1 ? "" : "es",
                (long long)best->micro_batch, mb_str_seconds(best->seconds, step, sizeof step),
                s->plan->options.hardware->name);
    mb_script_quote(out, "#SBATCH --job-name=", s->name);
    mb_str_addf(out, "\n#SBATCH --nodes=%d\n#SBATCH --ntasks-per-node=%d\n", s->nodes,
                s->ranks / s->nodes);
    if (s->cpus > 0)
        mb_str_addf(out, "#SBATCH --cpus-per-task=%d\n", s->cpus);
    if (s->gpus > 0)
        mb_str_addf(out, "#SBATCH --gpus-per-node=%d    # rank 0 of a node takes its GPU 0, ...\n",
                    s->gpus);
    mb_str_addf(out, "#SBATCH --time=%s\n", mb_duration_slurm(s->seconds, time, sizeof time));
}

static void add_asked(const mb_script_t *s, mb_str_t *out)
{
    static const char *const same[] = {"partition", "account"};
    char option[64];
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        snprintf(option, sizeof option, "#SBATCH --%s=", same[i]);
        if (mb_args_has(s->args, same[i])) {
            mb_script_quote(out, option, mb_args_flag(s->args, same[i]));
            mb_str_add(out, "\n");
        }
    }
    for (int i = 0; i < s->args->n_repeated; i++)
        mb_str_addf(out, "#SBATCH %s\n", s->args->repeated[i]);
}

static void add_policy(const mb_script_t *s, mb_str_t *out)
{
    mb_script_quote(out, "#SBATCH --chdir=", s->folder);
    mb_script_quote(out, "\n#SBATCH --output=", s->name);
    mb_str_add(out,
               "-%j.log\n"
               "#SBATCH --open-mode=append   # one log over all slots\n"
               "#SBATCH --requeue\n"
               "#SBATCH --signal=B:USR1@60   # a run stops by itself, in time for what a step and "
               "a checkpoint\n"
               "                             # have taken so far; this is for when it is not told "
               "its end\n\n");
}

static bool by_mpirun(const mb_script_t *s)
{
    const char *launcher = mb_args_flag(s->args, "launcher");
    return launcher != NULL && strcmp(launcher, "mpirun") == 0;
}

static void add_command(const mb_script_t *s, mb_str_t *out)
{
    mb_script_quote(out, "exec ", s->mbrun);
    mb_str_addf(out, " supervise --requeue %d --max-restarts %d --", s->requeues, RESTARTS);
    if (by_mpirun(s))
        mb_str_addf(out, NEXT "mpirun -np %d", s->ranks);
    else
        mb_str_addf(out, NEXT "srun --mpi=pmix --ntasks=%d --distribution=block", s->ranks);
    if (s->cpus > 0 && by_mpirun(s))
        mb_str_addf(out, " --map-by slot:PE=%d", s->cpus);
    else if (s->cpus > 0)
        mb_str_addf(out, " --cpus-per-task=%d", s->cpus);
    mb_script_quote(out, NEXT, s->mbrun);
    mb_script_quote(out, " ", s->args->words[0]);
    mb_str_add(out, s->options);
    add_plan(s, out);
    mb_str_add(out, "\n");
}

void mb_script_write(const mb_script_t *script, mb_str_t *out)
{
    add_head(script, out);
    add_asked(script, out);
    add_policy(script, out);
    add_command(script, out);
}
