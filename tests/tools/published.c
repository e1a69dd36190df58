/* Prints the tables of doc/validation.md: what papers measured and calculated of pipelines beside
 * what the simulator makes of the same times.
 *
 *     published >tables.md
 *
 * It ends with 1 where a figure is further off than doc/validation.md says. */
#include "published_tables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/simulate.h"
#include "support/fake_graph.h"

enum { MOST_STAGES = 32, N_PUBLISHED = sizeof published / sizeof published[0] };

static const char *const run_names[N_RUNS] = {"1F1B",  "1F1B-I", "ZB-H1", "ZB-H2",
                                              "ZB-1p", "ZB-2p",  "ZB-V"};

static void stop(void)
{
    fprintf(stderr, "published: %s\n", mb_error_get());
    exit(1);
}

/* ---- one pipeline, simulated */

typedef struct { /* of a stage's actions */
    double first, last;
} span_t;

static void note(void *user, int rank, int step, const mb_action_t *action,
                 const mb_walk_times_t *times)
{
    span_t *span = (span_t *)user + rank;
    (void)step;
    if (action->kind > MB_ACTION_R)
        return;
    span->first = fmin(span->first, times->begin + times->waited);
    span->last = fmax(span->last, times->end);
}

typedef struct {
    int stages, micros;
    mb_chunk_cost_t cost; /* of a chunk */
    double message;       /* between stages; all in one unit of time */
} pipeline_t;

/* What the longest stage takes from its first action to its last. */
static double longest_stage(const pipeline_t *p, const mb_schedule_choice_t *choice)
{
    static fake_graph_t fake;
    mb_arena_t *arena = mb_arena_create();
    mb_plan_t *plan;
    mb_grid_t grid;
    mb_hardware_t hardware = mb_hardware_default();
    mb_chunk_cost_t costs[FAKE_NODES];
    span_t spans[MOST_STAGES];
    mb_simulated_t out;
    int chunks = mb_schedule_chunks(choice, p->stages);
    const mb_plan_options_t options = {.stages = p->stages,
                                       .micro_batch = 1,
                                       .micros_per_replica = p->micros,
                                       .replicas_of_group = 1,
                                       .schedule = *choice,
                                       .training = true};
    fake_graph_chain(&fake, chunks, 1);
    if (arena == NULL || mb_plan_create(&fake.graph, &options, &plan) != MB_OK)
        stop();
    mb_grid_set(&grid, p->stages, 0, p->stages, 1);
    hardware.devices_per_node = 1;
    hardware.inside = hardware.between =
        (mb_hardware_link_t){.latency = p->message, .bandwidth = INFINITY};
    for (int c = 0; c < chunks; c++)
        costs[c] = p->cost;
    for (int s = 0; s < p->stages; s++)
        spans[s] = (span_t){INFINITY, 0};
    const mb_plan_t *plans[1] = {plan};
    const mb_simulation_t simulation = {.grid = &grid,
                                        .plans = plans,
                                        .costs = costs,
                                        .hardware = &hardware,
                                        .steps = 1,
                                        .observe = note,
                                        .observer = spans};
    if (mb_simulate(&simulation, arena, &out) != MB_OK)
        stop();
    double longest = 0;
    for (int s = 0; s < p->stages; s++)
        longest = fmax(longest, spans[s].last - spans[s].first);
    mb_plan_destroy(plan);
    mb_arena_destroy(arena);
    return longest;
}

/* ZB-2p's 2 p micro-batches' activations are counted by parts there: a B gives back more than half.
 * Here all stays until W, and 4 p is what comes nearest. */
static double limit_of(const published_t *of, run_t run)
{
    return run == RUN_ZB_2P ? 4.0 * of->stages : of->stages;
}

static double simulate(const published_t *of, run_t run)
{
    static const mb_schedule_kind_t kinds[N_RUNS] = {
        MB_SCHEDULE_1F1B, MB_SCHEDULE_INTERLEAVED, MB_SCHEDULE_ZB_H1, MB_SCHEDULE_ZB_H2,
        MB_SCHEDULE_AUTO, MB_SCHEDULE_AUTO,        MB_SCHEDULE_ZB_V};
    int per_stage = run == RUN_INTERLEAVED ? of->layers / of->stages : run == RUN_ZB_V ? 2 : 1;
    mb_chunk_cost_t costs[MOST_STAGES];
    double limits[MOST_STAGES];
    pipeline_t pipeline = {.stages = of->stages,
                           .micros = of->micros,
                           .cost = {of->forward / per_stage, of->backward_input / per_stage,
                                    of->backward_weights / per_stage, of->message},
                           .message = of->message};
    for (int s = 0; s < of->stages; s++) {
        costs[s] = pipeline.cost;
        limits[s] = limit_of(of, run);
    }
    const mb_schedule_choice_t choice = {
        .kind = kinds[run], .per_stage = per_stage, .costs = costs, .limits = limits};
    return longest_stage(&pipeline, &choice);
}

static double work(const published_t *of)
{
    return of->micros * (of->forward + of->backward_input + of->backward_weights);
}

/* ---- tables */

static int failures;

static void check(const char *what, double off, double most)
{
    if (off <= most)
        return;
    fprintf(stderr, "published: %s is off by %.4f, and %.4f at most is expected\n", what, off,
            most);
    failures++;
}

static void print_pipeline(const published_t *of)
{
    printf("| %s | %d | %d |", of->model, of->stages, of->micros);
}

/* The most that is expected, of the longest stage's time: without a second place to receive in, a
 * message that is not hidden costs its time for each micro-batch. */
static const double bubbles_off[N_RUNS] = {0.002, 0.035, 0.016, 0.015, 0.0125, 0.02, 0.002};

static void print_bubble(int row, run_t run, double *worst)
{
    const published_t *of = &published[row];
    if (of->bubble[run] == 0) {
        printf(" |");
        return;
    }
    double mine = 1 - work(of) / simulate(of, run);
    *worst = fmax(*worst, fabs(mine - of->bubble[run]));
    printf(" %.4f, %.4f |", of->bubble[run], mine);
}

/* Samples a GPU and second, but for what the devices lose: see calibrated. */
static double rate(const published_t *of, run_t run)
{
    return 1000.0 * of->micros * of->samples / (of->stages * simulate(of, run));
}

/* The first row of its model and number of stages is what its other rows are calibrated on. */
static const published_t *calibrated_on(int row)
{
    while (row > 0 && published[row].stages == published[row - 1].stages &&
           published[row].layers == published[row - 1].layers)
        row--;
    return &published[row];
}

static void print_rate(int row, run_t run, double *worst)
{
    const published_t *of = &published[row], *first = calibrated_on(row);
    double factor = first->throughput[RUN_1F1B] / rate(first, RUN_1F1B);
    if (of->throughput[run] == 0) {
        printf(" |");
        return;
    }
    double mine = factor * rate(of, run), off = mine / of->throughput[run] - 1;
    if (of == first && run == RUN_1F1B) {
        printf(" %.2f, calibrated: %.3f |", of->throughput[run], factor);
        return;
    }
    *worst = fmax(*worst, fabs(off));
    printf(" %.2f, %.2f (%+.1f %%) |", of->throughput[run], mine, 100 * off);
}

/* ---- a table of all pipelines and schedules */

typedef struct {
    void (*cell)(int row, run_t run, double *worst);
    const char *off;    /* how the furthest is printed */
    double unit;        /* of that */
    const double *most; /* [N_RUNS] that is expected of it */
} table_t;

static const double rates_off[N_RUNS] = {0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10};
static const table_t bubbles = {print_bubble, " %.4f |", 1, bubbles_off};
static const table_t rates = {print_rate, " %.1f %% |", 100, rates_off};

static void print_table(const table_t *table)
{
    double worst[N_RUNS] = {0};
    printf("| model | stages | micro-batches |");
    for (int run = 0; run < N_RUNS; run++)
        printf(" %s |", run_names[run]);
    printf("\n|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < N_PUBLISHED; i++) {
        print_pipeline(&published[i]);
        for (int run = 0; run < N_RUNS; run++)
            table->cell(i, (run_t)run, &worst[run]);
        printf("\n");
    }
    printf("| **furthest off** | | |");
    for (int run = 0; run < N_RUNS; run++) {
        printf(worst[run] > 0 ? table->off : " |", table->unit * worst[run]);
        check(run_names[run], worst[run], table->most[run]);
    }
    printf("\n\n");
}

/* ---- GPipe */

enum { N_GPIPE = sizeof gpipe_rows / sizeof gpipe_rows[0] };

/* Of a model of one unit of forward work, whose backward is twice that, computed again or not:
 * re-materialization takes the same part of each cell. Messages take nothing. */
static double gpipe_rate(int stages, int micros)
{
    double forward = 1.0 / stages / micros;
    const mb_schedule_choice_t choice = {.kind = MB_SCHEDULE_GPIPE};
    const pipeline_t pipeline = {
        .stages = stages, .micros = micros, .cost = {forward, forward, forward, 0}};
    return 1 / longest_stage(&pipeline, &choice);
}

static void print_gpipe(void)
{
    printf("| devices | micro-batches | K = 2 | K = 4 | K = 8 |\n|---|---|---|---|---|\n");
    for (int i = 0; i < N_GPIPE; i++) {
        const gpipe_row_t *row = &gpipe_rows[i];
        double factor = row->throughput[0] / gpipe_rate(2, row->micros);
        printf("| %s | %d | %.2f, calibrated |", row->devices, row->micros, row->throughput[0]);
        for (int k = 1; k < 3; k++) {
            double mine = factor * gpipe_rate(2 << k, row->micros);
            double off = mine / row->throughput[k] - 1;
            printf(" %.2f, %.2f (%+.1f %%) |", row->throughput[k], mine, 100 * off);
            if (row->micros == 32)
                check("GPipe's Transformer in 32 micro-batches", fabs(off), 0.10);
        }
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "";
    if (strcmp(which, "bubbles") == 0)
        print_table(&bubbles);
    else if (strcmp(which, "rates") == 0)
        print_table(&rates);
    else
        print_gpipe();
    return failures > 0;
}
