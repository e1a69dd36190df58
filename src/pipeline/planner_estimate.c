/* A step of one layout, by closed formulas.
 *
 * With t_s what stage s computes for a micro-batch and t the most of them, M micro-batches take M t
 * on that stage; the pipeline fills and empties in the sum of the others' t_s: GPipe and 1F1B
 * (Huang et al. 2019). V chunks a stage make it a V-th (Narayanan et al. 2021), moving gradients of
 * weights into it takes w off it (ZB-H1), two (ZB-H2), or all of it (ZB-V; Qi et al. 2023, 2024).
 * A sum over g groups of n bytes moves 2 n (g-1)/g bytes past each and waits for 2 log2 g messages
 * (Thakur, Rabenseifner and Gropp 2005); of CPUs of a node, each reads n bytes of its part and
 * writes as many. */
#include "pipeline/kept.h"
#include "pipeline/planner_private.h"

#include <math.h>
#include <stdlib.h>

typedef struct {                                      /* of one stage */
    double forward, backward_input, backward_weights; /* of a micro-batch */
    double parameters, largest;                       /* elements; of the largest node */
    double again;                                     /* of forward, computed again */
    double sent;
    double largest_tensor; /* elements */
    double held;           /* bytes of activations */
} stage_t;

int mb_planner_stage_of(const mb_candidate_t *c, int chunk)
{
    return mb_schedule_stage_of(c->schedule.kind, c->stages,
                                chunk / mb_schedule_segments(&c->schedule, true));
}

/* Bytes of the messages of a node's output, forward: one to each other stage that reads it. */
static double bytes_sent(const mb_graph_t *graph, const int *chunk_of_node, const mb_candidate_t *c,
                         int node, double bytes)
{
    double sent = 0;
    int own = mb_planner_stage_of(c, chunk_of_node[node]), last = own;
    for (int u = 0; u < graph->nodes[node].n_uses; u++) {
        int reader = mb_planner_stage_of(c, chunk_of_node[graph->nodes[node].uses[u].node]);
        sent += reader != own && reader != last ? bytes : 0;
        last = reader;
    }
    return sent;
}

static bool leaves_chunk(const mb_graph_t *graph, const int *chunk_of_node, int node)
{
    const mb_node_t *n = &graph->nodes[node];
    int last = n->n_uses == 0 ? node : n->uses[n->n_uses - 1].node;
    return chunk_of_node[last] != chunk_of_node[node];
}

mb_planner_node_t mb_planner_node(const mb_graph_t *graph, const int *chunk_of_node,
                                  const mb_candidate_t *c, int node, const int *readers)
{
    const mb_node_t *n = &graph->nodes[node];
    mb_memory_t memory = {.saved_bytes = 0};
    double bytes = (double)(mb_shape_elements(&n->call.output) * c->micro_batch) *
                   (double)mb_dtype_bytes(n->call.output_type);
    if (!n->is_input)
        graph->layers[n->layer]->class_->memory(&n->call, c->micro_batch, &memory);
    return (mb_planner_node_t){.output = bytes,
                               .saved = (double)memory.saved_bytes,
                               .carried = (double)memory.carry_bytes,
                               .sent = bytes_sent(graph, chunk_of_node, c, node, bytes),
                               .fixed = n->is_input || leaves_chunk(graph, chunk_of_node, node) ||
                                        mb_kept_is_scored(graph, node),
                               .read = readers[node] >= 0,
                               .leaves = leaves_chunk(graph, chunk_of_node, node),
                               .own = readers[node] == node};
}

bool mb_planner_is_again(const mb_candidate_t *c, const mb_node_t *node)
{
    return c->schedule.recomputes && !node->is_input &&
           (c->layers == NULL || c->layers[node->layer]);
}

/* What is sent is kept; a call that saves nothing else is not run again. */
static bool saves(const mb_node_t *node, const mb_candidate_t *c)
{
    mb_memory_t memory = {.saved_bytes = 0};
    node->call.layer->class_->memory(&node->call, c->micro_batch, &memory);
    return memory.saved_bytes > 0;
}

static void add_node(const mb_planner_options_t *o, const int *chunk_of_node,
                     const mb_node_cost_t *cost, int node, const mb_candidate_t *c, stage_t *stage)
{
    const mb_node_t *n = &o->graph->nodes[node];
    const mb_layer_t *layer = o->graph->layers[n->layer];
    double bytes = (double)(mb_shape_elements(&n->call.output) * c->micro_batch) *
                   (double)mb_dtype_bytes(n->call.output_type);
    stage->forward += cost->forward;
    stage->backward_input += cost->backward_input;
    stage->backward_weights += cost->backward_weights;
    double sent = bytes_sent(o->graph, chunk_of_node, c, node, bytes);
    bool runs = mb_planner_is_again(c, n) && (sent == 0 || saves(n, c));
    stage->again += runs ? cost->forward : 0;
    stage->sent += sent * (n->needs_gradient ? 2 : 1);
    double parameters = 0;
    for (int k = 0; k < layer->n_params; k++) {
        double elements = (double)o->graph->params[layer->params[k]].elements;
        parameters += elements;
        stage->largest_tensor = elements > stage->largest_tensor ? elements : stage->largest_tensor;
    }
    stage->parameters += parameters;
    stage->largest = parameters > stage->largest ? parameters : stage->largest;
}

static double of_micro(const stage_t *s)
{
    return s->forward + s->again + s->backward_input + s->backward_weights;
}

/* Where there are too few micro-batches for a schedule's formula, that of the next one down holds.
 */
static mb_schedule_kind_t acts_as(const mb_candidate_t *c)
{
    mb_schedule_kind_t kind = c->schedule.kind;
    int p = c->stages, m = c->micros;
    if (kind == MB_SCHEDULE_AUTO) /* with even chunks */
        kind = c->schedule.per_stage > 1 ? MB_SCHEDULE_ZB_V : MB_SCHEDULE_ZB_H1;
    if (kind == MB_SCHEDULE_INTERLEAVED && m < p)
        kind = MB_SCHEDULE_1F1B;
    if ((kind == MB_SCHEDULE_ZB_V && m < 2 * p) || (kind == MB_SCHEDULE_ZB_H2 && m < 2 * p - 1))
        kind = MB_SCHEDULE_ZB_H1;
    return kind == MB_SCHEDULE_ZB_H1 && m < p ? MB_SCHEDULE_1F1B : kind;
}

/* What a stage leaves idle while the pipeline fills and empties. */
static double share_of_bubble(const mb_candidate_t *c, const stage_t *s)
{
    double all = of_micro(s), w = s->backward_weights, idle = all;
    mb_schedule_kind_t kind = acts_as(c);
    if (kind == MB_SCHEDULE_INTERLEAVED)
        idle = all / c->schedule.per_stage;
    else if (kind == MB_SCHEDULE_ZB_H1)
        idle = all - 2 * w;
    else if (kind == MB_SCHEDULE_ZB_H2)
        idle = all - 3 * w;
    else if (kind == MB_SCHEDULE_ZB_V)
        idle = 0;
    return idle > 0 ? idle : 0;
}

/* Micro-batches that stage S has places for at most, in whole stages' worth. Of ZB-V, whose chunks
 * each have places for as many as they ever hold, that is half a stage more than in flight at once.
 */
double mb_planner_in_flight(const mb_candidate_t *c, int s)
{
    double p = c->stages, v = c->schedule.per_stage > 0 ? c->schedule.per_stage : 1, most = p - s;
    if (c->schedule.kind == MB_SCHEDULE_GPIPE)
        most = c->micros;
    else if (c->schedule.kind == MB_SCHEDULE_INTERLEAVED)
        most = p * (1 + (p - 1) / (p * v));
    else if (c->schedule.kind == MB_SCHEDULE_ZB_V)
        most = p + 0.5;
    else if (c->schedule.kind == MB_SCHEDULE_ZB_H2) /* late gradients of weights hold on to them */
        most = 2 * p - 1;
    else if (mb_planner_splits(c))
        most = p;
    return most < c->micros ? most : c->micros;
}

bool mb_planner_splits(const mb_candidate_t *c)
{
    mb_schedule_kind_t kind = c->schedule.kind;
    return kind == MB_SCHEDULE_ZB_H1 || kind == MB_SCHEDULE_ZB_H2 || kind == MB_SCHEDULE_ZB_V ||
           kind == MB_SCHEDULE_AUTO;
}

/* Numbers a parameter that a rank keeps, and updates, of what the optimizer has. */
static double moments_held(const mb_planner_options_t *o, const mb_candidate_t *c)
{
    return o->zero > 0 ? (double)o->moments / c->groups : o->moments;
}

/* Of what groups share out the most that one has: tensors stay whole. */
static double largest_part(const mb_candidate_t *c, const stage_t *stage)
{
    double even = 1.0 / c->groups, whole = 0;
    if (stage->parameters > 0)
        whole = stage->largest_tensor / stage->parameters;
    return whole > even ? whole : even;
}

static bool is_power(int n)
{
    return (n & (n - 1)) == 0;
}

/* Groups of a node that sum in each other's memory (comm/reduce_window.h): where messages would be
 * copied by processors, these are CPUs. */
static bool sums_in_place(const mb_planner_options_t *o, const mb_candidate_t *c)
{
    return o->zero == 0 && c->replicas % c->groups == 0 && o->hardware->inside.occupies > 0 &&
           c->stages * c->groups <= o->hardware->devices_per_node;
}

/* Of a block, what comes in at a time (comm/reduce_plan.h): half of it where groups pair off, else
 * this group's part of all others. */
static double received_part(const mb_planner_options_t *o, const mb_candidate_t *c,
                            const stage_t *stage)
{
    int blocks = c->groups, of_group = c->replicas / c->groups;
    bool pairs = c->replicas % c->groups == 0 && is_power(of_group);
    double part = o->zero > 0 ? largest_part(c, stage) : 1.0 / c->groups;
    if (c->groups == 1 || sums_in_place(o, c))
        return 0;
    while (pairs && blocks > 1 && blocks % 2 == 0)
        blocks /= 2;
    double half = blocks == c->groups ? 0 : part > 0.5 ? part : 0.5;
    double direct = (blocks - 1) * part;
    direct = direct < 1 ? direct : 1;
    return half > direct ? half : direct;
}

/* Replicas that one pipeline works on are summed in further blocks of gradients, as deep as their
 * tree (comm/tree.h); what other groups have is received beside them. Of those that groups share
 * out a rank has its part and three buckets, with room for as much that comes in. */
static double gradient_bytes(const mb_planner_options_t *o, const mb_candidate_t *c,
                             const stage_t *stage)
{
    double all = stage->parameters * sizeof(float);
    double blocks = 1 + ceil(log2((c->replicas + c->groups - 1) / c->groups));
    double bucket = o->bucket > 0 ? o->bucket + stage->largest * sizeof(float) : all;
    double shared = all * largest_part(c, stage) + 2 * MB_BUCKET_ROOMS * bucket;
    double whole = (blocks + received_part(o, c, stage)) * all;
    return o->zero > 1 && c->groups > 1 && shared < all ? shared : whole;
}

double mb_planner_numbers_held(const mb_planner_options_t *o, const mb_candidate_t *c)
{
    double blocks = 1 + ceil(log2((c->replicas + c->groups - 1) / c->groups));
    return 1 + moments_held(o, c) + blocks + (double)(c->groups - 1) / c->groups;
}

static double memory_of(const mb_planner_options_t *o, const mb_candidate_t *c,
                        const stage_t *stage)
{
    double moments = o->moments * (o->zero > 0 ? largest_part(c, stage) : 1);
    double copied = o->copies ? largest_part(c, stage) * (1 + o->moments) : 0;
    return stage->parameters * sizeof(float) * (1 + moments + copied) +
           gradient_bytes(o, c, stage) + stage->held;
}

/* Neighbours in a group lie on one node where the stages do not outnumber its devices. */
static const mb_hardware_link_t *pipeline_link(const mb_planner_options_t *o,
                                               const mb_candidate_t *c)
{
    return c->stages <= o->hardware->devices_per_node ? &o->hardware->inside
                                                      : &o->hardware->between;
}

static double reduce_seconds(const mb_planner_options_t *o, const mb_candidate_t *c, double bytes)
{
    bool one_node = c->stages * c->groups <= o->hardware->devices_per_node;
    const mb_hardware_link_t *link = one_node ? &o->hardware->inside : &o->hardware->between;
    double g = c->groups, sharing = one_node ? 1 : o->hardware->devices_per_node;
    if (c->groups < 2)
        return 0;
    if (sums_in_place(o, c))
        return 2 * link->latency + 2 * bytes / o->hardware->memory_bandwidth;
    return 2 * ceil(log2(g)) * link->latency + 2 * bytes * (g - 1) / g / link->bandwidth * sharing;
}

static void sum_up(const mb_planner_options_t *o, const stage_t *stages, mb_candidate_t *c,
                   double *memory_of_stage)
{
    double most = 0, total = 0, bubble = 0, largest = 0, sent = 0;
    int slowest = 0;
    for (int s = 0; s < c->stages; s++) {
        double t = of_micro(&stages[s]), memory = memory_of(o, c, &stages[s]);
        total += t;
        if (memory_of_stage != NULL)
            memory_of_stage[s] = memory;
        bubble += share_of_bubble(c, &stages[s]);
        slowest = t > most ? s : slowest;
        most = t > most ? t : most;
        largest = stages[s].parameters > largest ? stages[s].parameters : largest;
        sent = stages[s].sent > sent ? stages[s].sent : sent;
        c->memory = memory > c->memory ? memory : c->memory;
    }
    double message = c->stages > 1 ? mb_hardware_link_seconds(pipeline_link(o, c), sent) : 0;
    double bytes = largest * sizeof(float);
    c->compute = c->micros * most;
    c->bubble = bubble - share_of_bubble(c, &stages[slowest]);
    c->messages = message * (c->micros + 2 * (c->stages - 1));
    c->reduce = reduce_seconds(o, c, bytes);
    double updated = o->zero > 0 ? 3.0 / c->groups : 3;
    c->update = bytes * (updated + 2 * moments_held(o, c)) / o->hardware->memory_bandwidth;
    c->seconds = c->compute + c->bubble + c->messages + c->reduce + c->update;
    c->imbalance = total > 0 ? most * c->stages / total : 1;
    c->efficiency = c->seconds > 0 ? total * c->micros * c->groups / (o->ranks * c->seconds) : 1;
}

static mb_status_t add_memory(const mb_planner_options_t *options, const int *chunk_of_node,
                              const mb_candidate_t *c, stage_t *stages)
{
    double *held = calloc((size_t)c->stages, sizeof *held);
    mb_status_t status = held == NULL ? mb_error_memory("a plan", sizeof *held)
                                      : mb_planner_memory(options, chunk_of_node, c, held);
    for (int s = 0; s < c->stages && status == MB_OK; s++)
        stages[s].held = held[s];
    free(held);
    return status;
}

/* A stage that goes back as soon as it has gone forward has all it needs, of its last segment. */
static double part_again(const mb_candidate_t *c, int stage)
{
    double segments = mb_schedule_segments(&c->schedule, true);
    return mb_planner_in_flight(c, stage) > 1 ? 1 : (segments - 1) / segments;
}

mb_status_t mb_planner_estimate_stages(const mb_planner_options_t *options,
                                       const mb_node_cost_t *nodes, const int *chunk_of_node,
                                       mb_candidate_t *c, double *memory)
{
    stage_t *stages = calloc((size_t)c->stages, sizeof *stages);
    if (stages == NULL)
        return mb_error_memory("a plan", (size_t)c->stages * sizeof *stages);
    for (int i = 0; i < options->graph->n_nodes; i++)
        add_node(options, chunk_of_node, &nodes[i], i, c,
                 &stages[mb_planner_stage_of(c, chunk_of_node[i])]);
    for (int s = 0; s < c->stages; s++)
        stages[s].again *= part_again(c, s);
    c->memory = 0;
    mb_status_t status = add_memory(options, chunk_of_node, c, stages);
    if (status == MB_OK)
        sum_up(options, stages, c, memory);
    free(stages);
    return status;
}

mb_status_t mb_planner_estimate(const mb_planner_options_t *options, const mb_node_cost_t *nodes,
                                const int *chunk_of_node, mb_candidate_t *c)
{
    return mb_planner_estimate_stages(options, nodes, chunk_of_node, c, NULL);
}
