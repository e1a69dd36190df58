/* See callbacks.h. */
#include "train/callbacks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    mb_watch_t watches[2];
    int n_watches;
    bool is_switch;
} option_t;

static const option_t options[] = {
    {"mode", {0}, 0, false},
    {"min-delta", {MB_WATCH_STOP, MB_WATCH_PLATEAU}, 2, false},
    {"patience", {MB_WATCH_STOP, MB_WATCH_PLATEAU}, 2, false},
    {"baseline", {MB_WATCH_STOP}, 1, false},
    {"start-from-epoch", {MB_WATCH_STOP}, 1, false},
    {"restore-best", {MB_WATCH_STOP}, 1, true},
    {"factor", {MB_WATCH_PLATEAU}, 1, false},
    {"cooldown", {MB_WATCH_PLATEAU}, 1, false},
    {"min-lr", {MB_WATCH_PLATEAU}, 1, false},
};
enum { N_OPTIONS = sizeof options / sizeof options[0] };

/* Which way is better, of names whose loss or metric Keras knows the direction of. */
static const struct {
    const char *name;
    bool rises;
} directions[] = {{"loss", false},
                  {"accuracy", true},
                  {"acc", true},
                  {"binary_accuracy", true},
                  {"categorical_accuracy", true},
                  {"sparse_categorical_accuracy", true},
                  {"top_k_categorical_accuracy", true},
                  {"sparse_top_k_categorical_accuracy", true},
                  {"auc", true},
                  {"precision", true},
                  {"recall", true},
                  {"f1_score", true},
                  {"mean_absolute_error", false},
                  {"mae", false},
                  {"mean_squared_error", false},
                  {"mse", false},
                  {"root_mean_squared_error", false}};

typedef struct {
    mb_watch_t watch;
    const char *key;
    int mode; /* 1: max, -1: min, 0: by the name */
    mb_monitor_t *monitor;
} parser_t;

static bool takes(const option_t *option, mb_watch_t watch)
{
    for (int i = 0; i < option->n_watches; i++) {
        if (option->watches[i] == watch)
            return true;
    }
    return option->n_watches == 0;
}

static mb_status_t refuse_value(const parser_t *p, const char *name, const char *value,
                                const char *wanted)
{
    return mb_error_set(MB_ERR_ARGUMENT, "--%s: %s=%s is not %s", p->key, name, value, wanted);
}

static mb_status_t take_mode(parser_t *p, const char *value)
{
    p->mode = strcmp(value, "max") == 0 ? 1 : strcmp(value, "min") == 0 ? -1 : 0;
    if (p->mode == 0 && strcmp(value, "auto") != 0)
        return refuse_value(p, "mode", value, "min, max or auto");
    return MB_OK;
}

static mb_status_t take_count(const parser_t *p, const char *name, const char *value, int64_t *out)
{
    char *end;
    long long count = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || count < 0 || count > INT32_MAX)
        return refuse_value(p, name, value, "a whole number of at least 0");
    *out = count;
    return MB_OK;
}

static mb_status_t take_number(const parser_t *p, const char *name, const char *value, double low,
                               double *out)
{
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || !isfinite(number) || number < low)
        return refuse_value(p, name, value, low < 0 ? "a number" : "a number of at least 0");
    *out = number;
    return MB_OK;
}

static mb_status_t take_factor(const parser_t *p, const char *value)
{
    MB_TRY(take_number(p, "factor", value, 0, &p->monitor->factor));
    return p->monitor->factor < 1 ? MB_OK : refuse_value(p, "factor", value, "below 1");
}

static mb_status_t take_option(parser_t *p, const char *name, const char *value)
{
    mb_monitor_t *m = p->monitor;
    if (strcmp(name, "mode") == 0)
        return take_mode(p, value);
    if (strcmp(name, "min-delta") == 0)
        return take_number(p, name, value, 0, &m->min_delta);
    if (strcmp(name, "patience") == 0)
        return take_count(p, name, value, &m->patience);
    if (strcmp(name, "start-from-epoch") == 0)
        return take_count(p, name, value, &m->start_from_epoch);
    if (strcmp(name, "cooldown") == 0)
        return take_count(p, name, value, &m->cooldown);
    if (strcmp(name, "min-lr") == 0)
        return take_number(p, name, value, 0, &m->min_lr);
    if (strcmp(name, "factor") == 0)
        return take_factor(p, value);
    m->restore_best = m->restore_best || strcmp(name, "restore-best") == 0;
    if (strcmp(name, "baseline") != 0)
        return MB_OK;
    m->has_baseline = true;
    return take_number(p, name, value, -INFINITY, &m->baseline);
}

/* NAME=VALUE or a switch, in a text that may be cut. */
static mb_status_t read_option(parser_t *p, char *text)
{
    char *value = strchr(text, '=');
    if (value != NULL)
        *value++ = '\0';
    for (int i = 0; i < N_OPTIONS; i++) {
        if (strcmp(options[i].name, text) != 0 || !takes(&options[i], p->watch))
            continue;
        if (options[i].is_switch != (value == NULL))
            return mb_error_set(MB_ERR_ARGUMENT, "--%s: %s takes %s value", p->key, text,
                                options[i].is_switch ? "no" : "a");
        return take_option(p, text, value);
    }
    char known[256] = "";
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!takes(&options[i], p->watch))
            continue;
        strcat(known, known[0] == '\0' ? "" : ", ");
        strcat(known, options[i].name);
    }
    return mb_error_set(MB_ERR_ARGUMENT, "--%s: there is no '%s'; there are %s", p->key, text,
                        known);
}

static mb_status_t find_direction(const parser_t *p)
{
    const char *metric = p->monitor->metric;
    const char *name = strncmp(metric, "val_", 4) == 0 ? metric + 4 : metric;
    p->monitor->rises = p->mode > 0;
    if (p->mode != 0)
        return MB_OK;
    for (size_t i = 0; i < sizeof directions / sizeof directions[0]; i++) {
        p->monitor->rises = directions[i].rises;
        if (strcmp(directions[i].name, name) == 0)
            return MB_OK;
    }
    return mb_error_set(MB_ERR_ARGUMENT,
                        "--%s: whether more or less of '%s' is better does not follow from its "
                        "name: add mode=min or mode=max",
                        p->key, metric);
}

static mb_status_t read_all(parser_t *p, char *text)
{
    char *rest = strchr(text, ':'), *next = NULL;
    if (rest != NULL)
        *rest++ = '\0';
    if (text[0] == '\0' || strlen(text) >= MB_MONITOR_NAME)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--%s wants a metric first: val_loss, or val_loss:patience=3", p->key);
    strcpy(p->monitor->metric, text);
    for (char *option = rest == NULL ? NULL : strtok_r(rest, ",", &next); option != NULL;
         option = strtok_r(NULL, ",", &next))
        MB_TRY(read_option(p, option));
    return find_direction(p);
}

mb_status_t mb_monitor_parse(mb_watch_t watch, const char *key, const char *text, mb_monitor_t *out)
{
    bool plateau = watch == MB_WATCH_PLATEAU;
    *out = (mb_monitor_t){.on = text != NULL,
                          .patience = plateau ? 10 : 0,
                          .min_delta = plateau ? 1e-4 : 0,
                          .factor = 0.1};
    if (text == NULL)
        return MB_OK;
    parser_t parser = {.watch = watch, .key = key, .monitor = out};
    char *copy = strdup(text);
    mb_status_t status =
        copy == NULL ? mb_error_memory("the command line", strlen(text)) : read_all(&parser, copy);
    free(copy);
    return status;
}

/* Keras' _is_improvement. */
static bool improves(const mb_monitor_t *monitor, double value, double reference)
{
    double moved = (double)(float)value + (monitor->rises ? -1 : 1) * monitor->min_delta;
    return monitor->rises ? (float)moved > (float)reference : (float)moved < (float)reference;
}

void mb_stop_decide(const mb_monitor_t *monitor, double value, int64_t epoch,
                    mb_callback_state_t *state, bool *keep, bool *stop)
{
    *keep = *stop = false;
    if (epoch < monitor->start_from_epoch)
        return;
    *keep = state->stop_seen == 0;
    state->stop_wait++;
    if (state->stop_seen == 0 || improves(monitor, value, state->stop_best)) {
        state->stop_seen = 1;
        state->stop_best = (double)(float)value;
        *keep = true;
        if (!monitor->has_baseline || improves(monitor, value, monitor->baseline))
            state->stop_wait = 0;
        return;
    }
    *stop = state->stop_wait >= monitor->patience && epoch > 0;
    state->stopped = state->stopped || *stop;
}

static bool lower(const mb_monitor_t *monitor, double *rate)
{
    double old = (double)(float)*rate;
    if (!(old > (double)(float)monitor->min_lr))
        return false;
    *rate = (double)(float)fmax(old * monitor->factor, monitor->min_lr);
    return true;
}

bool mb_plateau_decide(const mb_monitor_t *monitor, double value, double *rate,
                       mb_callback_state_t *state)
{
    if (state->plateau_cooldown > 0) {
        state->plateau_cooldown--;
        state->plateau_wait = 0;
    }
    if (state->plateau_seen == 0 || improves(monitor, value, state->plateau_best)) {
        state->plateau_seen = 1;
        state->plateau_best = (double)(float)value;
        state->plateau_wait = 0;
        return false;
    }
    if (state->plateau_cooldown > 0 || ++state->plateau_wait < monitor->patience ||
        !lower(monitor, rate))
        return false;
    state->plateau_cooldown = monitor->cooldown;
    state->plateau_wait = 0;
    state->rate = *rate;
    return true;
}

bool mb_best_decide(const mb_monitor_t *monitor, double value, mb_callback_state_t *state)
{
    if (state->best_seen != 0 && !improves(monitor, value, state->best_value))
        return false;
    state->best_seen = 1;
    state->best_value = (double)(float)value;
    return true;
}
