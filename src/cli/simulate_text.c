/* What mbrun simulate says. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "cli/say.h"
#include "cli/simulate_text.h"

enum { MOST_STAGES = 32, MOST_WAYS = 6 };

typedef struct {
    const char *of, *direction; /* "node", "out" */
    int index;
    const mb_flow_way_t *way;
} named_way_t;

typedef struct {
    named_way_t ways[MOST_WAYS]; /* the busiest first */
    int n;
} busiest_t;

static void put_in(busiest_t *list, named_way_t candidate)
{
    int at = list->n < MOST_WAYS ? list->n++ : MOST_WAYS;
    for (; at > 0 && candidate.way->busy > list->ways[at - 1].way->busy; at--) {
        if (at < MOST_WAYS)
            list->ways[at] = list->ways[at - 1];
    }
    if (at < MOST_WAYS)
        list->ways[at] = candidate;
}

static void look_at(busiest_t *list, const char *of, const char *direction,
                    const mb_flow_way_t *ways, int n)
{
    for (int i = 0; i < n; i++) {
        if (ways[i].messages > 0)
            put_in(list, (named_way_t){of, direction, i, &ways[i]});
    }
}

static busiest_t find_busiest(const mb_simulating_t *s)
{
    busiest_t list = {.n = 0};
    int ranks = s->planning.grid.ranks;
    look_at(&list, "node", "out", s->out.node_out, s->out.n_nodes);
    look_at(&list, "node", "in", s->out.node_in, s->out.n_nodes);
    look_at(&list, "rank", "out", s->out.device_out, ranks);
    look_at(&list, "rank", "in", s->out.device_in, ranks);
    return list;
}

static double part_of(const mb_simulating_t *s, double seconds)
{
    return s->out.end > 0 ? 100 * seconds / s->out.end : 0;
}

static void print_stages(const mb_simulating_t *s)
{
    char bytes[32];
    int stages = s->planning.grid.stages;
    printf("\n%-7s%12s%10s%12s%11s%14s\n", "stage", "computing", "waiting", "reducing", "updating",
           "sends");
    for (int i = 0; i < stages && i < MOST_STAGES; i++) {
        const mb_simulated_stage_t *stage = &s->out.stages[i];
        printf("%-7d%11.1f%%%9.1f%%%11.1f%%%10.1f%%%14s\n", i, part_of(s, stage->compute),
               part_of(s, stage->wait), part_of(s, stage->reduce), part_of(s, stage->update),
               mb_str_bytes((double)stage->bytes / s->simulation.steps, bytes, sizeof bytes));
    }
    if (stages > MOST_STAGES)
        printf("and %d more stages, all in --json\n", stages - MOST_STAGES);
}

static void print_ways(const mb_simulating_t *s)
{
    char bytes[32], seconds[32];
    busiest_t list = find_busiest(s);
    if (list.n > 0)
        printf("\n%-18s%8s%14s%20s\n", "busiest links", "busy", "a step", "messages waited");
    for (int i = 0; i < list.n; i++) {
        const named_way_t *named = &list.ways[i];
        char name[48];
        snprintf(name, sizeof name, "%s %d %s", named->of, named->index, named->direction);
        printf("%-18s%7.1f%%%14s%20s\n", name, part_of(s, named->way->busy),
               mb_str_bytes((double)named->way->bytes / s->simulation.steps, bytes, sizeof bytes),
               mb_str_seconds(named->way->held_up, seconds, sizeof seconds));
    }
}

static void print_training(const mb_simulating_t *s)
{
    printf("\n%-7s%14s\n", "step", "loss");
    for (int i = 0; i < s->n_losses; i++)
        printf("%-7d%14.9g\n", i + 1, s->losses[i]);
    printf("weights %s\n", s->digest);
}

mb_status_t mb_simulated_say(const mb_simulating_t *s)
{
    char bytes[32], ranks[MB_COUNT_TEXT], messages[MB_COUNT_TEXT];
    const mb_plan_t *plan = s->plans[0];
    const mb_grid_t *grid = &s->planning.grid;
    printf("pipeline   %d stage%s of %d chunk%s, %d group%s: %s ranks; %d micro-batch%s of %lld "
           "sample%s a step\n",
           plan->stages, plan->stages == 1 ? "" : "s", plan->chunks / plan->stages,
           plan->chunks == plan->stages ? "" : "s", grid->groups, grid->groups == 1 ? "" : "s",
           mb_say_count(grid->stages * grid->groups, ranks, sizeof ranks), plan->micros,
           plan->micros == 1 ? "" : "es", (long long)plan->micro_batch,
           plan->micro_batch == 1 ? "" : "s");
    printf("hardware   %s, %d device%s a node\n", s->planning.hardware.name,
           s->planning.hardware.devices_per_node,
           s->planning.hardware.devices_per_node == 1 ? "" : "s");
    printf("step       %.6g s, %.1f%% of the ranks' time not computing\n", s->step_seconds,
           100 * s->idle);
    printf("messages   %s, %s a step\n",
           mb_say_count(s->out.messages / s->simulation.steps, messages, sizeof messages),
           mb_str_bytes((double)s->out.bytes / s->simulation.steps, bytes, sizeof bytes));
    print_stages(s);
    print_ways(s);
    if (s->request.computes)
        print_training(s);
    return MB_OK;
}

static json_t *stage_json(const mb_simulated_stage_t *stage)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I}", "compute_seconds", mb_json_number(stage->compute),
                     "wait_seconds", mb_json_number(stage->wait), "reduce_seconds",
                     mb_json_number(stage->reduce), "update_seconds", mb_json_number(stage->update),
                     "bytes_sent", (json_int_t)stage->bytes);
}

static json_t *way_json(const named_way_t *named)
{
    return json_pack("{s:s, s:i, s:s, s:o, s:o, s:I, s:I}", "of", named->of, "index", named->index,
                     "direction", named->direction, "busy_seconds",
                     mb_json_number(named->way->busy), "held_up_seconds",
                     mb_json_number(named->way->held_up), "bytes", (json_int_t)named->way->bytes,
                     "messages", (json_int_t)named->way->messages);
}

static void add_training(json_t *value, const mb_simulating_t *s)
{
    json_t *losses = json_array();
    for (int i = 0; i < s->n_losses; i++)
        json_array_append_new(losses, mb_json_number(s->losses[i]));
    json_object_set_new(value, "losses", losses);
    json_object_set_new(value, "weights", json_string(s->digest));
}

mb_status_t mb_simulated_json(const mb_simulating_t *s)
{
    json_t *stages = json_array(), *ways = json_array();
    busiest_t list = find_busiest(s);
    const mb_grid_t *grid = &s->planning.grid;
    for (int i = 0; stages != NULL && i < grid->stages; i++)
        json_array_append_new(stages, stage_json(&s->out.stages[i]));
    for (int i = 0; ways != NULL && i < list.n; i++)
        json_array_append_new(ways, way_json(&list.ways[i]));
    json_t *value =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "model",
                  s->planning.request.model, "ranks", grid->stages * grid->groups, "stages",
                  grid->stages, "groups", grid->groups, "chunks", s->plans[0]->chunks,
                  "micro_batches", s->plans[0]->micros, "steps", s->simulation.steps, "seconds",
                  mb_json_number(s->out.end), "step_seconds", mb_json_number(s->step_seconds),
                  "idle", mb_json_number(s->idle), "messages", (json_int_t)s->out.messages, "bytes",
                  (json_int_t)s->out.bytes, "per_stage", stages, "links", ways);
    if (s->request.computes)
        add_training(value, s);
    return mb_say_json(value);
}
