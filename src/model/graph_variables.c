/* Where Keras 3 keeps each parameter: the attributes that lead from the model to the object that
 * owns it, and its number there.
 *
 *     layers/<class>[_<n>]/[attribute/ ...]vars/<number>
 *
 * Layers of a model are told apart by their class and how many of it came before, never by name,
 * since names differ from one run of a script to the next. Source: keras/src/saving/saving_lib.py,
 * _save_container_state; keras/src/utils/naming.py. */
#include "model/graph_private.h"

#include <ctype.h>
#include <string.h>

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool is_upper(char c)
{
    return isupper((unsigned char)c) != 0;
}

static bool is_lower(char c)
{
    return islower((unsigned char)c) != 0;
}

/* The first of Keras' two substitutions: an underscore in front of each capital that small letters
 * follow, unless it is the first letter or was just looked at. */
static size_t split_words(const char *name, size_t length, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < length;) {
        out[n++] = name[i++];
        if (i + 1 >= length || !is_upper(name[i]) || !is_lower(name[i + 1]))
            continue;
        out[n++] = '_';
        out[n++] = name[i++];
        while (i < length && is_lower(name[i]))
            out[n++] = name[i++];
    }
    return n;
}

/* The second: one between a small letter and a capital; then all is small. */
static void split_letters(const char *name, size_t length, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && is_lower(name[i - 1]) && is_upper(name[i]))
            out[n++] = '_';
        out[n++] = (char)tolower((unsigned char)name[i]);
    }
    out[n] = '\0';
}

/* "GlobalMaxPooling2D" to "global_max_pooling2d". A registered class is called by what follows its
 * package, Keras 2's Model is Keras 3's Functional, and GroupQueryAttention has another name in
 * Python. */
static const char *snake_case(mb_arena_t *arena, const char *class_name)
{
    const char *package = strrchr(class_name, '>');
    const char *name = package != NULL ? package + 1 : class_name;
    if (strcmp(name, "Model") == 0)
        return "functional";
    if (strcmp(name, "GroupQueryAttention") == 0)
        return "grouped_query_attention";
    size_t length = strlen(name), n = 0;
    char *words = mb_arena_alloc(arena, 4 * length + 4);
    char *letters = mb_arena_alloc(arena, 2 * length + 2);
    char *snake = mb_arena_alloc(arena, 4 * length + 4);
    if (words == NULL || letters == NULL || snake == NULL)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        if (is_word(name[i]))
            letters[n++] = name[i];
    }
    n = split_words(letters, n, words);
    split_letters(words, n, snake);
    return snake;
}

/* The attribute of a layer that holds the part of it that Keras calls so in a weight's name. */
static const char *attribute_of(const char *part, size_t length)
{
    static const struct {
        const char *part, *attribute;
    } known[] = {{"query", "query_dense"},
                 {"key", "key_dense"},
                 {"value", "value_dense"},
                 {"attention_output", "output_dense"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].part) == length && memcmp(part, known[i].part, length) == 0)
            return known[i].attribute;
    }
    if (length > 5 && memcmp(part + length - 5, "_cell", 5) == 0)
        return "cell";
    if (length > 8 && memcmp(part, "forward_", 8) == 0)
        return "forward_layer";
    if (length > 9 && memcmp(part, "backward_", 9) == 0)
        return "backward_layer";
    return NULL;
}

/* GroupQueryAttention has no other way to its projections than the private attributes. */
static const char *mark_of(const mb_module_t *module)
{
    return strstr(module->class_name, "QueryAttention") != NULL ? "_" : "";
}

/* A layer may say so itself. */
static const char *attribute_in(const mb_layer_t *layer, const char *part, size_t length)
{
    const char *own =
        layer->class_->attribute == NULL ? NULL : layer->class_->attribute(layer, part, length);
    return own != NULL ? own : attribute_of(part, length);
}

static int wrapped_by(const mb_layer_t *layer)
{
    return layer->class_->wrapped == NULL ? 0 : layer->class_->wrapped(layer);
}

/* "query/kernel": the object that owns the kernel lies below the layer. GROUP grows by the way to
 * it, *OWNER is what Keras calls it, *PREFIX the length of what the names of all it owns begin
 * with. */
static mb_status_t descend(mb_graph_t *graph, const mb_module_t *module, const mb_param_t *param,
                           const char **group, const char **owner, size_t *prefix)
{
    const mb_layer_t *layer = module->layer;
    const char *part = param->name;
    int wrapped = wrapped_by(layer);
    for (const char *slash = strchr(part, '/'); slash != NULL; slash = strchr(part, '/')) {
        size_t length = (size_t)(slash - part);
        const char *attribute = wrapped-- > 0 ? "layer" : attribute_in(layer, part, length);
        *group = attribute != NULL
                     ? mb_arena_format(graph->arena, "%s/%s%s", *group, mark_of(module), attribute)
                     : mb_arena_format(graph->arena, "%s/%.*s", *group, (int)length, part);
        *owner = mb_arena_format(graph->arena, "%.*s", (int)length, part);
        MB_ARENA_TRY(*group, "a variable's path");
        MB_ARENA_TRY(*owner, "a variable's path");
        part = slash + 1;
    }
    *prefix = (size_t)(part - param->name);
    return MB_OK;
}

/* How many variables of the same owner Keras writes before this one: the trainable ones come
 * first. */
static int number_of(const mb_graph_t *graph, const mb_layer_t *layer, const mb_param_t *param,
                     size_t prefix)
{
    int before = 0;
    for (int i = 0; i < layer->n_params; i++) {
        const mb_param_t *other = &graph->params[layer->params[i]];
        bool same = strncmp(other->name, param->name, prefix) == 0 &&
                    strchr(other->name + prefix, '/') == NULL;
        bool first = other->weight != param->weight ? other->weight : other->index < param->index;
        before += same && first;
    }
    return before;
}

static mb_status_t name_params(mb_graph_t *graph, const mb_module_t *module, const char *group)
{
    const mb_layer_t *layer = module->layer;
    for (int i = 0; i < layer->n_params; i++) {
        mb_param_t *param = &graph->params[layer->params[i]];
        const char *below = group;
        size_t prefix = 0;
        param->owner = module->name;
        MB_TRY(descend(graph, module, param, &below, &param->owner, &prefix));
        param->variable = mb_arena_format(graph->arena, "%s/vars/%d", below,
                                          number_of(graph, layer, param, prefix));
        MB_ARENA_TRY(param->variable, "a variable's path");
    }
    return MB_OK;
}

/* How many members of each class there were. */
typedef struct {
    mb_names_t classes;
    int n;
    int *counts;
} counter_t;

static mb_status_t start_counting(mb_arena_t *arena, int n_members, counter_t *counter)
{
    counter->n = 0;
    counter->counts = MB_ARENA_ARRAY(arena, int, n_members + 1);
    MB_ARENA_TRY(counter->counts, "a variable's path");
    return mb_names_create(arena, (size_t)n_members + 1, &counter->classes);
}

static int count_before(counter_t *counter, const char *snake)
{
    if (mb_names_put(&counter->classes, snake, counter->n))
        counter->n++;
    return counter->counts[mb_names_get(&counter->classes, snake)]++;
}

static mb_status_t name_members(mb_graph_t *graph, const mb_module_t *model, const char *group);

static mb_status_t name_member(mb_graph_t *graph, const mb_module_t *member, counter_t *counter,
                               const char *group)
{
    const char *snake = snake_case(graph->arena, member->class_name);
    MB_ARENA_TRY(snake, "a variable's path");
    int before = count_before(counter, snake);
    const char *below = before == 0
                            ? mb_arena_format(graph->arena, "%slayers/%s", group, snake)
                            : mb_arena_format(graph->arena, "%slayers/%s_%d", group, snake, before);
    const char *inside = below == NULL ? NULL
                                       : mb_arena_format(graph->arena, "%s/%s", below,
                                                         member->distributed ? "layer/" : "");
    MB_ARENA_TRY(inside, "a variable's path");
    return member->kind == MB_MODULE_MODEL ? name_members(graph, member, inside)
                                           : name_params(graph, member, below);
}

static mb_status_t name_members(mb_graph_t *graph, const mb_module_t *model, const char *group)
{
    counter_t counter;
    MB_TRY(start_counting(graph->arena, model->n_members, &counter));
    for (int i = 0; i < model->n_members; i++) {
        if (model->members[i]->kind != MB_MODULE_INPUT)
            MB_TRY(name_member(graph, model->members[i], &counter, group));
    }
    return MB_OK;
}

mb_status_t mb_graph_name_variables(mb_graph_t *graph)
{
    return name_members(graph, graph->detail->root, "");
}
