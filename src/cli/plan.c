/* mbrun plan: what a pipeline of a model would do in a step, without running it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/layouts_text.h"
#include "cli/picture.h"
#include "cli/say.h"
#include "pipeline/draw.h"
#include "train/outlook.h"

/* ---- what is said */

static const char *layer_at(const mb_plan_t *plan, int chunk)
{
    const mb_node_t *node = &plan->graph->nodes[plan->first_node[chunk]];
    return plan->graph->layers[node->layer]->path;
}

static void print_host(const mb_outlook_t *o)
{
    char bytes[32];
    for (int s = 0; s < o->plan->stages; s++) {
        if (mb_outlook_host(o, s) > 0)
            printf("stage %d: %s of activations in host memory\n", s,
                   mb_str_bytes(mb_outlook_host(o, s), bytes, sizeof bytes));
    }
}

static void print_stages(const mb_outlook_t *o)
{
    char peak[32], sent[32];
    const mb_plan_t *plan = o->plan;
    printf("\n%-7s%8s%8s%14s%14s   %s\n", "stage", "work", "idle", "activations", "sends",
           "begins with");
    for (int s = 0; s < plan->stages; s++) {
        printf("%-7d%7.1f%%%7.1f%%%14s%14s   ", s,
               o->work > 0 ? 100 * o->times.work[s] / o->work : 0, 100 * mb_outlook_idle(o, s),
               mb_str_bytes(o->times.peak[s], peak, sizeof peak),
               mb_str_bytes((double)mb_plan_bytes_sent(plan, s), sent, sizeof sent));
        for (int c = plan->first_chunk[s]; c >= 0; c = plan->next_chunk[c])
            printf("%s%s", c == plan->first_chunk[s] ? "" : ", ", layer_at(plan, c));
        printf("\n");
    }
    print_host(o);
}

static void print_row(const mb_outlook_t *o, double least)
{
    char peak[32], sent[32];
    printf("%-20s%8.3f%11.1f%%%14s%14s\n", o->name, least > 0 ? o->times.step / least : 1,
           100 * mb_outlook_efficiency(o), mb_str_bytes(o->peak, peak, sizeof peak),
           mb_str_bytes((double)o->messages, sent, sizeof sent));
}

static mb_status_t draw(const mb_planning_t *p, const mb_outlook_t *o, const char *path)
{
    char title[512];
    if (path == NULL)
        return MB_OK;
    snprintf(title, sizeof title, "%.200s: %s on %d stage%s, %d micro-batch%s of %lld sample%s",
             p->request.model, o->name, o->plan->stages, o->plan->stages == 1 ? "" : "s",
             o->plan->micros, o->plan->micros == 1 ? "" : "es", (long long)o->plan->micro_batch,
             o->plan->micro_batch == 1 ? "" : "s");
    char *text = mb_schedule_draw(&o->schedule, o->costs, &o->times, title);
    mb_status_t status =
        text == NULL ? mb_error_memory("a drawing", 0) : mb_picture_write(path, text);
    free(text);
    return status;
}

/* ---- the command */

typedef struct {
    mb_outlooks_t schedules; /* the first is the one that was asked for */
    mb_layouts_t layouts;
} table_t;

static double least_time(const table_t *table)
{
    double least = table->schedules.rows[0].times.step;
    for (int i = 1; i < table->schedules.n; i++)
        least = table->schedules.rows[i].times.step < least ? table->schedules.rows[i].times.step
                                                            : least;
    return least;
}

static mb_status_t say(const mb_planning_t *p, const table_t *table)
{
    const mb_outlook_t *o = &table->schedules.rows[0];
    printf("pipeline   %d stage%s of %d chunk%s, %s; %d micro-batch%s of %lld sample%s a "
           "step\n",
           o->plan->stages, o->plan->stages == 1 ? "" : "s", o->plan->chunks / o->plan->stages,
           o->plan->chunks == o->plan->stages ? "" : "s", o->name, o->plan->micros,
           o->plan->micros == 1 ? "" : "es", (long long)o->plan->micro_batch,
           o->plan->micro_batch == 1 ? "" : "s");
    printf("times      %s %s, messages taking none\n",
           p->profile == NULL ? "predicted for" : "measured:",
           p->profile == NULL ? p->hardware.name : p->request.profile);
    print_stages(o);
    printf("\n%-20s%8s%12s%14s%14s\n", "schedule", "time", "computing", "activations", "sends");
    for (int i = 0; i < table->schedules.n; i++)
        print_row(&table->schedules.rows[i], least_time(table));
    mb_layouts_print(&table->layouts);
    return MB_OK;
}

static mb_status_t plan(const mb_args_t *args, mb_planning_t *p, table_t *table)
{
    mb_planning_request_t request;
    MB_TRY(mb_planning_asked(args, &request));
    MB_TRY(mb_planning_open(&request, p));
    MB_TRY(mb_outlooks_find(p, &table->schedules));
    MB_TRY(mb_layouts_find(p, &table->layouts));
    MB_TRY(draw(p, &table->schedules.rows[0], mb_args_flag(args, "draw")));
    return mb_args_has(args, "json") ? mb_say_json(mb_outlooks_json(
                                           p, &table->schedules, mb_layouts_json(&table->layouts)))
                                     : say(p, table);
}

static int run_plan(const mb_args_t *args)
{
    mb_planning_t p = {0};
    table_t table = {.schedules = {.n = 0}};
    int code = mb_say_end(plan(args, &p, &table));
    mb_outlooks_free(&table.schedules);
    mb_planning_close(&p);
    return code;
}

static const mb_flag_t flags[] = {
    {"ranks", '\0', "N", "for so many ranks (default: as many as stages)"},
    {"draw", '\0', "FILE.svg|FILE.png", "the schedule's timeline as a picture"},
    {"json", '\0', NULL, "one JSON object instead of text"},
    MB_FLAG_MEMORY,
    MB_FLAG_HARDWARE,
    MB_FLAG_PROFILE,
    MB_FLAG_PLUGIN,
    {.name = NULL}};

static const mb_setting_id_t settings[] = {MB_SET_DATA,
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
                                           MB_SET_CHECKPOINT_EVERY,
                                           MB_SET_CHECKPOINT_MODE};

const mb_command_t mb_command_plan = {
    .name = "plan",
    .usage =
        "MODEL.h5 --ranks N [--stages P] [--schedule NAME] [--draw FILE.svg|FILE.png] [--json]",
    .title = "Show what a pipeline would do, and what other schedules would",
    .detail =
        "The layout is chosen as a run on N ranks would choose it. What layers take is predicted "
        "for\n"
        "the hardware, or was measured (--profile); idle is what a stage waits between its first "
        "action and its last; activations are what layers\n"
        "give and keep for their backward, of all micro-batches that a stage holds at most: "
        "gradients\n"
        "and workspace come to that, and the start of a run prints all. The second table has the "
        "same step on each schedule that the model can be\n"
        "cut for: its time beside the shortest, and the part of all stages' time that computes.\n"
        "The last lists layouts of the ranks; their memory is counted as the ranks of a run would "
        "take it\n"
        "(a tilde: by a formula, as what is large).\n"
        "--data is needed where the model leaves sizes open.\n",
    .flags = flags,
    .settings = settings,
    .n_settings = sizeof settings / sizeof settings[0],
    .least_words = 1,
    .most_words = 1,
    .words = "a model file",
    .run = run_plan};
