/* The validator against an executor that believes nothing. Plans of all schedules are changed at
 * random; each is then run many times with actions and messages in random order, where every buffer
 * carries the number of the micro-batch whose values it holds. A plan that ends in a deadlock,
 * reads another micro-batch's values or adds them up in another order in any of these runs must be
 * one that the validator refuses. */
#include "pipeline/plan.h"
#include "support/fake_graph.h"
#include "support/sanitized.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STAGES = 4, MOST_CHUNKS = 8, MOST_MICROS = 6, MOST_EDGES = 64, RUNS = 12 };
enum { MOST_BUCKETS = 16, MUTATIONS = 2000 / TEST_EVERY, SEED = 23, NOTHING = -1 };

static fake_graph_t fake;

/* ---- the executor */

typedef struct { /* a send or a receive that was handed over and has not moved */
    bool up;
    int micro; /* the message is of this one */
    int tag;
    int64_t number; /* in the order of handing over */
} request_t;

typedef struct {
    const mb_plan_t *plan;
    int at[MOST_STAGES];
    int output[MOST_CHUNKS][MOST_MICROS];   /* by slot: whose forward stands there */
    int gradient[MOST_CHUNKS][MOST_MICROS]; /* and whose gradients */
    int held[MOST_STAGES];                  /* what is not kept: of which chunk and micro-batch */
    /* By direction (0 forward), edge and slot: what has come in, and what is under way. */
    int came[2][MOST_EDGES][MOST_MICROS];
    request_t sends[2][MOST_EDGES][MOST_MICROS], receives[2][MOST_EDGES][MOST_MICROS];
    int computed[MOST_CHUNKS]; /* buckets of a backward that goes by them */
    int sums[MOST_CHUNKS][MOST_BUCKETS][2 * MOST_MICROS], n_sums[MOST_CHUNKS][MOST_BUCKETS];
    int reduced[MOST_CHUNKS][MOST_BUCKETS], steps[MOST_STAGES];
    int64_t handed;
    bool wrong;
} world_t;

typedef struct {
    int from_chunk, to_chunk, from_stage, to_stage;
} ends_t;

static int edges_of(const mb_plan_t *plan, int back)
{
    return back ? plan->n_backward_edges : plan->n_forward_edges;
}

static ends_t ends_of(const mb_plan_t *plan, int back, int e)
{
    if (back) {
        const mb_backward_edge_t *edge = &plan->backward_edges[e];
        return (ends_t){edge->from_chunk, edge->to_chunk, edge->from_stage, edge->to_stage};
    }
    const mb_forward_edge_t *edge = &plan->forward_edges[e];
    return (ends_t){edge->from_chunk, edge->to_chunk, edge->from_stage, edge->to_stage};
}

/* A change may name what does not exist: then nothing good comes of it. */
static int slot_of(const world_t *w, int chunk, int micro)
{
    return micro % w->plan->slots[chunk];
}

static void start(world_t *w, const mb_plan_t *plan)
{
    memset(w, 0, sizeof(*w));
    w->plan = plan;
    memset(w->output, NOTHING, sizeof(w->output));
    memset(w->gradient, NOTHING, sizeof(w->gradient));
    memset(w->held, NOTHING, sizeof(w->held));
    memset(w->came, NOTHING, sizeof(w->came));
}

/* Whether all requests of the chunk's slot in one direction have moved. */
static bool moved(const world_t *w, int back, int chunk, int micro, bool sending)
{
    int slot = slot_of(w, chunk, micro);
    for (int e = 0; e < edges_of(w->plan, back); e++) {
        ends_t ends = ends_of(w->plan, back, e);
        const request_t *request = sending ? &w->sends[back][e][slot] : &w->receives[back][e][slot];
        if ((sending ? ends.from_chunk : ends.to_chunk) == chunk && request->up)
            return false;
    }
    return true;
}

/* What the chunk reads of others, for an action on MICRO, is that micro-batch's. */
static bool inputs_are(const world_t *w, int back, int chunk, int micro)
{
    for (int e = 0; e < edges_of(w->plan, back); e++) {
        ends_t ends = ends_of(w->plan, back, e);
        if (ends.to_chunk != chunk)
            continue;
        /* An activation that stays on its stage stands where it was made, or came to. */
        bool stays = !back && ends.from_stage == ends.to_stage;
        int found = stays ? w->output[ends.from_chunk][slot_of(w, ends.from_chunk, micro)]
                          : w->came[back][e][slot_of(w, chunk, micro)];
        if (found != micro)
            return false;
    }
    return true;
}

/* All chunks of a stage use one place for what they do not keep. */
static int *inside(world_t *w, int chunk)
{
    return &w->held[w->plan->stage_of_chunk[chunk]];
}

static int stamp(const mb_action_t *action)
{
    return action->chunk * MOST_MICROS + action->micro;
}

static bool step_forward(world_t *w, const mb_action_t *action)
{
    int chunk = action->chunk, micro = action->micro;
    if (!moved(w, 0, chunk, micro, true) || !moved(w, 0, chunk, micro, false))
        return false;
    w->wrong = w->wrong || !inputs_are(w, 0, chunk, micro);
    w->output[chunk][slot_of(w, chunk, micro)] = micro;
    *inside(w, chunk) = stamp(action);
    return true;
}

static bool step_again(world_t *w, const mb_action_t *action)
{
    int chunk = action->chunk, micro = action->micro;
    if (!moved(w, 0, chunk, micro, true))
        return false;
    w->wrong = w->wrong || w->output[chunk][slot_of(w, chunk, micro)] != micro ||
               !inputs_are(w, 0, chunk, micro);
    *inside(w, chunk) = stamp(action);
    return true;
}

/* A gradient that stays on its stage is written where its taker reads it. */
static void write_near(world_t *w, int chunk, int micro)
{
    for (int e = 0; e < w->plan->n_backward_edges; e++) {
        ends_t ends = ends_of(w->plan, 1, e);
        if (ends.from_chunk == chunk && ends.from_stage == ends.to_stage)
            w->came[1][e][slot_of(w, ends.to_chunk, micro)] = micro;
    }
}

/* The buckets that an action is of, from 0. */
static void buckets_of(const world_t *w, const mb_action_t *action, int *first, int *end)
{
    *first = action->bucket == 0 ? 0 : action->bucket - 1;
    *end = action->bucket == 0 ? mb_plan_buckets(w->plan, action->chunk) : action->bucket;
}

static void add_gradients(world_t *w, const mb_action_t *action)
{
    int first, end, chunk = action->chunk;
    buckets_of(w, action, &first, &end);
    for (int b = first; b < end; b++) {
        if (w->n_sums[chunk][b] < 2 * MOST_MICROS)
            w->sums[chunk][b][w->n_sums[chunk][b]++] = action->micro;
    }
}

/* A backward that goes by buckets comes to each behind the one before it. Whether it is over. */
static bool go_by(world_t *w, const mb_action_t *action)
{
    int chunk = action->chunk, last = mb_plan_buckets(w->plan, chunk);
    if (action->bucket == 0)
        return true;
    w->wrong = w->wrong || w->computed[chunk] != action->bucket - 1;
    w->computed[chunk] = action->bucket == last ? 0 : action->bucket;
    return action->bucket == last;
}

static bool step_backward(world_t *w, const mb_action_t *action)
{
    int chunk = action->chunk, micro = action->micro, slot = slot_of(w, chunk, micro);
    bool inputs = action->kind != MB_ACTION_W, weights = action->kind != MB_ACTION_B;
    if (inputs && (!moved(w, 1, chunk, micro, true) || !moved(w, 1, chunk, micro, false)))
        return false;
    w->wrong = w->wrong || w->output[chunk][slot] != micro || !inputs_are(w, 0, chunk, micro);
    w->wrong = w->wrong || (w->plan->schedule.recomputes && *inside(w, chunk) != stamp(action));
    *inside(w, chunk) = stamp(action);
    bool over = go_by(w, action);
    w->wrong = w->wrong || (inputs && !inputs_are(w, 1, chunk, micro));
    if (inputs && over) {
        w->gradient[chunk][slot] = micro;
        write_near(w, chunk, micro);
    }
    w->wrong = w->wrong || (!inputs && w->gradient[chunk][slot] != micro);
    if (weights)
        add_gradients(w, action);
    return true;
}

static bool step_message(world_t *w, const mb_action_t *action)
{
    bool sends = action->kind == MB_ACTION_SEND_ACT || action->kind == MB_ACTION_SEND_GRAD;
    int back = action->kind == MB_ACTION_SEND_GRAD || action->kind == MB_ACTION_RECV_GRAD;
    int slot = slot_of(w, action->chunk, action->micro);
    request_t *request =
        sends ? &w->sends[back][action->edge][slot] : &w->receives[back][action->edge][slot];
    w->wrong = w->wrong || request->up; /* a request that is never awaited */
    *request = (request_t){true, action->micro, action->tag, w->handed++};
    return true;
}

/* What is given away is complete, and nothing is added to it later: that would be another sum. */
static void check_sum(world_t *w, int chunk, int bucket)
{
    w->wrong = w->wrong || w->n_sums[chunk][bucket] != w->plan->micros;
    for (int m = 0; m < w->n_sums[chunk][bucket]; m++)
        w->wrong = w->wrong || w->sums[chunk][bucket][m] != m;
}

static void reduce(world_t *w, const mb_action_t *action)
{
    int first, end;
    buckets_of(w, action, &first, &end);
    for (int b = first; b < end; b++) {
        check_sum(w, action->chunk, b);
        w->reduced[action->chunk][b]++;
    }
}

static void check_sums(world_t *w, int stage)
{
    for (int c = w->plan->first_chunk[stage]; c >= 0; c = w->plan->next_chunk[c]) {
        for (int b = 0; b < mb_plan_buckets(w->plan, c); b++) {
            check_sum(w, c, b);
            w->wrong = w->wrong || w->reduced[c][b] != 1;
        }
    }
}

static bool step(world_t *w, int stage)
{
    const mb_program_t *program = &w->plan->programs[stage];
    if (w->at[stage] >= program->n)
        return false;
    const mb_action_t *action = &program->actions[w->at[stage]];
    bool done = true;
    switch (action->kind) {
    case MB_ACTION_F:
        done = step_forward(w, action);
        break;
    case MB_ACTION_R:
        done = step_again(w, action);
        break;
    case MB_ACTION_B:
    case MB_ACTION_W:
    case MB_ACTION_BW:
        done = step_backward(w, action);
        break;
    case MB_ACTION_REDUCE:
        reduce(w, action);
        break;
    case MB_ACTION_STEP:
        check_sums(w, stage);
        w->steps[stage]++;
        break;
    default:
        done = step_message(w, action);
    }
    w->at[stage] += done;
    return done;
}

/* The receive that a send meets: the first one handed over between the same stages with its tag. */
static request_t *partner_of(world_t *w, const request_t *send, ends_t ends, int *back, int *edge,
                             int *slot)
{
    request_t *first = NULL;
    for (int b = 0; b < 2; b++) {
        for (int e = 0; e < edges_of(w->plan, b); e++) {
            ends_t other = ends_of(w->plan, b, e);
            for (int s = 0; s < MOST_MICROS; s++) {
                request_t *r = &w->receives[b][e][s];
                if (!r->up || r->tag != send->tag || other.from_stage != ends.from_stage ||
                    other.to_stage != ends.to_stage || (first != NULL && first->number < r->number))
                    continue;
                first = r;
                *back = b;
                *edge = e;
                *slot = s;
            }
        }
    }
    return first;
}

/* Sends between two stages with one tag move in the order they were handed over. */
static bool is_first(const world_t *w, const request_t *send, ends_t ends)
{
    for (int b = 0; b < 2; b++) {
        for (int e = 0; e < edges_of(w->plan, b); e++) {
            ends_t other = ends_of(w->plan, b, e);
            for (int s = 0; s < MOST_MICROS; s++) {
                const request_t *r = &w->sends[b][e][s];
                if (r->up && r->tag == send->tag && other.from_stage == ends.from_stage &&
                    other.to_stage == ends.to_stage && r->number < send->number)
                    return false;
            }
        }
    }
    return true;
}

/* A message is what its buffer holds when it moves. */
static bool move_message(world_t *w, int back, int e, int slot)
{
    int to_back, to_edge, to_slot;
    request_t *send = &w->sends[back][e][slot];
    ends_t ends = ends_of(w->plan, back, e);
    if (!send->up || !is_first(w, send, ends))
        return false;
    request_t *receive = partner_of(w, send, ends, &to_back, &to_edge, &to_slot);
    if (receive == NULL)
        return false;
    w->wrong = w->wrong || to_back != back || to_edge != e;
    w->came[to_back][to_edge][to_slot] =
        back ? w->gradient[ends.from_chunk][slot] : w->output[ends.from_chunk][slot];
    send->up = receive->up = false;
    return true;
}

static bool move_some(world_t *w)
{
    int begin = rand();
    for (int back = 0; back < 2; back++) {
        int all = edges_of(w->plan, back) * MOST_MICROS;
        for (int i = 0; i < all; i++) {
            int at = (int)(((unsigned)begin + (unsigned)i) % (unsigned)all);
            if (move_message(w, back, at / MOST_MICROS, at % MOST_MICROS))
                return true;
        }
    }
    return false;
}

static bool has_ended(const world_t *w)
{
    for (int s = 0; s < w->plan->stages; s++) {
        if (w->at[s] < w->plan->programs[s].n)
            return false;
    }
    return true;
}

/* What is never computed or never moves shows at the end. */
static bool ends_well(world_t *w)
{
    while (move_some(w)) {
    }
    for (int back = 0; back < 2; back++) {
        for (int e = 0; e < edges_of(w->plan, back); e++) {
            for (int s = 0; s < MOST_MICROS; s++)
                w->wrong = w->wrong || w->sends[back][e][s].up || w->receives[back][e][s].up;
        }
    }
    for (int s = 0; s < w->plan->stages; s++) {
        check_sums(w, s);
        w->wrong = w->wrong || w->steps[s] != 1;
    }
    return !w->wrong;
}

/* Once, in some order; messages seldom, often or at once. */
static bool run_once(const mb_plan_t *plan, int eagerness)
{
    static world_t w;
    start(&w, plan);
    while (!has_ended(&w)) {
        bool going = rand() % 4 < eagerness && move_some(&w);
        int first = rand() % plan->stages;
        for (int i = 0; i < plan->stages && !going; i++)
            going = step(&w, (first + i) % plan->stages);
        if (!going && !move_some(&w))
            return false;
    }
    return ends_well(&w);
}

static bool runs(const mb_plan_t *plan)
{
    for (int i = 0; i < RUNS; i++) {
        if (!run_once(plan, i % 5))
            return false;
    }
    return true;
}

/* ---- plans and changes */

static mb_plan_t *random_plan(void)
{
    mb_plan_t *plan = NULL;
    mb_schedule_choice_t choice = {.kind = (mb_schedule_kind_t)(rand() % MB_SCHEDULE_FILE),
                                   .per_stage = 2,
                                   .recomputes = rand() % 3 == 0};
    int stages = 1 + rand() % MOST_STAGES, chunks = mb_schedule_chunks(&choice, stages);
    fake_graph_start(&fake);
    int last = fake_graph_input(&fake, 2);
    for (int i = 0; i < chunks + rand() % 3; i++) {
        int inputs[2] = {last, rand() % (i + 1)};
        last = fake_graph_add(&fake, 3, 2, 1 + (rand() % 3 == 0 && i > 0), inputs);
        fake.nodes[last].needs_gradient = true;
    }
    mb_plan_options_t options = {.stages = stages,
                                 .micro_batch = 1,
                                 .micros_per_replica = 1 + rand() % MOST_MICROS,
                                 .replicas_of_group = 1,
                                 .schedule = choice,
                                 .bucket_bytes =
                                     (size_t)(rand() % 3) * FAKE_WEIGHTS * sizeof(float),
                                 .training = true};
    ck_assert_msg(mb_plan_create(&fake.graph, &options, &plan) == MB_OK, "%s", mb_error_get());
    ck_assert_int_le(plan->n_forward_edges, MOST_EDGES);
    ck_assert_int_le(plan->n_backward_edges, MOST_EDGES);
    return plan;
}

static void move_action(mb_program_t *program, int from, int to)
{
    mb_action_t action = program->actions[from];
    int step = from < to ? 1 : -1;
    for (int i = from; i != to; i += step)
        program->actions[i] = program->actions[i + step];
    program->actions[to] = action;
}

/* Some that matter and some that do not; never one that only says nonsense. */
static const char *change(mb_plan_t *plan)
{
    mb_program_t *program = &plan->programs[rand() % plan->stages];
    int a = rand() % program->n, b = rand() % program->n;
    mb_action_t *action = &program->actions[a];
    int chunk = rand() % plan->chunks;
    switch (rand() % 6) {
    case 0:
        move_action(program, a, b);
        return "an action elsewhere";
    case 1:
        move_action(program, a, a + 1 < program->n ? a + 1 : a - 1);
        return "an action one place later";
    case 2:
        program->actions[a] = program->actions[b];
        return "an action in another's place";
    case 3:
        if ((action->kind == MB_ACTION_REDUCE || action->bucket > 0) &&
            mb_plan_buckets(plan, action->chunk) > 1)
            action->bucket = rand() % (mb_plan_buckets(plan, action->chunk) + 1);
        return "another bucket";
    case 4:
        plan->slots[chunk] -= plan->slots[chunk] > 1;
        return "a slot less";
    default:
        if (action->edge >= 0)
            action->tag = 1 + rand() % 3;
        else if (action->micro >= 0)
            action->micro = rand() % plan->micros;
        return "another tag or micro-batch";
    }
}

START_TEST(what_can_go_wrong_in_any_order_is_refused)
{
    int refused = 0, harmful = 0;
    srand(SEED);
    for (int i = 0; i < MUTATIONS; i++) {
        mb_plan_t *plan = random_plan();
        ck_assert_msg(runs(plan), "a plan of %d stages and %d chunks goes wrong", plan->stages,
                      plan->chunks);
        const char *what = change(plan);
        bool good = runs(plan), accepted = mb_validate(plan) == MB_OK;
        refused += !accepted;
        harmful += !good;
        if (!good && accepted) {
            char *text = mb_plan_text(plan);
            ck_abort_msg("change %d of seed %d, %s, is accepted and goes wrong:\n%s", i, SEED, what,
                         text);
        }
        mb_plan_destroy(plan);
    }
    ck_assert_int_ge(harmful, MUTATIONS / 4);
    printf("# %d of %d changes refused, %d of them seen to go wrong\n", refused, MUTATIONS,
           harmful);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plan mutations");
    TCase *c = tcase_create("mutations");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, what_can_go_wrong_in_any_order_is_refused);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
