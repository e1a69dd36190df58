/* Any text as training_config: the optimizer, and losses and metrics of a small model. */
#include "base/config.h"
#include "model/graph.h"
#include "model/loss.h"
#include "model/optimizer.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

void mb_fuzz_training(const uint8_t *data, size_t size);

static const char model[] =
    "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"m\", \"layers\": ["
    "{\"class_name\": \"InputLayer\", \"config\": {\"batch_shape\": [null, 4], \"dtype\": "
    "\"float32\", \"name\": \"i\"}}, {\"class_name\": \"Activation\", \"config\": {\"name\": "
    "\"d\", "
    "\"activation\": \"softmax\"}}]}}";

static void parse_losses(const json_t *object)
{
    const mb_shape_t shape = {.rank = 1, .dim = {4}};
    mb_graph_t *graph = NULL;
    mb_loss_t *losses = NULL;
    if (mb_graph_create(model, "fuzz", &graph) != MB_OK || mb_graph_bind(graph, &shape) != MB_OK)
        abort();
    (void)mb_losses_create(graph, object, NULL, "fuzz", &losses);
    mb_graph_destroy(graph);
}

static void parse_optimizer(const json_t *object)
{
    mb_optimizer_t *optimizer = NULL;
    mb_arena_t *arena = mb_arena_create();
    if (arena != NULL)
        (void)mb_optimizer_create(json_object_get(object, "optimizer_config"), NULL, "fuzz", arena,
                                  &optimizer);
    mb_optimizer_destroy(optimizer);
    mb_arena_destroy(arena);
}

void mb_fuzz_training(const uint8_t *data, size_t size)
{
    json_t *object = NULL;
    if (mb_json_parse((const char *)data, size, "fuzz", &object) != MB_OK)
        return;
    parse_optimizer(object);
    parse_losses(object);
    json_decref(object);
}
