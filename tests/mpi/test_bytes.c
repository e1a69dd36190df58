/* What a rank holds is its stage's, and what it sends is the plan's, counted on every rank.
 * Usage: test_bytes DIRECTORY; DIRECTORY holds mlp_wide.h5. On 8 ranks. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/state.h"
#include "mpi/counted.h"
#include "mpi/layout.h"
#include "mpi/leaks.h"
#include "train/trainer_private.h"

enum { STEPS = 3 };

typedef struct {
    int ranks, stages;
    bool shares_out; /* the optimizer's state */
} split_t;

static const split_t splits[] = {{1, 1, false}, {2, 1, false}, {2, 2, false}, {3, 3, false},
                                 {4, 1, false}, {4, 2, false}, {4, 4, false}, {5, 2, false},
                                 {6, 3, false}, {8, 2, false}, {8, 4, false}, {2, 1, true},
                                 {3, 1, true},  {4, 2, true},  {8, 2, true},  {2, 2, true}};
enum { N_SPLITS = sizeof splits / sizeof splits[0] };

static layout_model_t models[] = {
    {.name = "mlp_wide", .micro_batch = 1, .even = 8, .samples = 32, .steps = STEPS},
    {.name = "gpt", .micro_batch = 1, .even = 8, .samples = 32, .steps = STEPS},
    {.name = "shared", .micro_batch = 2, .even = 16, .samples = 64, .steps = STEPS},
};
enum { N_MODELS = sizeof models / sizeof models[0] };

static int rank, failures;
static const char *directory;

typedef struct {
    int64_t parameters, gradients, moments; /* of a stage, by the graph */
    int64_t copy, copied;                   /* of what this rank writes; tensors of that */
    int64_t alignment;                      /* what beginning on 64 bytes may add to gradients */
    int64_t sent;                           /* in a step */
    int64_t largest;                        /* moments of one tensor */
} expected_t;

static bool on_stage(const mb_plan_t *plan, int layer, int stage)
{
    for (int n = 0; n < plan->graph->n_nodes; n++) {
        if (plan->graph->nodes[n].layer == layer && plan->stage_of_node[n] == stage)
            return true;
    }
    return false;
}

/* A layer belongs to the stage of its first call. */
static bool owns(const mb_plan_t *plan, int layer, int stage)
{
    for (int n = 0; n < plan->graph->n_nodes; n++) {
        if (plan->graph->nodes[n].layer == layer)
            return plan->stage_of_node[n] == stage;
    }
    return false;
}

static int calls_on(const mb_plan_t *plan, int layer, int stage)
{
    int calls = 0;
    for (int n = 0; n < plan->graph->n_nodes; n++)
        calls += plan->graph->nodes[n].layer == layer && plan->stage_of_node[n] == stage;
    return calls;
}

/* Every tensor goes once to each other stage that uses it; its gradient comes back for every use.
 */
static int64_t elements_sent(const mb_plan_t *plan, int stage)
{
    int64_t sent = 0;
    for (int t = 0; t < plan->graph->n_nodes; t++) {
        const mb_node_t *node = &plan->graph->nodes[t];
        int64_t elements = mb_shape_elements(&node->call.output);
        for (int other = 0; other < plan->stages; other++) {
            int uses = 0, gradients = 0;
            for (int u = 0; u < node->n_uses; u++) {
                int consumer = node->uses[u].node;
                uses += plan->stage_of_node[consumer] == other;
                gradients += plan->stage_of_node[consumer] == other && node->needs_gradient &&
                             plan->graph->nodes[consumer].needs_gradient;
            }
            if (other == plan->stage_of_node[t] || uses == 0)
                continue;
            if (plan->stage_of_node[t] == stage)
                sent += elements;
            if (other == stage)
                sent += gradients * elements;
        }
    }
    return sent;
}

/* Groups take turns with what all of them have; of what they share out each writes its own. */
static bool writes(const mb_training_t *training, const mb_plan_t *plan, int p)
{
    const mb_grid_t *grid = &training->engine->grid;
    if (!owns(plan, plan->graph->params[p].layer, grid->stage))
        return false;
    return training->update->shared_out[p] ? training->update->slots[p][0] != NULL
                                           : p % grid->groups == grid->group;
}

static expected_t expect(const mb_training_t *training)
{
    const mb_plan_t *plan = training->engine->plan;
    const mb_stage_t *stage = training->engine->stage;
    expected_t expected = {.sent = elements_sent(plan, stage->stage) * plan->micros *
                                   plan->micro_batch * (int64_t)sizeof(float)};
    for (int p = 0; p < plan->graph->n_params; p++) {
        const mb_param_t *param = &plan->graph->params[p];
        int64_t bytes = param->elements * (int64_t)sizeof(float);
        if (on_stage(plan, param->layer, stage->stage))
            expected.parameters += bytes;
        if (writes(training, plan, p)) {
            int tensors = 1 + (param->trainable ? training->optimizer->n_slots : 0);
            expected.copy += bytes * tensors;
            expected.copied += tensors;
        }
        if (!param->trainable)
            continue;
        int entries = calls_on(plan, param->layer, stage->stage) * stage->n_blocks;
        expected.gradients += bytes * entries;
        expected.alignment += 60 * entries;
        int64_t moments = bytes * training->optimizer->n_slots;
        if (!owns(plan, param->layer, stage->stage))
            continue;
        expected.moments += moments;
        expected.largest = moments > expected.largest ? moments : expected.largest;
    }
    return expected;
}

/* Roots of the other groups, of which a reduction receives a shard each. */
static int64_t other_roots(const mb_grid_t *grid)
{
    int64_t others = 0;
    for (int g = 0; g < grid->groups; g++) {
        int first, count;
        mb_tree_node_t nodes[MB_TREE_MAX_ROOTS];
        mb_grid_replicas(grid, g, &first, &count);
        others += g == grid->group ? 0 : mb_tree_roots(grid->replicas, first, count, nodes);
    }
    return others;
}

static bool is_power(int n)
{
    return (n & (n - 1)) == 0;
}

/* Groups that pair off sum by halves: the first one that comes in is the largest. */
static bool halves(const mb_grid_t *grid)
{
    return grid->groups > 1 && is_power(grid->groups) && grid->replicas % grid->groups == 0 &&
           is_power(grid->replicas / grid->groups);
}

/* Where the first half of doubles ends: it begins with a 64 bytes more than the second. */
static int64_t first_half(int64_t doubles)
{
    int64_t end = ((doubles + 7) / 8 + 1) / 2 * 8;
    return end < doubles ? end : doubles;
}

/* What comes in, of gradients, in whole 64 bytes, and of sums. */
static int64_t reduction_bytes(const mb_engine_t *engine)
{
    const mb_grid_t *grid = &engine->grid;
    int64_t floats = engine->stage->gradient_count, doubles = engine->stage->sum_count;
    if (halves(grid))
        return floats / 2 / 16 * 64 +
               8 * (grid->group % 2 == 0 ? first_half(doubles) : doubles - first_half(doubles));
    return other_roots(grid) * (floats / grid->groups / 16 * 64 + doubles / grid->groups / 8 * 64);
}

/* What it sends: its share but for its own part, of the roots and of the sum. */
static int64_t reduction_sent(const mb_engine_t *engine)
{
    const mb_stage_t *stage = engine->stage;
    int64_t bytes = stage->gradient_count * 4 + stage->sum_count * 8, groups = engine->grid.groups;
    return groups == 1 ? 0 : 2 * (bytes - bytes / groups);
}

static bool within(const char *what, int64_t found, int64_t wanted, int64_t most_over)
{
    bool good = found >= wanted && found <= wanted + most_over;
    if (!good)
        fprintf(stderr, "# rank %d: %s: %lld bytes where %lld are expected\n", rank, what,
                (long long)found, (long long)wanted);
    return good;
}

/* Doubles of sums and norms, and room for what comes of a layer that other stages share: a tensor,
 * or doubles. */
static int64_t small_bytes(const mb_training_t *training)
{
    const mb_engine_t *engine = training->engine;
    const mb_stage_t *stage = engine->stage;
    int64_t tied = stage->sum_count * 8 + 64, n = stage->graph->n_params;
    for (int p = 0; p < n; p++) {
        int64_t bytes = stage->graph->params[p].elements * 4;
        tied = stage->values[p] != NULL && bytes > tied ? bytes : tied;
    }
    return (stage->sum_count * stage->n_sum_blocks + n + 1) * 8 +
           (engine->plan->n_ties > 0 ? tied : 0);
}

/* The table of trained tensors, clipping's factors, and the norms of all stages where there are
 * more than one. */
static int64_t update_bytes(const mb_training_t *training)
{
    const mb_engine_t *engine = training->engine;
    int64_t n = engine->stage->graph->n_params, stages = engine->grid.stages;
    int64_t table =
        (mb_pieces_table(training->update->pieces, 0)->n + 1) * (int64_t)sizeof(mb_tensor_t);
    return table + (n + 1) * 4 + (stages > 1 ? stages * (n + 1) * 8 : 0);
}

/* A shard begins and ends on 64 bytes, and so do a root's doubles. */
static int64_t reduction_slack(const mb_engine_t *engine)
{
    return 3 * 64 * other_roots(&engine->grid);
}

/* A part of each bucket but the one that would be the chunk's is up to 64 bytes more or less than
 * its even share. */
static int64_t bucket_slack(const mb_engine_t *engine)
{
    int64_t more = 0;
    for (int i = 0; i < engine->stage->n_chunks; i++)
        more += mb_plan_buckets(engine->plan, engine->stage->chunks[i].chunk) - 1;
    return 64 * more * other_roots(&engine->grid);
}

static bool check_memory(const mb_training_t *training, int64_t taken)
{
    const mb_engine_t *engine = training->engine;
    const mb_stage_t *stage = engine->stage;
    expected_t expected = expect(training);
    int64_t n_numbers = stage->graph->n_params;
    int64_t gradients = stage->gradient_count * (int64_t)sizeof(float) * stage->n_blocks;
    int64_t activations =
        (int64_t)(mb_stage_activation_bytes(stage) + engine->exec.workspace_bytes);
    int64_t planned = expected.parameters + expected.gradients + expected.moments + activations +
                      reduction_bytes(engine) + small_bytes(training) + update_bytes(training) +
                      expected.copy;
    bool good = within("parameters", (int64_t)stage->parameter_bytes, expected.parameters, 0);
    good = within("gradients", gradients, expected.gradients, expected.alignment) && good;
    int64_t slack = expected.alignment + reduction_slack(engine) + 63 * expected.copied;
    int64_t held = (int64_t)training->update->moment_bytes;
    if (mb_stage_reduce_shares_out(engine->reduction)) {
        /* A part ends at the tensor that is nearest to an even cut, and so does the one before. */
        int64_t even = expected.moments / engine->grid.groups;
        good = within("moments of a part", held, 0, even + expected.largest) && good;
        planned += held - expected.moments - reduction_bytes(engine);
        slack += (gradients + (n_numbers + 8) * 8) * other_roots(&engine->grid);
    } else {
        good = within("moments", held, expected.moments, 0) && good;
    }
    int64_t uneven = bucket_slack(engine);
    return within("all that the device gave", taken, planned - uneven, slack + 2 * uneven) && good;
}

/* What a run tells of its memory, and what is counted without taking any, is what it takes. */
static bool check_told(const mb_training_t *training, int64_t taken)
{
    mb_footprint_t told = mb_training_bytes(training), counted = {0};
    bool good = within("all that is told", mb_footprint_bytes(&told), taken, 0);
    if (mb_training_count(training, &counted) != MB_OK)
        fprintf(stderr, "# rank %d: %s\n", rank, mb_error_get());
    return within("all that is counted", mb_footprint_bytes(&counted), taken, 0) && good;
}

static bool check_sent(const mb_training_t *training)
{
    int64_t messages, reductions;
    const mb_engine_t *engine = training->engine;
    const mb_stage_t *stage = engine->stage;
    counted_sent(&messages, &reductions);
    bool good = within("the plan's formula", mb_plan_bytes_sent(engine->plan, stage->stage),
                       expect(training).sent, 0);
    good = within("sent", messages, STEPS * expect(training).sent, 0) && good;
    int64_t planned = mb_stage_reduce_bytes(engine->reduction);
    good = within("sent in reductions", reductions, STEPS * planned, 0) && good;
    /* Two halvings and two doublings at most, of floats and of doubles, each by up to 64 bytes
     * more or less than an even cut. */
    int64_t slack = engine->grid.groups == 1 ? 0 : 8 * 64;
    if (mb_stage_reduce_shares_out(engine->reduction))
        slack = 2 * stage->gradient_count * 4;
    return within("the reduction's plan", planned, reduction_sent(engine) - slack, 2 * slack) &&
           good;
}

static bool check_training(mb_training_t *training, int64_t taken)
{
    bool idle = mb_engine_idle(training->engine);
    bool good = idle ? within("an idle rank's memory", taken, 0, 0) : check_memory(training, taken);
    good = check_told(training, taken) && good;
    counted_start(training->comm->data);
    mb_status_t status = mb_training_run(training);
    if (status != MB_OK) {
        fprintf(stderr, "# rank %d: %s\n", rank, mb_error_get());
        return false;
    }
    return (idle || check_sent(training)) && good;
}

/* plan.json says of every rank what it measured and what was planned: the same. */
static bool check_plan_file(const char *run)
{
    char path[LAYOUT_PATH + 16];
    size_t i;
    json_t *one;
    snprintf(path, sizeof path, "%s/plan.json", run);
    json_t *plan = json_load_file(path, 0, NULL), *measured = json_object_get(plan, "measured");
    bool good = json_array_size(measured) > 0;
    json_array_foreach(measured, i, one)
    {
        good = good && json_integer_value(json_object_get(one, "bytes_sent")) ==
                           json_integer_value(json_object_get(one, "bytes_sent_planned"));
        good = good && json_integer_value(json_object_get(one, "reduce_bytes_sent")) ==
                           json_integer_value(json_object_get(one, "reduce_bytes_planned"));
    }
    json_decref(plan);
    if (!good)
        fprintf(stderr, "# %s: other numbers than planned\n", path);
    return good;
}

static bool run_split(MPI_Comm mpi, const layout_model_t *model, const split_t *split)
{
    char path[LAYOUT_PATH];
    mb_comm_t *comm = NULL;
    mb_settings_t *settings = NULL;
    mb_training_t *training = NULL;
    mb_comm_options_t comm_options = {.deadline_seconds = 60};
    snprintf(path, sizeof path, "%s/%s-%d-%d-%d.run", directory, model->name, split->ranks,
             split->stages, split->shares_out);
    layout_run_t run = {.model = model,
                        .device = "counted",
                        .schedule = "1f1b",
                        .threads = "1",
                        .stages = split->stages,
                        .zero = split->shares_out ? 1 : 0,
                        .batch = model->even,
                        .run = path};
    int64_t before = counted_memory();
    bool good = mb_comm_create(mpi, &comm_options, &comm) == MB_OK &&
                mb_settings_create(&settings) == MB_OK && layout_settings(&run, settings) == MB_OK;
    mb_training_options_t options = {
        .comm = comm, .model = model->path, .settings = settings, .source = model->source};
    if (good && mb_training_create(&options, &training) == MB_OK)
        good = check_training(training, counted_memory() - before);
    else
        good = false;
    if (training == NULL)
        fprintf(stderr, "# rank %d: %s\n", rank, mb_error_get());
    mb_training_destroy(training);
    mb_settings_destroy(settings);
    mb_comm_destroy(comm);
    counted_start(MPI_COMM_NULL);
    good = within("what is still taken at the end", counted_memory(), before, 0) && good;
    return (rank != 0 || check_plan_file(path)) && good;
}

/* Ranks without work must not take the processors from those with. */
static bool all_good(bool good)
{
    MPI_Request request;
    int done = 0, bad = !good, all = 0;
    struct timespec pause = {0, 2000000};
    MPI_Iallreduce(&bad, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &request);
    for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); !done;
         MPI_Test(&request, &done, MPI_STATUS_IGNORE))
        nanosleep(&pause, NULL);
    return all == 0;
}

static void check_model(layout_model_t *model)
{
    bool good = true;
    if (rank == 0)
        good = layout_write_data(directory, model) == MB_OK;
    all_good(true);
    good = layout_open(directory, model) == MB_OK && good;
    if (!all_good(good) && rank == 0)
        printf("not ok %s opens: %s\n", model->name, mb_error_get());
    for (int i = 0; i < N_SPLITS && good; i++) {
        MPI_Comm comm;
        int ranks = splits[i].ranks;
        bool holds = true;
        MPI_Comm_split(MPI_COMM_WORLD, rank < ranks ? 0 : MPI_UNDEFINED, rank, &comm);
        if (comm != MPI_COMM_NULL) {
            holds = run_split(comm, model, &splits[i]);
            MPI_Comm_free(&comm);
        }
        holds = all_good(holds);
        failures += !holds;
        if (rank == 0)
            printf("%s %s on %d ranks in %d stages holds and sends what is its stages'%s\n",
                   holds ? "ok" : "not ok", model->name, ranks, splits[i].stages,
                   splits[i].shares_out ? " and groups'" : "");
        fflush(stdout);
    }
    layout_close(model);
}

int main(int argc, char **argv)
{
    if (argc != 2 || mb_device_register(counted_device()) != MB_OK)
        return 2;
    directory = argv[1];
    leaks_mpi_init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int m = 0; m < N_MODELS; m++)
        check_model(&models[m]);
    failures += leaks_found();
    all_good(true);
    MPI_Finalize();
    return failures == 0 ? 0 : 1;
}
