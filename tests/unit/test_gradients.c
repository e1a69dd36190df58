/* Gradients that stand in one place, against each in a place of its own. */
#include "pipeline/gradients.h"
#include "support/fake_graph.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPHS = 20000, MOST = 14, NONE = -1 };

static fake_graph_t fake;
static mb_layer_class_t sum;

static void random_graph(void)
{
    int nodes = 3 + rand() % (MOST - 3);
    fake_graph_start(&fake);
    fake_graph_input(&fake, 4);
    for (int i = 1; i < nodes; i++) {
        int inputs[3], n = 1 + rand() % 3;
        for (int k = 0; k < n; k++)
            inputs[k] = rand() % 3 == 0 ? rand() % i : i - 1 - rand() % (i < 3 ? i : 3);
        fake_graph_add(&fake, 1, 4, n, inputs);
        bool adds = n > 1 && rand() % 3 != 0;
        if (adds)
            fake.layers[i].class_ = &sum;
        fake.nodes[i].trains = !adds && rand() % 2 == 0;
    }
}

typedef struct {
    mb_span_t span;
    const int *owner; /* NULL: each gradient is apart, and is copied */
    int now[MOST];    /* place of a node's gradient; NONE: there is none yet */
    uint64_t place[MOST];
    uint64_t seen[MOST]; /* by the gradient of a node's weights */
} world_t;

static bool is_handed(const world_t *w, int node, int k)
{
    int tensor = fake.nodes[node].inputs[k];
    return w->owner != NULL && mb_sum_hands_on(&w->span, node, k) &&
           (w->owner[tensor - w->span.first_node] != tensor || w->now[tensor] != NONE);
}

static void add_to(world_t *w, int tensor, uint64_t value)
{
    if (w->now[tensor] == NONE) {
        w->now[tensor] = tensor;
        w->place[tensor] = value;
    } else {
        w->place[w->now[tensor]] += value;
    }
}

static void go_back(world_t *w, int node)
{
    const mb_node_t *n = &fake.nodes[node];
    uint64_t own = w->place[w->now[node]];
    for (int k = n->call.n_inputs - 1; k >= 0; k--) {
        int tensor = n->inputs[k];
        uint64_t factor = fake.layers[node].class_->is_sum ? 1 : (uint64_t)(2 * node + 3 * k + 3);
        if (tensor < w->span.first_node || fake.nodes[tensor].is_input)
            continue;
        if (is_handed(w, node, k) && w->now[tensor] == NONE)
            w->now[tensor] = w->now[node];
        else
            add_to(w, tensor, own * factor);
    }
}

/* Weights' gradients with their node, or behind all. */
static void run(world_t *w)
{
    for (int i = 0; i < MOST; i++)
        w->now[i] = NONE;
    for (int i = w->span.end_node - 1; i >= w->span.first_node; i--) {
        if (w->now[i] == NONE || i + 1 == w->span.end_node)
            add_to(w, i, (uint64_t)i * 1000003);
        go_back(w, i);
        if (!w->span.splits && fake.nodes[i].trains)
            w->seen[i] = w->place[w->now[i]];
    }
    for (int i = w->span.first_node; i < w->span.end_node && w->span.splits; i++)
        w->seen[i] = fake.nodes[i].trains ? w->place[w->now[i]] : 0;
}

START_TEST(what_the_weights_see_is_the_same)
{
    int shared = 0;
    srand(5);
    sum = *fake_class_of();
    sum.is_sum = true;
    for (int g = 0; g < GRAPHS; g++) {
        int owner[MOST];
        random_graph();
        mb_span_t span = {.graph = &fake.graph,
                          .first_node = 1 + rand() % 2,
                          .end_node = fake.graph.n_nodes,
                          .training = true,
                          .splits = rand() % 2};
        mb_gradient_owners(&span, owner);
        for (int i = span.first_node; i < span.end_node; i++)
            shared += owner[i - span.first_node] != i;
        world_t apart = {.span = span}, together = {.span = span, .owner = owner};
        run(&apart);
        run(&together);
        ck_assert_mem_eq(apart.seen, together.seen, sizeof apart.seen);
    }
    ck_assert_int_gt(shared, GRAPHS);
}
END_TEST

/* x + g(f(x)), twice over: all gradients but those of the f, which add to the stream's, are one. */
START_TEST(a_residual_stream_has_one_place)
{
    int owner[MOST];
    sum = *fake_class_of();
    sum.is_sum = true;
    fake_graph_start(&fake);
    int last = fake_graph_input(&fake, 4);
    last = fake_graph_add(&fake, 1, 4, 1, &last);
    for (int i = 0; i < 2; i++) {
        int inside = fake_graph_add(&fake, 1, 4, 1, &last);
        int inputs[2] = {last, fake_graph_add(&fake, 1, 4, 1, &inside)};
        last = fake_graph_add(&fake, 1, 4, 2, inputs);
        fake.layers[last].class_ = &sum;
        fake.nodes[last].trains = false;
    }
    mb_span_t span = {.graph = &fake.graph, .end_node = fake.graph.n_nodes, .training = true};
    mb_gradient_owners(&span, owner);
    const int wanted[] = {0, 7, 2, 7, 7, 5, 7, 7};
    ck_assert_mem_eq(owner, wanted, sizeof wanted);
}
END_TEST

static unsigned is_relu(const mb_call_t *call)
{
    (void)call;
    return MB_RELU_ALL | MB_RELU_LAST;
}

static unsigned cuts_relus(const mb_call_t *call)
{
    (void)call;
    return MB_RELU_CUTS;
}

/* x, f, relu, g: where g multiplies by the slope there is nothing left for the relu to do. */
START_TEST(a_relu_hands_on_a_gradient_that_comes_with_its_slope)
{
    mb_layer_class_t relu = *fake_class_of(), cutter = *fake_class_of();
    relu.relus = is_relu;
    cutter.relus = cuts_relus;
    fake_graph_chain(&fake, 3, 4);
    fake.layers[2].class_ = &relu;
    mb_span_t span = {.graph = &fake.graph, .end_node = 4, .training = true};
    ck_assert(!mb_sum_hands_on(&span, 2, 0));
    fake.layers[3].class_ = &cutter;
    ck_assert(mb_sum_hands_on(&span, 2, 0));
    span.end_node = 3; /* what comes from another stage has no slope */
    ck_assert(!mb_sum_hands_on(&span, 2, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradients in one place");
    TCase *c = tcase_create("all");
    tcase_add_test(c, what_the_weights_see_is_the_same);
    tcase_add_test(c, a_residual_stream_has_one_place);
    tcase_add_test(c, a_relu_hands_on_a_gradient_that_comes_with_its_slope);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
