/* mbrun simulate: a run of a plan on ranks that are not there, in virtual time. */
#include <stdlib.h>
#include <string.h>

#include "cli/layouts_text.h"
#include "cli/say.h"
#include "cli/simulate_text.h"

static mb_status_t number_of(const mb_args_t *args, const char *flag, double otherwise, double most,
                             double *out)
{
    char *end;
    const char *text = mb_args_flag(args, flag);
    *out = otherwise;
    if (text == NULL)
        return MB_OK;
    double value = strtod(text, &end);
    if (end != text && *end == '%' && strcmp(flag, "jitter") == 0)
        value /= 100, end++;
    if (end == text || *end != '\0' || !(value >= 0) || !(value <= most))
        return mb_error_set(MB_ERR_ARGUMENT, "--%s '%s' is not a number from 0 to %g", flag, text,
                            most);
    *out = value;
    return MB_OK;
}

static mb_status_t steps_of(const mb_args_t *args, int *out)
{
    char *end;
    const char *text = mb_args_flag(args, "steps");
    long steps = text == NULL ? 1 : strtol(text, &end, 10);
    if (text != NULL && (end == text || *end != '\0' || steps < 1 || steps > 1000000))
        return mb_error_set(MB_ERR_ARGUMENT, "--steps '%s' is not a number from 1 to 1000000",
                            text);
    *out = (int)steps;
    return MB_OK;
}

/* What only a run that computes is asked for. */
static const mb_setting_id_t real_only[] = {
    MB_SET_SHUFFLE,      MB_SET_RESET_STATES, MB_SET_OPTIMIZER,  MB_SET_LR,
    MB_SET_LR_SCHEDULE,  MB_SET_WEIGHT_DECAY, MB_SET_CLIP,       MB_SET_LOSS,
    MB_SET_CLASS_WEIGHT, MB_SET_WEIGHTS,      MB_SET_WEIGHTS_BY, MB_SET_SKIP_MISMATCH,
    MB_SET_EMULATE,      MB_SET_QAT};

static mb_status_t refuse_real(const mb_args_t *args)
{
    const char *given = mb_args_has(args, "output") ? "output" : NULL;
    for (size_t i = 0; i < sizeof real_only / sizeof real_only[0]; i++) {
        if (args->settings->origin[real_only[i]] == MB_FROM_USER)
            given = mb_setting_info(real_only[i])->key;
    }
    if (given == NULL)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "--%s: nothing is trained where actions are only timed; use --compute real",
                        given);
}

static mb_status_t computes(const mb_args_t *args, bool *out)
{
    const char *text = mb_args_flag(args, "compute");
    *out = text != NULL && strcmp(text, "real") == 0;
    if (*out)
        return MB_OK;
    if (text != NULL && strcmp(text, "timed") != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "--compute %s: there are timed and real", text);
    return refuse_real(args);
}

static mb_status_t take_request(const mb_args_t *args, mb_simulating_request_t *out)
{
    *out = (mb_simulating_request_t){.stragglers = mb_args_flag(args, "straggler"),
                                     .losses = mb_args_flag(args, "lose"),
                                     .trace = mb_args_flag(args, "trace"),
                                     .output = mb_args_flag(args, "output")};
    MB_TRY(computes(args, &out->computes));
    MB_TRY(mb_planning_asked(args, &out->planning));
    MB_TRY(steps_of(args, &out->steps));
    return number_of(args, "jitter", 0, 0.99, &out->jitter);
}

static mb_status_t simulate(const mb_args_t *args, mb_simulating_t *s)
{
    mb_simulating_request_t request;
    MB_TRY(take_request(args, &request));
    MB_TRY(mb_simulating_run(&request, s));
    return mb_args_has(args, "json") ? mb_simulated_json(s) : mb_simulated_say(s);
}

static int run_simulate(const mb_args_t *args)
{
    mb_simulating_t s = {.step_seconds = 0};
    int code = mb_say_end(simulate(args, &s));
    mb_simulating_close(&s);
    return code;
}

static const mb_flag_t flags[] = {
    {"ranks", '\0', "N", "so many ranks (default: as many as stages)"},
    MB_FLAG_HARDWARE,
    MB_FLAG_PROFILE,
    {"compute", '\0', "HOW", "timed: actions only take their time (default); real: ranks train"},
    {"steps", '\0', "K", "steps, one after another (default: 1)"},
    {"jitter", '\0', "PART", "each action takes up to this part more or less: 5% or 0.05"},
    {"straggler", '\0', "RANK:FACTOR", "a slow rank; \"random\" for RANK; several: 3:1.5,random:2"},
    {"lose", '\0', "RANK@STEP", "a rank that is gone from that step on; several likewise"},
    {"trace", '\0', "FILE.json", "what each rank does and when, for Perfetto and mbrun trace"},
    {"output", 'o', "FILE.h5", "--compute real: the model as it is after the last step"},
    {"json", '\0', NULL, "one JSON object instead of text"},
    MB_FLAG_PLUGIN,
    {.name = NULL}};

static const mb_setting_id_t settings[] = {
    MB_SET_DATA, MB_SET_LABEL, MB_SET_BATCH, MB_SET_MICRO_BATCH, MB_SET_REPLICAS, MB_SET_STAGES,
    MB_SET_SCHEDULE, MB_SET_RECOMPUTE, MB_SET_DTYPE, MB_SET_PARTITION, MB_SET_ZERO, MB_SET_SEED,
    /* of --compute real alone (simulate_real.c): */
    MB_SET_BUCKET, MB_SET_SHUFFLE, MB_SET_RESET_STATES, MB_SET_OPTIMIZER, MB_SET_LR,
    MB_SET_LR_SCHEDULE, MB_SET_WEIGHT_DECAY, MB_SET_CLIP, MB_SET_LOSS, MB_SET_CLASS_WEIGHT,
    MB_SET_WEIGHTS, MB_SET_WEIGHTS_BY, MB_SET_SKIP_MISMATCH, MB_SET_EMULATE, MB_SET_QAT};

const mb_command_t mb_command_simulate = {
    .name = "simulate",
    .usage = "MODEL.h5 --ranks N [--stages P] [--hardware FILE] [--lose RANK@STEP] [--trace FILE]",
    .title = "Run a plan in virtual time, on any number of ranks that are not there",
    .detail =
        "Every rank walks the actions that it would walk in a run; what computes takes the time\n"
        "that the hardware file predicts, or that a run has measured (--profile), and messages "
        "meet, wait for each other and share links\n"
        "as doc/schedules.md says. Chance comes from --seed. Ranks that wait for ever are named\n"
        "with what they wait for, and the command fails. --compute real lets every rank compute\n"
        "and send what it would in a run on --data, to the same bits, in this process alone; "
        "losses\n"
        "and a digest of the weights come out beside the times.\n",
    .flags = flags,
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .run = run_simulate};
