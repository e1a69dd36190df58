/* What the file commands do, by calls. */
#include "unit/api_ring.h"

#include <stdio.h>
#include <string.h>

static void train(const char *run)
{
    mb_trainer_t *trainer = ring_trainer("2");
    OK(mb_trainer_set(trainer, "run", run));
    OK(mb_trainer_set(trainer, "checkpoint-every", "4"));
    OK(mb_trainer_run(trainer));
    OK(mb_trainer_destroy(trainer));
}

static void has(char *json, const char *part)
{
    ck_assert_msg(strstr(json, part) != NULL, "'%s' is not in %s", part, json);
}

START_TEST(a_file_and_a_run_are_looked_at)
{
    char *json = NULL;
    train("one");
    OK(mb_checkpoint_inspect("one/final.h5", &json));
    has(json, "\"parameters\": 42");
    has(json, "\"optimizer\": \"Adam\"");
    OK(mb_text_free(json));
    OK(mb_checkpoint_list("one", &json));
    has(json, "step-00000012.h5");
    has(json, "\"finished\": true");
    OK(mb_text_free(json));
    json = NULL;
    REFUSED(mb_checkpoint_list("nowhere", &json), MB_ERR_IO, "nowhere");
    REFUSED(mb_checkpoint_inspect("nowhere.h5", &json), MB_ERR_IO, "nowhere.h5");
    ck_assert_ptr_null(json);
}
END_TEST

START_TEST(files_are_compared)
{
    int equal = -1;
    char *json = NULL;
    train("one");
    OK(mb_checkpoint_compare("ring.h5", "ring.h5", 0, &equal, NULL));
    ck_assert_int_eq(equal, 1);
    OK(mb_checkpoint_compare("ring.h5", "one/final.h5", 0, &equal, &json));
    ck_assert_int_eq(equal, 0);
    has(json, "sequential/dense/kernel");
    OK(mb_text_free(json));
    REFUSED(mb_checkpoint_compare("ring.h5", "ring.h5", -1, &equal, NULL), MB_ERR_ARGUMENT,
            "tolerance");
}
END_TEST

static void weight(const char *path, float values[16])
{
    mb_model_t *model = NULL;
    OK(mb_model_load(path, &model));
    OK(mb_model_get_weight(model, "sequential/dense/kernel", 16, values));
    OK(mb_model_destroy(model));
}

START_TEST(the_mean_of_files_is_written)
{
    const char *paths[2] = {"ring.h5", "one/final.h5"};
    float a[16], b[16], mean[16];
    train("one");
    int weights = 0;
    OK(mb_checkpoint_average(2, paths, "mean.h5", &weights));
    ck_assert_int_eq(weights, 4);
    weight(paths[0], a);
    weight(paths[1], b);
    weight("mean.h5", mean);
    for (int i = 0; i < 16; i++)
        ck_assert(mean[i] == (float)(((double)a[i] + (double)b[i]) / 2));
    paths[1] = NULL;
    REFUSED(mb_checkpoint_average(2, paths, "mean.h5", NULL), MB_ERR_ARGUMENT, "paths[1]");
    REFUSED(mb_checkpoint_average(0, paths, "mean.h5", NULL), MB_ERR_ARGUMENT, "0 files");
}
END_TEST

START_TEST(parts_and_other_forms_are_written)
{
    const char *keys[2] = {"only", "rename"}, *values[2] = {"*kernel", "dense=first"};
    char *json = NULL;
    mb_model_t *model = NULL;
    int weights = 0, moments = -1, is_model = -1;
    OK(mb_checkpoint_export("ring.h5", 2, keys, values, "part.h5", &weights, &moments, &is_model));
    ck_assert(weights == 2 && moments == 0 && is_model == 0);
    OK(mb_checkpoint_inspect("part.h5", &json));
    has(json, "sequential/first/kernel");
    ck_assert_ptr_null(strstr(json, "bias"));
    OK(mb_text_free(json));
    keys[0] = "olny";
    REFUSED(mb_checkpoint_export("ring.h5", 1, keys, values, "part.h5", NULL, NULL, NULL),
            MB_ERR_ARGUMENT, "'only'");
    OK(mb_checkpoint_convert("ring.h5", 0, NULL, NULL, "ring.keras"));
    OK(mb_model_load("ring.keras", &model));
    OK(mb_model_destroy(model));
    REFUSED(mb_checkpoint_convert("ring.h5", 1, NULL, NULL, "b.keras"), MB_ERR_ARGUMENT, "NULL");
}
END_TEST

START_TEST(settings_are_recorded_and_no_longer)
{
    const char *keys[2] = {"epochs", "batch"}, *values[2] = {"7", "12"};
    char *json = NULL;
    OK(mb_checkpoint_configure("ring.h5", 2, keys, values, "set.h5"));
    OK(mb_checkpoint_inspect("set.h5", &json));
    has(json, "\"epochs\": \"7\"");
    OK(mb_text_free(json));
    values[0] = NULL;
    OK(mb_checkpoint_configure("set.h5", 1, keys, values, NULL));
    OK(mb_checkpoint_inspect("set.h5", &json));
    ck_assert_ptr_null(strstr(json, "\"epochs\": \"7\""));
    has(json, "\"batch\": \"12\"");
    OK(mb_text_free(json));
    values[0] = "many";
    REFUSED(mb_checkpoint_configure("set.h5", 1, keys, values, NULL), MB_ERR_ARGUMENT, "many");
    keys[0] = "epoch";
    REFUSED(mb_checkpoint_configure("set.h5", 1, keys, values, NULL), MB_ERR_ARGUMENT, "epoch");
}
END_TEST

START_TEST(a_data_file_is_built_from_a_table)
{
    const char *input = "table.csv", *keys[1] = {"label"}, *values[1] = {"kind"};
    char *json = NULL;
    FILE *file = fopen(input, "w");
    fputs("a,b,kind\n1,2,x\n3,4,y\n5,6,x\n", file);
    fclose(file);
    OK(mb_data_build(1, &input, 1, keys, values, "table.h5", &json));
    has(json, "\"samples\": 3");
    has(json, "\"classes\": 2");
    OK(mb_text_free(json));
    values[0] = "none";
    ck_assert_int_ne(mb_data_build(1, &input, 1, keys, values, "table.h5", NULL), MB_OK);
    REFUSED(mb_data_build(0, &input, 0, NULL, NULL, "table.h5", NULL), MB_ERR_ARGUMENT, "0 inputs");
    OK(mb_text_free(NULL));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api_files");
    TCase *cases = tcase_create("api_files");
    tcase_add_checked_fixture(cases, ring_begin, ring_end);
    tcase_add_test(cases, a_file_and_a_run_are_looked_at);
    tcase_add_test(cases, files_are_compared);
    tcase_add_test(cases, the_mean_of_files_is_written);
    tcase_add_test(cases, parts_and_other_forms_are_written);
    tcase_add_test(cases, settings_are_recorded_and_no_longer);
    tcase_add_test(cases, a_data_file_is_built_from_a_table);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv)
{
    return ring_main(argc, argv, make_suite());
}
