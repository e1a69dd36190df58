/* Damaged model files: cut off, bytes changed, values changed. Each is built or refused with a
 * message, and what is built can be bound or refused; the sanitizers watch. */
#include "support/graph_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* tests/fuzz/mutate_json.c asks for it where there is no JSON to change. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    (void)data;
    (void)max_size;
    return size;
}

/* A message must say why; the name of the file alone would not. */
static bool try_config(const char *config)
{
    mb_graph_t *graph = NULL;
    mb_shape_t shapes[8] = {{0}};
    if (mb_graph_create(config, "model.h5", &graph) != MB_OK) {
        ck_assert_int_gt((int)strlen(mb_error_get()), 20);
        return false;
    }
    ck_assert_int_le(graph->n_inputs, 8);
    for (int i = 0; i < graph->n_inputs; i++) {
        shapes[i] = graph->nodes[graph->inputs[i]].call.output;
        if (shapes[i].rank < 0)
            shapes[i] = (mb_shape_t){.rank = 1, .dim = {4}};
        for (int d = 0; d < shapes[i].rank; d++)
            shapes[i].dim[d] = shapes[i].dim[d] == MB_OPEN ? 4 : shapes[i].dim[d];
    }
    if (mb_graph_bind(graph, shapes) != MB_OK)
        ck_assert_int_gt((int)strlen(mb_error_get()), 20);
    mb_graph_destroy(graph);
    return true;
}

START_TEST(every_truncation_is_refused)
{
    char *config = test_data_read("configs/keras3_open.json");
    ck_assert_ptr_nonnull(config);
    for (size_t length = strlen(config) - 2; length-- > 0;) {
        config[length] = '\0';
        ck_assert_msg(!try_config(config), "%zu bytes were accepted", length);
    }
    free(config);
}
END_TEST

START_TEST(no_changed_byte_does_harm)
{
    static const char bytes[] = {'"', '}', ']', '9', '\x01', '\xFF'};
    char *config = test_data_read("configs/keras3_open.json");
    ck_assert_ptr_nonnull(config);
    for (size_t at = 0; config[at] != '\0'; at++) {
        char before = config[at];
        config[at] = bytes[at % sizeof(bytes)];
        try_config(config);
        config[at] = before;
    }
    free(config);
}
END_TEST

START_TEST(no_changed_value_does_harm)
{
    static const char *const names[] = {"shared", "regularized", "keras2_nested", "gpt",
                                        "keras2_attention"};
    enum { ROOM = 65536 };
    char *text = malloc(ROOM);
    mb_str_t path = {0};
    mb_str_addf(&path, "configs/%s.json", names[_i]);
    char *config = test_data_read(path.text);
    ck_assert_ptr_nonnull(config);
    ck_assert_ptr_nonnull(text);
    size_t length = strlen(config);
    for (unsigned seed = 0; seed < 400; seed++) {
        memcpy(text, config, length);
        size_t size = LLVMFuzzerCustomMutator((uint8_t *)text, length, ROOM - 1, seed);
        text[size] = '\0';
        try_config(text);
    }
    free(text);
    free(config);
    mb_str_free(&path);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("graph damaged");
    TCase *tests = tcase_create("damaged");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_truncation_is_refused);
    tcase_add_test(tests, no_changed_byte_does_harm);
    tcase_add_loop_test(tests, no_changed_value_does_harm, 0, 5);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
