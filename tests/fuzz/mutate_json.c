/* A mutator for libFuzzer that keeps JSON well formed: it changes one value somewhere in the tree,
 * so that the code behind the parser is reached. Links with any fuzz target that reads JSON. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static unsigned draw(unsigned *state, size_t bound)
{
    *state = *state * 1664525U + 1013904223U;
    return bound == 0 ? 0 : (*state >> 8) % (unsigned)bound;
}

/* Any value of the tree, found by a walk that stops with one chance in four at each level. */
static json_t *pick(json_t *value, unsigned *state)
{
    while ((json_is_object(value) || json_is_array(value)) && draw(state, 4) != 0) {
        size_t size = json_is_object(value) ? json_object_size(value) : json_array_size(value);
        if (size == 0)
            break;
        size_t index = draw(state, size);
        if (json_is_array(value)) {
            value = json_array_get(value, index);
            continue;
        }
        void *at = json_object_iter(value);
        while (index-- > 0)
            at = json_object_iter_next(value, at);
        value = json_object_iter_value(at);
    }
    return value;
}

static json_t *random_value(json_t *root, unsigned *state)
{
    static const json_int_t integers[] = {
        0,         1,        2, 3, -1, 5, 17, 255, 65536, 2147483647, 4294967296, 1099511627776,
        INT64_MAX, INT64_MIN};
    switch (draw(state, 8)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(draw(state, 2));
    case 2:
        return json_real(draw(state, 2) == 0 ? -0.5 : 1e300);
    case 3:
        return json_array();
    case 4:
        return json_deep_copy(pick(root, state));
    default:
        return json_integer(integers[draw(state, sizeof(integers) / sizeof(integers[0]))]);
    }
}

static void change_array(json_t *array, json_t *value, unsigned *state)
{
    size_t size = json_array_size(array);
    size_t index = draw(state, size);
    switch (draw(state, 4)) {
    case 0:
        json_array_remove(array, index);
        json_decref(value);
        break;
    case 1:
        json_array_insert_new(array, index, json_deep_copy(json_array_get(array, index)));
        json_decref(value);
        break;
    case 2:
        json_array_insert_new(array, index, value);
        break;
    default:
        json_array_set_new(array, index, value);
    }
}

static void change_object(json_t *object, json_t *value, unsigned *state)
{
    size_t index = draw(state, json_object_size(object));
    void *at = json_object_iter(object);
    while (at != NULL && index-- > 0)
        at = json_object_iter_next(object, at);
    if (at == NULL) {
        json_object_set_new(object, "name", value);
    } else if (draw(state, 4) == 0) {
        json_object_del(object, json_object_iter_key(at));
        json_decref(value);
    } else {
        json_object_iter_set_new(object, at, value);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    json_t *root = json_loadb((const char *)data, size, 0, NULL);
    if (root == NULL)
        return LLVMFuzzerMutate(data, size, max_size);
    for (unsigned i = draw(&seed, 3) + 1; i > 0; i--) {
        json_t *value = random_value(root, &seed);
        json_t *at = pick(root, &seed);
        if (json_is_array(at))
            change_array(at, value, &seed);
        else if (json_is_object(at))
            change_object(at, value, &seed);
        else
            json_decref(value);
    }
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    size_t length = text == NULL ? 0 : strlen(text);
    if (length == 0 || length > max_size) {
        free(text);
        return LLVMFuzzerMutate(data, size, max_size);
    }
    memcpy(data, text, length);
    free(text);
    return length;
}
