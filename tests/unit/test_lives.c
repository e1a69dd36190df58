/* Where a chunk's tensors stand. That what shares a place is never there at the same time is shown
 * by the bits: each model's gradients and outputs are those of the same stage with all of its
 * places apart, also where all that is not kept for a backward is poisoned in front of it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/stage.h"
#include "model/preset.h"
#include "pipeline/lives.h"
#include "pipeline/recompute.h"

enum { MICRO = 3, MOST_MICROS = 3, MOST_SETTINGS = 8 };

typedef const char *const setting_t[2];

static const struct {
    const char *preset;
    int n;
    setting_t settings[MOST_SETTINGS];
} models[] = {
    {"mlp", 3, {{"input", "5x4"}, {"hidden", "7,6"}, {"dropout", "0.25"}}},
    {"cnn",
     4,
     {{"input", "10x10x2"}, {"filters", "3,4"}, {"batchnorm", "yes"}, {"dropout", "0.1"}}},
    {"unet", 2, {{"input", "8x8x2"}, {"filters", "3,4"}}},
    {"mobilenet", 3, {{"input", "8x8x3"}, {"filters", "4,6"}, {"repeat", "1"}}},
    {"resnet", 3, {{"input", "8x8x3"}, {"filters", "4,6"}, {"repeat", "1"}}},
    {"vit",
     5,
     {{"input", "8x8x3"}, {"depth", "2"}, {"width", "8"}, {"heads", "2"}, {"patch", "4"}}},
    {"gpt",
     6,
     {{"layers", "2"},
      {"width", "8"},
      {"heads", "2"},
      {"length", "9"},
      {"vocabulary", "9"},
      {"dropout", "0.1"}}},
    {"lstm",
     5,
     {{"vocabulary", "9"},
      {"length", "9"},
      {"width", "4"},
      {"units", "4"},
      {"bidirectional", "yes"}}},
};
enum { N_MODELS = sizeof models / sizeof models[0] };

typedef struct {
    mb_graph_t *graph;
    mb_loss_t *losses;
    mb_plan_t *plan;
    mb_device_t *device;
    mb_exec_t exec;
    mb_stage_t *stage;
    char path[256];
    char *apart, *shared; /* everything in a place of its own; the chunk's inside as it was */
} bench_t;

static void must(mb_status_t status)
{
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
}

/* Ids of tokens and of positions are below IDS in every model. */
enum { IDS = 9 };

static float unit(unsigned *state)
{
    *state = *state * 1664525U + 1013904223U;
    return (float)(*state >> 8) / 16777216.0F;
}

static void open_graph(bench_t *b, int model, mb_dtype_t type)
{
    json_t *config, *training;
    must(mb_preset_create(models[model].preset, models[model].settings, models[model].n, &config,
                          &training));
    char *text = json_dumps(config, 0);
    must(mb_graph_create(text, models[model].preset, &b->graph));
    free(text);
    mb_graph_compute_in(b->graph, type);
    must(mb_graph_bind(b->graph, NULL));
    must(mb_losses_create(b->graph, training, NULL, models[model].preset, &b->losses));
    json_decref(config);
    json_decref(training);
}

typedef struct {
    int micros;
    bool training, splits; /* splits: gradients of weights come behind all others */
    const char *recompute; /* NULL, "full", or "some": every third layer */
} way_t;

static const way_t ways[] = {
    {.micros = MOST_MICROS, .training = true},
    {.micros = 1, .training = true},
    {.micros = MOST_MICROS, .training = true, .recompute = "full"},
    {.micros = MOST_MICROS, .training = true, .recompute = "some"},
    {.micros = MOST_MICROS, .training = true, .splits = true},
    {.micros = MOST_MICROS, .training = true, .splits = true, .recompute = "full"},
    {.micros = 1, .training = false}};
enum { N_WAYS = sizeof ways / sizeof ways[0] };

static const char order[] = "F0.0 F0.1 F0.2 B0.0 B0.1 B0.2 W0.0 W0.1 W0.2\n";

static void choose(bench_t *b, const way_t *way, mb_schedule_choice_t *choice, mb_arena_t *arena)
{
    bool *layers = MB_ARENA_ARRAY(arena, bool, b->graph->n_layers);
    for (int i = 0; i < b->graph->n_nodes; i++)
        layers[b->graph->nodes[i].layer] = i % 3 == 1 && !b->graph->nodes[i].is_input;
    *choice = (mb_schedule_choice_t){.kind = way->splits ? MB_SCHEDULE_FILE : MB_SCHEDULE_GPIPE,
                                     .path = b->path,
                                     .recomputes = way->recompute != NULL};
    if (way->recompute != NULL && strcmp(way->recompute, "some") == 0)
        choice->layers = mb_recompute_text(b->graph, layers, arena);
}

static void write_order(bench_t *b)
{
    const char *folder = getenv("TMPDIR");
    snprintf(b->path, sizeof b->path, "%s/mb-lives.XXXXXX", folder == NULL ? "/tmp" : folder);
    int file = mkstemp(b->path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, order, strlen(order)), (ssize_t)strlen(order));
    close(file);
}

static void open_stage(bench_t *b, const way_t *way)
{
    unsigned state = 7;
    mb_arena_t *arena = mb_arena_create();
    mb_device_options_t device = {.size = sizeof device, .threads = 1, .emulate = true};
    mb_plan_options_t plan = {.stages = 1,
                              .micro_batch = MICRO,
                              .micros_per_replica = way->micros,
                              .replicas_of_group = 1,
                              .training = way->training};
    write_order(b);
    choose(b, way, &plan.schedule, arena);
    must(mb_plan_create(b->graph, &plan, &b->plan));
    unlink(b->path);
    must(mb_device_open("cpu", &device, &b->device));
    must(mb_exec_create(b->device, &b->exec));
    mb_stage_options_t stage = {.plan = b->plan,
                                .losses = b->losses,
                                .n_blocks = way->training,
                                .n_sum_blocks = 1,
                                .exec = &b->exec};
    b->exec.planning = false;
    must(mb_stage_create(&stage, &b->stage));
    for (int p = 0; p < b->graph->n_params; p++) {
        for (int64_t i = 0; i < b->graph->params[p].elements; i++)
            b->stage->values[p][i] = 0.1F + 0.5F * unit(&state);
    }
    must(mb_stage_round(b->stage));
    mb_arena_destroy(arena);
}

static void bench_close(bench_t *b)
{
    if (b->apart != NULL)
        b->stage->chunks[0].inside = b->shared;
    free(b->apart);
    mb_stage_destroy(b->stage);
    mb_exec_destroy(&b->exec);
    mb_device_close(b->device);
    mb_plan_destroy(b->plan);
    mb_graph_destroy(b->graph);
}

static void move(int64_t *at, size_t *total, size_t bytes)
{
    *at = (int64_t)*total;
    *total += (bytes + 63) / 64 * 64;
}

static size_t tensor_bytes(const bench_t *b, int node)
{
    const mb_call_t *call = &b->graph->nodes[node].call;
    return (size_t)(mb_shape_elements(&call->output) * MICRO) * mb_dtype_bytes(call->output_type);
}

/* Gives all that is inside the chunk a place of its own. */
static void move_apart(bench_t *b)
{
    size_t total = 0, largest = 0;
    mb_stage_chunk_t *chunk = &b->stage->chunks[0];
    for (int i = 0; i < b->graph->n_nodes; i++) {
        mb_node_place_t *at = &b->stage->places[i];
        largest = tensor_bytes(b, i) > largest ? tensor_bytes(b, i) : largest;
        if (at->inside)
            move(&at->output, &total, tensor_bytes(b, i));
        if (at->saved_inside && at->saved >= 0)
            move(&at->saved, &total, at->memory.saved_bytes);
        if (at->gradient >= 0 && !at->waits)
            move(&at->gradient, &total, tensor_bytes(b, i));
        if (at->carry >= 0 && !at->waits)
            move(&at->carry, &total, at->memory.carry_bytes);
    }
    for (int k = 0; k < MB_MAX_INPUTS; k++)
        move(&chunk->temporary[k], &total, largest);
    b->apart = aligned_alloc(64, total);
    ck_assert_ptr_nonnull(b->apart);
    ck_assert_uint_gt(total, chunk->inside_bytes);
    memset(b->apart, 0xff, total);
    b->shared = chunk->inside;
    chunk->inside = b->apart;
}

static mb_micro_t micro_of(int index)
{
    return (mb_micro_t){.slot = index,
                        .index = index,
                        .accumulate = index > 0,
                        .valid = MICRO,
                        .seed = 5,
                        .position = (uint32_t)(index * MICRO),
                        .batch = MICRO * MOST_MICROS};
}

static void feed(bench_t *b, int micros)
{
    unsigned state = 11;
    for (int m = 0; m < micros; m++) {
        for (int i = 0; i < b->graph->n_inputs; i++) {
            int node = b->graph->inputs[i];
            const mb_call_t *call = &b->graph->nodes[node].call;
            int64_t count = mb_shape_elements(&call->output) * MICRO;
            void *to = mb_stage_tensor(b->stage, m, node);
            for (int64_t k = 0; k < count && call->output_type == MB_I32; k++)
                ((int32_t *)to)[k] = (int32_t)(unit(&state) * IDS);
            for (int64_t k = 0; k < count && call->output_type == MB_F32; k++)
                ((float *)to)[k] = 2 * unit(&state) - 1;
        }
        for (int o = 0; o < b->stage->n_outputs; o++) {
            const mb_loss_t *loss = &b->losses[b->stage->outputs[o].output];
            memset(mb_stage_labels(b->stage, m, o), 0,
                   (size_t)(mb_shape_elements(&loss->label_shape) * MICRO) * sizeof(float));
        }
    }
}

static void plan_all(bench_t *b)
{
    mb_micro_t micro = micro_of(0);
    b->exec.planning = true;
    must(mb_stage_forward(b->stage, &micro));
    if (b->stage->training) {
        must(mb_stage_recompute(b->stage, &micro));
        must(mb_stage_backward(b->stage, &micro));
        micro.accumulate = true;
        must(mb_stage_backward(b->stage, &micro));
    }
    must(mb_exec_allocate(&b->exec));
}

/* One way back for all micro-batches; what is not kept is poisoned in front of each. */
static void go_back(bench_t *b, int micros,
                    mb_status_t (*back)(mb_stage_t *stage, const mb_micro_t *micro))
{
    mb_stage_chunk_t *chunk = &b->stage->chunks[0];
    for (int m = 0; m < micros; m++) {
        mb_micro_t micro = micro_of(m);
        if (micros > 1 && b->apart == NULL && chunk->inside != NULL)
            memset(chunk->inside, 0xff, chunk->inside_bytes);
        if (micros > 1 && b->plan->schedule.recomputes)
            must(mb_stage_recompute(b->stage, &micro));
        must(back(b->stage, &micro));
    }
}

static void run_step(bench_t *b, const way_t *way)
{
    for (int m = 0; m < way->micros; m++) {
        mb_micro_t micro = micro_of(m);
        must(mb_stage_forward(b->stage, &micro));
    }
    if (!way->training)
        return;
    go_back(b, way->micros, way->splits ? mb_stage_backward_input : mb_stage_backward);
    if (way->splits)
        go_back(b, way->micros, mb_stage_backward_weights);
}

typedef struct {
    char *bytes;
    size_t n;
} bits_t;

static bits_t bits_of(const bench_t *b, int micros)
{
    size_t gradients = (size_t)b->stage->gradient_count * sizeof(float) * b->stage->training;
    size_t sums = (size_t)b->stage->sum_count * sizeof(double), all = gradients + sums;
    const mb_node_t *output = &b->graph->nodes[b->graph->outputs[0].node];
    size_t each = b->stage->training ? 0 : tensor_bytes(b, (int)(output - b->graph->nodes));
    bits_t bits = {malloc(all + each * (size_t)micros), all + each * (size_t)micros};
    ck_assert_ptr_nonnull(bits.bytes);
    if (gradients > 0)
        memcpy(bits.bytes, b->stage->gradients[0], gradients);
    memcpy(bits.bytes + gradients, b->stage->sums[0], sums);
    for (int m = 0; m < micros && each > 0; m++)
        memcpy(bits.bytes + all + (size_t)m * each,
               mb_stage_tensor(b->stage, m, b->graph->outputs[0].node), each);
    return bits;
}

static bits_t run(int model, mb_dtype_t type, const way_t *way, bool apart)
{
    bench_t b = {0};
    open_graph(&b, model, type);
    open_stage(&b, way);
    if (apart)
        move_apart(&b);
    plan_all(&b);
    memset(b.stage->sums[0], 0, (size_t)b.stage->sum_count * sizeof(double));
    if (way->training)
        memset(b.stage->gradients[0], 0, (size_t)b.stage->gradient_count * sizeof(float));
    feed(&b, way->micros);
    run_step(&b, way);
    bits_t bits = bits_of(&b, way->micros);
    bench_close(&b);
    return bits;
}

START_TEST(shared_places_change_no_bit)
{
    int model = _i % N_MODELS;
    mb_dtype_t type = _i / N_MODELS == 0 ? MB_F32 : MB_BF16;
    for (int w = 0; w < N_WAYS; w++) {
        bits_t shared = run(model, type, &ways[w], false), apart = run(model, type, &ways[w], true);
        ck_assert_uint_eq(shared.n, apart.n);
        ck_assert_msg(memcmp(shared.bytes, apart.bytes, apart.n) == 0, "%s, way %d",
                      models[model].preset, w);
        free(shared.bytes);
        free(apart.bytes);
    }
}
END_TEST

/* ---- the placement by itself */

static unsigned drawn = 3;
static int below(int n)
{
    return (int)(unit(&drawn) * (float)n);
}

static bool meet(const mb_tenant_t *a, const mb_tenant_t *b)
{
    return a->life.first <= b->life.last && b->life.first <= a->life.last;
}

static void check_house(const mb_house_t *house, int times)
{
    size_t most = 0;
    for (int i = 0; i < house->n; i++) {
        const mb_tenant_t *a = &house->tenants[i];
        ck_assert_int_eq(*a->at % 64, 0);
        for (int k = 0; k < i; k++) {
            const mb_tenant_t *b = &house->tenants[k];
            ck_assert(!meet(a, b) || *a->at >= *b->at + (int64_t)b->bytes ||
                      *b->at >= *a->at + (int64_t)a->bytes);
        }
    }
    for (int t = 0; t < times; t++) {
        size_t now = 0;
        for (int i = 0; i < house->n; i++)
            now += house->tenants[i].life.first <= t && t <= house->tenants[i].life.last
                       ? house->tenants[i].bytes
                       : 0;
        most = now > most ? now : most;
    }
    ck_assert_uint_ge(house->bytes, most);
    ck_assert_uint_le(house->bytes, 2 * most);
}

START_TEST(what_meets_stands_apart_and_the_rest_shares)
{
    enum { ROOM = 60, TIMES = 40 };
    int64_t at[ROOM];
    for (int round = 0; round < 200; round++) {
        mb_house_t house;
        must(mb_house_open(&house, ROOM));
        for (int i = 0; i < ROOM; i++) {
            int first = below(TIMES), last = first + below(TIMES - first);
            mb_house_add(&house, (size_t)(1 + below(3000)), (mb_life_t){first, last}, &at[i]);
        }
        must(mb_house_place(&house));
        ck_assert_int_eq(house.n, ROOM);
        check_house(&house, TIMES);
        mb_house_close(&house);
    }
}
END_TEST

START_TEST(more_than_there_is_room_for_is_refused)
{
    mb_house_t house;
    must(mb_house_open(&house, 1));
    mb_house_add(&house, 0, (mb_life_t){0, 0}, NULL);
    mb_house_add(&house, 8, (mb_life_t){0, 0}, NULL);
    mb_house_add(&house, 8, (mb_life_t){0, 0}, NULL);
    ck_assert_int_eq(mb_house_place(&house), MB_ERR_INTERNAL);
    mb_house_close(&house);
}
END_TEST

/* As a chain of NODES calls has them, every third output of which a backward reads: quadratic
 * times would show (under half a second is usual; Check ends a test that takes long). */
START_TEST(ten_thousand_nodes_are_placed_at_once)
{
    enum { NODES = 10000 };
    mb_house_t house;
    must(mb_house_open(&house, 3 * NODES));
    for (int i = 0; i < NODES; i++) {
        int back = 2 * NODES - i;
        size_t bytes = (size_t)(64 + below(64) * 64);
        mb_house_add(&house, bytes, (mb_life_t){i, i % 3 == 0 ? back : i + 1}, NULL);
        mb_house_add(&house, bytes / 4, (mb_life_t){i, back}, NULL);
        mb_house_add(&house, bytes, (mb_life_t){back - 1, back}, NULL);
    }
    must(mb_house_place(&house));
    mb_house_close(&house);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lives");
    TCase *tests = tcase_create("lives");
    tcase_set_timeout(tests, 30);
    tcase_add_loop_test(tests, shared_places_change_no_bit, 0, 2 * N_MODELS);
    tcase_add_test(tests, what_meets_stands_apart_and_the_rest_shares);
    tcase_add_test(tests, more_than_there_is_room_for_is_refused);
    tcase_add_test(tests, ten_thousand_nodes_are_placed_at_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
