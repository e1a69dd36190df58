/* See outlook.h. */
#include "train/outlook.h"

#include <string.h>

#include "base/json_value.h"
#include "pipeline/costs.h"
#include "pipeline/lives.h"
#include "train/offload.h"

/* ---- one schedule */

/* What a micro-batch leaves in a chunk until it has gone back. */
static void count_kept(mb_outlook_t *o, const mb_kept_t *kept, bool offloads, int chunk)
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

static mb_status_t count_bytes(const mb_planning_t *p, mb_outlook_t *o)
{
    mb_kept_t kept;
    mb_offload_t offload;
    size_t inside;
    MB_TRY(mb_offload_read(p->request.settings, &offload));
    MB_TRY(mb_kept_find(o->plan, p->arena, &kept));
    for (int c = 0; c < o->plan->chunks; c++) {
        count_kept(o, &kept, offload.activations, c);
        MB_TRY(mb_lives_forward_bytes(&kept, c, &inside));
        o->inside[c] = (double)inside;
    }
    return MB_OK;
}

/* Of what is inside its chunks, which take turns in one place where it does not last. */
static double inside_stage(const mb_outlook_t *o, int stage)
{
    double own = 0, shared = 0;
    for (int c = o->plan->first_chunk[stage]; c >= 0; c = o->plan->next_chunk[c]) {
        own += o->rooms[c] + (mb_plan_lasts(o->plan, c) ? o->inside[c] : 0);
        if (!mb_plan_lasts(o->plan, c) && o->inside[c] > shared)
            shared = o->inside[c];
    }
    return own + shared;
}

static mb_status_t look_ahead(const mb_planning_t *p, const char *name, mb_outlook_t *o)
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

double mb_outlook_efficiency(const mb_outlook_t *o)
{
    return o->times.step > 0 ? o->work / (o->times.step * o->plan->stages) : 1;
}

double mb_outlook_idle(const mb_outlook_t *o, int stage)
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

double mb_outlook_host(const mb_outlook_t *o, int stage)
{
    double bytes = 0;
    for (int c = o->plan->first_chunk[stage]; c >= 0; c = o->plan->next_chunk[c])
        bytes += o->host[c];
    return bytes;
}

static json_t *row_json(const mb_outlook_t *o)
{
    json_t *stages = json_array();
    for (int s = 0; stages != NULL && s < o->plan->stages; s++)
        json_array_append_new(
            stages, json_pack("{s:o, s:o, s:o, s:o, s:I}", "work", mb_json_number(o->times.work[s]),
                              "idle", mb_json_number(mb_outlook_idle(o, s)), "activation_bytes",
                              mb_json_number(o->times.peak[s]), "host_bytes",
                              mb_json_number(mb_outlook_host(o, s)), "bytes_sent",
                              (json_int_t)mb_plan_bytes_sent(o->plan, s)));
    return json_pack("{s:s, s:i, s:o, s:o, s:o}", "schedule", o->name, "chunks", o->plan->chunks,
                     "time", mb_json_number(o->times.step), "efficiency",
                     mb_json_number(mb_outlook_efficiency(o)), "per_stage", stages);
}

/* ---- all of them */

static const char *const others[] = {"gpipe", "1f1b", "interleaved", "zb-h1",
                                     "zb-h2", "zb-v", "auto"};
enum { N_OTHERS = sizeof others / sizeof others[0] };
_Static_assert((int)N_OTHERS < (int)MB_OUTLOOKS, "a row for each");

/* What the model has nodes enough for. */
static bool fits(const mb_planning_t *p, const char *name)
{
    mb_schedule_choice_t choice;
    return mb_schedule_parse(name, &choice) == MB_OK &&
           mb_schedule_chunks(&choice, p->layout.stages) <= mb_plan_max_stages(p->model->graph);
}

mb_status_t mb_outlooks_find(const mb_planning_t *p, mb_outlooks_t *table)
{
    const mb_settings_t *settings = p->request.settings;
    const char *wanted = mb_settings_text(settings, MB_SET_SCHEDULE);
    MB_TRY(look_ahead(p, wanted, &table->rows[table->n++]));
    for (int i = 0; i < N_OTHERS; i++) {
        if (strcmp(others[i], wanted) != 0 && fits(p, others[i]))
            MB_TRY(look_ahead(p, others[i], &table->rows[table->n++]));
    }
    return MB_OK;
}

void mb_outlooks_free(mb_outlooks_t *outlooks)
{
    for (int i = 0; i < outlooks->n; i++)
        mb_plan_destroy(outlooks->rows[i].plan);
    outlooks->n = 0;
}

json_t *mb_outlooks_json(const mb_planning_t *p, const mb_outlooks_t *outlooks, json_t *layouts)
{
    json_t *rows = json_array();
    for (int i = 0; rows != NULL && i < outlooks->n; i++)
        json_array_append_new(rows, row_json(&outlooks->rows[i]));
    return json_pack("{s:s, s:i, s:i, s:i, s:I, s:I, s:i, s:o, s:o}", "model", p->request.model,
                     "stages", p->layout.stages, "groups", p->layout.groups, "replicas",
                     p->layout.replicas, "batch", (json_int_t)p->layout.batch, "micro_batch",
                     (json_int_t)p->layout.micro_batch, "micro_batches",
                     outlooks->rows[0].plan->micros, "schedules", rows, "layouts", layouts);
}
