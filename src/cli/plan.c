/* mbrun plan: what a pipeline of a model would do in a step, without running it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/layouts.h"
#include "cli/picture.h"
#include "cli/planning.h"
#include "cli/say.h"
#include "pipeline/draw.h"
#include "pipeline/lives.h"
#include "train/offload.h"

/* A schedule on the layout. */
typedef struct {
    const char *name;
    mb_plan_t *plan;
    mb_schedule_t schedule;
    mb_chunk_cost_t *costs; /* [chunks] seconds */
    double *bytes;          /* [chunks] of activations that each micro-batch in flight keeps */
    double *inside;         /* [chunks] of those of the one that the chunk is at work on */
    double *rooms;          /* [chunks] where those that are offloaded come back to */
    double *host;           /* [chunks] of those in host memory */
    mb_schedule_times_t times;
    double work;      /* of all stages */
    double peak;      /* the most bytes of activations that a stage holds */
    int64_t messages; /* the most bytes that a stage sends */
} outlook_t;

/* ---- one schedule */

/* What a micro-batch leaves in a chunk until it has gone back. */
static void count_kept(outlook_t *o, const mb_kept_t *kept, bool offloads, int chunk)
{
    const mb_plan_t *plan = o->plan;
    double away = 0;
    for (int i = plan->first_node[chunk]; i < plan->first_node[chunk + 1]; i++) {
        const mb_node_t *node = &plan->graph->nodes[i];
        mb_memory_t memory = {.saved_bytes = 0};
        if (!node->is_input)
            node->call.layer->class_->memory(&node->call, plan->micro_batch, &memory);
        double output = (double)(mb_shape_elements(&node->call.output) * plan->micro_batch) *
                        (double)mb_dtype_bytes(node->call.output_type);
        *(kept->fixed[i] ? &o->bytes[chunk] : &away) += kept->output[i] ? output : 0;
        away += kept->saved[i] ? (double)memory.saved_bytes : 0;
    }
    bool goes = offloads && plan->slots[chunk] > MB_KEPT_ROOMS;
    o->bytes[chunk] += goes ? 0 : away;
    o->rooms[chunk] = goes ? MB_KEPT_ROOMS * away : 0;
    o->host[chunk] = goes ? plan->slots[chunk] * away : 0;
}

static mb_status_t count_bytes(const mb_planning_t *p, outlook_t *o)
{
    mb_kept_t kept;
    mb_offload_t offload;
    size_t inside;
    MB_TRY(mb_offload_read(p->args->settings, &offload));
    MB_TRY(mb_kept_find(o->plan, p->arena, &kept));
    for (int c = 0; c < o->plan->chunks; c++) {
        count_kept(o, &kept, offload.activations, c);
        MB_TRY(mb_lives_forward_bytes(&kept, c, &inside));
        o->inside[c] = (double)inside;
    }
    return MB_OK;
}

/* Of what is inside its chunks, which take turns in one place where it does not last. */
static double inside_stage(const outlook_t *o, int stage)
{
    double own = 0, shared = 0;
    for (int c = o->plan->first_chunk[stage]; c >= 0; c = o->plan->next_chunk[c]) {
        own += o->rooms[c] + (mb_plan_lasts(o->plan, c) ? o->inside[c] : 0);
        if (!mb_plan_lasts(o->plan, c) && o->inside[c] > shared)
            shared = o->inside[c];
    }
    return own + shared;
}

static mb_status_t look_ahead(const mb_planning_t *p, const char *name, outlook_t *o)
{
    mb_schedule_choice_t choice;
    o->name = name;
    MB_TRY(mb_planning_choice(p, name, &choice));
    MB_TRY(mb_planning_plan(p, &choice, p->replicas, &o->plan));
    o->costs = MB_ARENA_ARRAY(p->arena, mb_chunk_cost_t, o->plan->chunks);
    o->bytes = MB_ARENA_ARRAY(p->arena, double, o->plan->chunks);
    o->inside = MB_ARENA_ARRAY(p->arena, double, o->plan->chunks);
    o->rooms = MB_ARENA_ARRAY(p->arena, double, o->plan->chunks);
    o->host = MB_ARENA_ARRAY(p->arena, double, o->plan->chunks);
    if (o->costs == NULL || o->bytes == NULL || o->inside == NULL || o->rooms == NULL ||
        o->host == NULL)
        return mb_error_memory("a plan", (size_t)o->plan->chunks * sizeof(*o->costs));
    mb_costs_of_chunks(o->plan, p->taken, o->costs);
    choice.costs = o->costs;
    choice.again = o->plan->chunk_again;
    choice.segments = o->plan->schedule.segments;
    MB_TRY(
        mb_schedule_make(&choice, true, p->layout.stages, o->plan->micros, p->arena, &o->schedule));
    MB_TRY(count_bytes(p, o));
    MB_TRY(mb_schedule_time(&o->schedule, o->costs, o->bytes, p->arena, &o->times));
    for (int s = 0; s < p->layout.stages; s++) {
        int64_t sent = mb_plan_bytes_sent(o->plan, s);
        o->times.peak[s] += inside_stage(o, s);
        o->work += o->times.work[s];
        o->peak = o->times.peak[s] > o->peak ? o->times.peak[s] : o->peak;
        o->messages = sent > o->messages ? sent : o->messages;
    }
    return MB_OK;
}

/* The part of the stages' time that they compute. */
static double efficiency(const outlook_t *o)
{
    return o->times.step > 0 ? o->work / (o->times.step * o->plan->stages) : 1;
}

/* Between its first action and its last. */
static double idle_of(const outlook_t *o, int stage)
{
    const mb_program_t *program = &o->schedule.programs[stage];
    if (program->n == 0)
        return 0;
    const mb_action_t *last = &program->actions[program->n - 1];
    double end = o->times.begin[stage][program->n - 1] +
                 mb_action_seconds(&o->costs[last->chunk], last->kind);
    double span = end - o->times.begin[stage][0];
    return span > 0 ? 1 - o->times.work[stage] / span : 0;
}

/* ---- what is said */

static const char *layer_at(const mb_plan_t *plan, int chunk)
{
    const mb_node_t *node = &plan->graph->nodes[plan->first_node[chunk]];
    return plan->graph->layers[node->layer]->path;
}

/* What the stage has in host memory instead. */
static double host_of(const outlook_t *o, int stage)
{
    double bytes = 0;
    for (int c = o->plan->first_chunk[stage]; c >= 0; c = o->plan->next_chunk[c])
        bytes += o->host[c];
    return bytes;
}

static void print_host(const outlook_t *o)
{
    char bytes[32];
    for (int s = 0; s < o->plan->stages; s++) {
        if (host_of(o, s) > 0)
            printf("stage %d: %s of activations in host memory\n", s,
                   mb_str_bytes(host_of(o, s), bytes, sizeof bytes));
    }
}

static void print_stages(const outlook_t *o)
{
    char peak[32], sent[32];
    const mb_plan_t *plan = o->plan;
    printf("\n%-7s%8s%8s%14s%14s   %s\n", "stage", "work", "idle", "activations", "sends",
           "begins with");
    for (int s = 0; s < plan->stages; s++) {
        printf("%-7d%7.1f%%%7.1f%%%14s%14s   ", s,
               o->work > 0 ? 100 * o->times.work[s] / o->work : 0, 100 * idle_of(o, s),
               mb_str_bytes(o->times.peak[s], peak, sizeof peak),
               mb_str_bytes((double)mb_plan_bytes_sent(plan, s), sent, sizeof sent));
        for (int c = plan->first_chunk[s]; c >= 0; c = plan->next_chunk[c])
            printf("%s%s", c == plan->first_chunk[s] ? "" : ", ", layer_at(plan, c));
        printf("\n");
    }
    print_host(o);
}

static void print_row(const outlook_t *o, double least)
{
    char peak[32], sent[32];
    printf("%-20s%8.3f%11.1f%%%14s%14s\n", o->name, least > 0 ? o->times.step / least : 1,
           100 * efficiency(o), mb_str_bytes(o->peak, peak, sizeof peak),
           mb_str_bytes((double)o->messages, sent, sizeof sent));
}

static json_t *row_json(const outlook_t *o)
{
    json_t *stages = json_array();
    for (int s = 0; stages != NULL && s < o->plan->stages; s++)
        json_array_append_new(stages, json_pack("{s:o, s:o, s:o, s:o, s:I}", "work",
                                                mb_json_number(o->times.work[s]), "idle",
                                                mb_json_number(idle_of(o, s)), "activation_bytes",
                                                mb_json_number(o->times.peak[s]), "host_bytes",
                                                mb_json_number(host_of(o, s)), "bytes_sent",
                                                (json_int_t)mb_plan_bytes_sent(o->plan, s)));
    return json_pack("{s:s, s:i, s:o, s:o, s:o}", "schedule", o->name, "chunks", o->plan->chunks,
                     "time", mb_json_number(o->times.step), "efficiency",
                     mb_json_number(efficiency(o)), "per_stage", stages);
}

static mb_status_t draw(const mb_planning_t *p, const outlook_t *o)
{
    char title[512];
    const char *path = mb_args_flag(p->args, "draw");
    if (path == NULL)
        return MB_OK;
    snprintf(title, sizeof title, "%.200s: %s on %d stage%s, %d micro-batch%s of %lld sample%s",
             p->args->words[0], o->name, o->plan->stages, o->plan->stages == 1 ? "" : "s",
             o->plan->micros, o->plan->micros == 1 ? "" : "es", (long long)o->plan->micro_batch,
             o->plan->micro_batch == 1 ? "" : "s");
    char *text = mb_schedule_draw(&o->schedule, o->costs, &o->times, title);
    mb_status_t status =
        text == NULL ? mb_error_memory("a drawing", 0) : mb_picture_write(path, text);
    free(text);
    return status;
}

/* ---- the command */

static const char *const others[] = {"gpipe", "1f1b", "interleaved", "zb-h1",
                                     "zb-h2", "zb-v", "auto"};
enum { N_OTHERS = sizeof others / sizeof others[0] };

typedef struct {
    int n; /* the first is the one that was asked for */
    outlook_t rows[1 + N_OTHERS];
    mb_layouts_t layouts;
} table_t;

/* What the model has nodes enough for. */
static bool fits(const mb_planning_t *p, const char *name)
{
    mb_schedule_choice_t choice;
    return mb_schedule_parse(name, &choice) == MB_OK &&
           mb_schedule_chunks(&choice, p->layout.stages) <= mb_plan_max_stages(p->model->graph);
}

static mb_status_t fill(const mb_planning_t *p, table_t *table)
{
    const mb_settings_t *settings = p->args->settings;
    const char *wanted = mb_settings_text(settings, MB_SET_SCHEDULE);
    MB_TRY(look_ahead(p, wanted, &table->rows[table->n++]));
    for (int i = 0; i < N_OTHERS; i++) {
        if (strcmp(others[i], wanted) != 0 && fits(p, others[i]))
            MB_TRY(look_ahead(p, others[i], &table->rows[table->n++]));
    }
    return MB_OK;
}

static double least_time(const table_t *table)
{
    double least = table->rows[0].times.step;
    for (int i = 1; i < table->n; i++)
        least = table->rows[i].times.step < least ? table->rows[i].times.step : least;
    return least;
}

static mb_status_t say_json(const mb_planning_t *p, const table_t *table)
{
    json_t *rows = json_array();
    for (int i = 0; rows != NULL && i < table->n; i++)
        json_array_append_new(rows, row_json(&table->rows[i]));
    return mb_say_json(
        json_pack("{s:s, s:i, s:i, s:i, s:I, s:I, s:i, s:o, s:o}", "model", p->args->words[0],
                  "stages", p->layout.stages, "groups", p->layout.groups, "replicas",
                  p->layout.replicas, "batch", (json_int_t)p->layout.batch, "micro_batch",
                  (json_int_t)p->layout.micro_batch, "micro_batches", table->rows[0].plan->micros,
                  "schedules", rows, "layouts", mb_layouts_json(&table->layouts)));
}

static mb_status_t say(const mb_planning_t *p, const table_t *table)
{
    const outlook_t *o = &table->rows[0];
    if (mb_args_has(p->args, "json"))
        return say_json(p, table);
    printf("pipeline   %d stage%s of %d chunk%s, %s; %d micro-batch%s of %lld sample%s a "
           "step\n",
           o->plan->stages, o->plan->stages == 1 ? "" : "s", o->plan->chunks / o->plan->stages,
           o->plan->chunks == o->plan->stages ? "" : "s", o->name, o->plan->micros,
           o->plan->micros == 1 ? "" : "es", (long long)o->plan->micro_batch,
           o->plan->micro_batch == 1 ? "" : "s");
    printf("times      %s %s, messages taking none\n",
           p->profile == NULL ? "predicted for" : "measured:",
           p->profile == NULL ? p->hardware.name : mb_args_flag(p->args, "profile"));
    print_stages(o);
    printf("\n%-20s%8s%12s%14s%14s\n", "schedule", "time", "computing", "activations", "sends");
    for (int i = 0; i < table->n; i++)
        print_row(&table->rows[i], least_time(table));
    mb_layouts_print(&table->layouts);
    return MB_OK;
}

static mb_status_t plan(const mb_args_t *args, mb_planning_t *p, table_t *table)
{
    MB_TRY(mb_planning_open(args, p));
    MB_TRY(fill(p, table));
    MB_TRY(mb_layouts_find(p, &table->layouts));
    MB_TRY(draw(p, &table->rows[0]));
    return say(p, table);
}

static int run_plan(const mb_args_t *args)
{
    mb_planning_t p = {0};
    table_t table = {.n = 0};
    int code = mb_say_end(plan(args, &p, &table));
    for (int i = 0; i < table.n; i++)
        mb_plan_destroy(table.rows[i].plan);
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
