/* The public planner: what a run on so many ranks would do, found without them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"
#include "train/layouts.h"
#include "train/outlook.h"
#include "train/simulating.h"

/* What is told of a stage. */
typedef struct {
    double work, idle, activation_bytes, host_bytes, bytes_sent;
} stage_t;

typedef struct {
    double ranks, stages, groups, replicas, idle, batch, micro_batch, micro_batches, chunks;
    double seconds, efficiency, memory, least_memory;
    double simulated_seconds, simulated_idle, simulated_messages, simulated_bytes;
} numbers_t;

struct mb_planner {
    char *path;
    mb_settings_t *settings;
    char *memory, *hardware, *profile, *stragglers, *losses;
    int ranks, steps;
    double jitter;
    bool planned, simulated;
    numbers_t numbers;
    int n_stages;
    stage_t *stages;
    char *text; /* JSON */
};

mb_status_t mb_planner_create(const char *path, mb_planner_t **out)
{
    MB_NEED(path);
    MB_TRY(mb_api_need(out, __func__, "planner"));
    mb_planner_t *planner = calloc(1, sizeof *planner);
    if (planner == NULL)
        return mb_error_memory("a planner", sizeof *planner);
    planner->steps = 1;
    planner->path = strdup(path);
    mb_status_t status = planner->path == NULL ? mb_error_memory("a path", strlen(path)) : MB_OK;
    if (status == MB_OK)
        status = mb_settings_create(&planner->settings);
    if (status == MB_OK)
        *out = planner;
    else
        mb_planner_destroy(planner);
    return status;
}

static void forget(mb_planner_t *planner)
{
    free(planner->stages);
    free(planner->text);
    planner->stages = NULL;
    planner->text = NULL;
    planner->n_stages = 0;
    planner->planned = planner->simulated = false;
}

mb_status_t mb_planner_destroy(mb_planner_t *planner)
{
    if (planner == NULL)
        return MB_OK;
    forget(planner);
    mb_settings_destroy(planner->settings);
    free(planner->path);
    free(planner->memory);
    free(planner->hardware);
    free(planner->profile);
    free(planner->stragglers);
    free(planner->losses);
    free(planner);
    return MB_OK;
}

/* ---- what is asked */

static mb_status_t take_text(char **to, const char *value)
{
    char *copy = strdup(value);
    if (copy == NULL)
        return mb_error_memory("a setting", strlen(value));
    free(*to);
    *to = copy;
    return MB_OK;
}

static mb_status_t take_count(int *to, const char *key, const char *value, long most)
{
    char *end;
    long n = strtol(value, &end, 10);
    if (end == value || *end != '\0' || n < 1 || n > most)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_planner_set: %s=%s: a whole number from 1 to %ld is wanted", key,
                            value, most);
    *to = (int)n;
    return MB_OK;
}

static mb_status_t take_jitter(double *to, const char *value)
{
    char *end;
    double part = strtod(value, &end);
    if (end != value && *end == '%')
        part /= 100, end++;
    if (end == value || *end != '\0' || !(part >= 0) || !(part <= 0.99))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "mb_planner_set: jitter=%s: a part from 0 to 0.99 is wanted", value);
    *to = part;
    return MB_OK;
}

/* What of a run's settings a plan depends on. */
static const mb_setting_id_t plans_by[] = {MB_SET_DATA,
                                           MB_SET_LABEL,
                                           MB_SET_BATCH,
                                           MB_SET_MICRO_BATCH,
                                           MB_SET_REPLICAS,
                                           MB_SET_STAGES,
                                           MB_SET_SCHEDULE,
                                           MB_SET_RECOMPUTE,
                                           MB_SET_ZERO,
                                           MB_SET_BUCKET,
                                           MB_SET_OFFLOAD,
                                           MB_SET_DTYPE,
                                           MB_SET_PARTITION,
                                           MB_SET_OPTIMIZER,
                                           MB_SET_LOSS,
                                           MB_SET_THREADS,
                                           MB_SET_SEED,
                                           MB_SET_MOMENTS,
                                           MB_SET_CHECKPOINT_EVERY,
                                           MB_SET_CHECKPOINT_MODE};
enum { N_PLANS_BY = sizeof plans_by / sizeof plans_by[0], N_OWN = 8 };

static mb_status_t take_setting(mb_planner_t *planner, const char *key, const char *value)
{
    const char *names[N_PLANS_BY + N_OWN] = {"ranks", "steps",    "jitter",  "memory",
                                             "lose",  "hardware", "profile", "straggler"};
    for (int i = 0; i < N_PLANS_BY; i++) {
        names[N_OWN + i] = mb_setting_info(plans_by[i])->key;
        if (strcmp(key, names[N_OWN + i]) == 0)
            return mb_settings_set(planner->settings, key, value, MB_FROM_USER);
    }
    const char *nearest = mb_str_nearest(key, names, N_PLANS_BY + N_OWN);
    return mb_error_set(MB_ERR_ARGUMENT, "mb_planner_set: a plan has no setting '%s'%s%s%s", key,
                        nearest == NULL ? "" : ": do you mean '", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "'?");
}

static mb_status_t set(mb_planner_t *planner, const char *key, const char *value)
{
    const struct {
        const char *key;
        char **to;
    } texts[] = {{"memory", &planner->memory},
                 {"hardware", &planner->hardware},
                 {"profile", &planner->profile},
                 {"straggler", &planner->stragglers},
                 {"lose", &planner->losses}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(key, texts[i].key) == 0)
            return take_text(texts[i].to, value);
    }
    if (strcmp(key, "ranks") == 0)
        return take_count(&planner->ranks, key, value, MB_PLANNING_MOST_RANKS);
    if (strcmp(key, "steps") == 0)
        return take_count(&planner->steps, key, value, 1000000);
    if (strcmp(key, "jitter") == 0)
        return take_jitter(&planner->jitter, value);
    return take_setting(planner, key, value);
}

mb_status_t mb_planner_set(mb_planner_t *planner, const char *key, const char *value)
{
    MB_NEED(planner);
    MB_NEED(key);
    MB_NEED(value);
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = set(planner, key, value);
    mb_api_leave(&kept);
    return status;
}

/* The file's settings are merged into those of a request, so each has a copy. */
static mb_status_t request_of(const mb_planner_t *planner, mb_planning_request_t *out)
{
    *out = (mb_planning_request_t){.model = planner->path,
                                   .ranks = planner->ranks,
                                   .memory = planner->memory,
                                   .hardware = planner->hardware,
                                   .profile = planner->profile};
    return mb_settings_copy(planner->settings, &out->settings);
}

/* ---- the plan */

static void take_layout(mb_planner_t *planner, const mb_planning_t *p)
{
    numbers_t *n = &planner->numbers;
    n->ranks = p->grid.ranks;
    n->stages = p->layout.stages;
    n->groups = p->layout.groups;
    n->replicas = p->layout.replicas;
    n->idle = p->grid.ranks - p->layout.stages * p->layout.groups;
    n->batch = (double)p->layout.batch;
    n->micro_batch = (double)p->layout.micro_batch;
}

/* What the ranking of layouts says of the one that was chosen. */
static void take_candidate(mb_planner_t *planner, const mb_planning_t *p, const mb_layouts_t *l)
{
    numbers_t *n = &planner->numbers;
    n->least_memory = l->least;
    for (int i = 0; i < l->n; i++) {
        const mb_candidate_t *c = &l->all[i];
        if (c->stages != p->layout.stages || c->replicas != p->layout.replicas ||
            c->micro_batch != p->layout.micro_batch)
            continue;
        n->seconds = c->seconds;
        n->efficiency = c->efficiency;
        n->memory = mb_layouts_memory(c);
        return;
    }
}

static mb_status_t take_stages(mb_planner_t *planner, const mb_outlook_t *o)
{
    int stages = o->plan->stages;
    planner->stages = calloc((size_t)stages, sizeof *planner->stages);
    if (planner->stages == NULL)
        return mb_error_memory("a plan", (size_t)stages * sizeof *planner->stages);
    planner->n_stages = stages;
    planner->numbers.chunks = o->plan->chunks;
    planner->numbers.micro_batches = o->plan->micros;
    for (int s = 0; s < stages; s++)
        planner->stages[s] = (stage_t){.work = o->work > 0 ? o->times.work[s] / o->work : 0,
                                       .idle = mb_outlook_idle(o, s),
                                       .activation_bytes = o->times.peak[s],
                                       .host_bytes = mb_outlook_host(o, s),
                                       .bytes_sent = (double)mb_plan_bytes_sent(o->plan, s)};
    return MB_OK;
}

static mb_status_t take_json(mb_planner_t *planner, json_t *json)
{
    planner->text = json == NULL ? NULL : json_dumps(json, JSON_REAL_PRECISION(9));
    json_decref(json);
    return planner->text == NULL ? mb_error_memory("a plan's text", 0) : MB_OK;
}

static mb_status_t plan(mb_planner_t *planner, const mb_planning_request_t *request,
                        mb_planning_t *p, mb_outlooks_t *outlooks)
{
    mb_layouts_t layouts = {.n = 0};
    MB_TRY(mb_planning_open(request, p));
    MB_TRY(mb_outlooks_find(p, outlooks));
    MB_TRY(mb_layouts_find(p, &layouts));
    take_layout(planner, p);
    take_candidate(planner, p, &layouts);
    MB_TRY(take_stages(planner, &outlooks->rows[0]));
    return take_json(planner, mb_outlooks_json(p, outlooks, mb_layouts_json(&layouts)));
}

mb_status_t mb_planner_run(mb_planner_t *planner)
{
    mb_planning_t planning = {.arena = NULL};
    mb_outlooks_t outlooks = {.n = 0};
    mb_planning_request_t request;
    MB_NEED(planner);
    forget(planner);
    planner->numbers = (numbers_t){.seconds = NAN,
                                   .efficiency = NAN,
                                   .memory = NAN,
                                   .simulated_seconds = NAN,
                                   .simulated_idle = NAN,
                                   .simulated_messages = NAN,
                                   .simulated_bytes = NAN};
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = request_of(planner, &request);
    if (status == MB_OK)
        status = plan(planner, &request, &planning, &outlooks);
    mb_outlooks_free(&outlooks);
    mb_planning_close(&planning);
    mb_settings_destroy(request.settings);
    mb_api_leave(&kept);
    planner->planned = status == MB_OK;
    return status;
}

/* ---- in virtual time */

static void take_simulated(mb_planner_t *planner, const mb_simulating_t *s)
{
    numbers_t *n = &planner->numbers;
    n->simulated_seconds = s->step_seconds;
    n->simulated_idle = s->idle;
    n->simulated_messages = (double)s->out.messages;
    n->simulated_bytes = (double)s->out.bytes;
}

mb_status_t mb_planner_simulate(mb_planner_t *planner)
{
    mb_simulating_t simulating = {.step_seconds = 0};
    mb_simulating_request_t request = {.steps = 0};
    MB_NEED(planner);
    if (!planner->planned)
        MB_TRY(mb_planner_run(planner));
    request = (mb_simulating_request_t){.steps = planner->steps,
                                        .jitter = planner->jitter,
                                        .stragglers = planner->stragglers,
                                        .losses = planner->losses};
    mb_api_kept_t kept = mb_api_enter();
    mb_status_t status = request_of(planner, &request.planning);
    if (status == MB_OK)
        status = mb_simulating_run(&request, &simulating);
    if (status == MB_OK)
        take_simulated(planner, &simulating);
    mb_simulating_close(&simulating);
    mb_settings_destroy(request.planning.settings);
    mb_api_leave(&kept);
    return status;
}

/* ---- what is told */

static mb_status_t need_plan(const mb_planner_t *planner, const char *function)
{
    if (planner->planned)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "%s: nothing was planned yet; call mb_planner_run",
                        function);
}

mb_status_t mb_planner_get(const mb_planner_t *planner, const char *name, double *value)
{
    MB_NEED(planner);
    MB_NEED(name);
    MB_NEED(value);
    MB_TRY(need_plan(planner, __func__));
    const numbers_t *n = &planner->numbers;
    const mb_api_number_t numbers[] = {{"ranks", n->ranks},
                                       {"stages", n->stages},
                                       {"groups", n->groups},
                                       {"replicas", n->replicas},
                                       {"idle", n->idle},
                                       {"batch", n->batch},
                                       {"micro_batch", n->micro_batch},
                                       {"micro_batches", n->micro_batches},
                                       {"chunks", n->chunks},
                                       {"seconds", n->seconds},
                                       {"efficiency", n->efficiency},
                                       {"memory", n->memory},
                                       {"least_memory", n->least_memory},
                                       {"simulated_seconds", n->simulated_seconds},
                                       {"simulated_idle", n->simulated_idle},
                                       {"simulated_messages", n->simulated_messages},
                                       {"simulated_bytes", n->simulated_bytes}};
    return mb_api_number(numbers, (int)(sizeof numbers / sizeof numbers[0]), name, value);
}

mb_status_t mb_planner_get_stage(const mb_planner_t *planner, int stage, const char *name,
                                 double *value)
{
    MB_NEED(planner);
    MB_NEED(name);
    MB_NEED(value);
    MB_TRY(need_plan(planner, __func__));
    if (stage < 0 || stage >= planner->n_stages)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: there is no stage %d; the plan has %d, from 0",
                            __func__, stage, planner->n_stages);
    const stage_t *s = &planner->stages[stage];
    const mb_api_number_t numbers[] = {{"work", s->work},
                                       {"idle", s->idle},
                                       {"activation_bytes", s->activation_bytes},
                                       {"host_bytes", s->host_bytes},
                                       {"bytes_sent", s->bytes_sent}};
    return mb_api_number(numbers, (int)(sizeof numbers / sizeof numbers[0]), name, value);
}

mb_status_t mb_planner_text(const mb_planner_t *planner, const char **json)
{
    MB_NEED(planner);
    MB_NEED(json);
    MB_TRY(need_plan(planner, __func__));
    *json = planner->text;
    return MB_OK;
}
