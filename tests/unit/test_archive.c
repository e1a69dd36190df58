/* Keras' archives and weights by paths: read as the HDF5 file they were made from, and refused by
 * one message when anything in them is damaged or not what Keras writes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/model_variables.h"
#include "store/keras_archive.h"
#include "store/variables.h"
#include "support/store_files.h"
#include "train/export.h"

enum { MUTATIONS = 400 };

static mb_digest_t digest_of(const char *path)
{
    mb_model_file_t *file = NULL;
    mb_digest_t digest;
    ck_assert_msg(mb_model_file_open_arranged(path, &file) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(mb_model_file_digest(file, &digest), MB_OK);
    mb_model_file_close(file);
    return digest;
}

static void make_archive(const char *model, const char *path)
{
    ck_assert_msg(mb_export(fixture(model), path, NULL, NULL) == MB_OK, "%s", mb_error_get());
}

START_TEST(an_archive_reads_as_what_it_was_made_from)
{
    static const char *const models[] = {"mlp.h5", "cnn.h5",    "resnet.h5",
                                         "gpt.h5", "shared.h5", "rules_amsgrad.h5"};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        make_archive(models[i], scratch("m.keras"));
        uint64_t given = digest_of(fixture(models[i])).weights;
        ck_assert_uint_eq(digest_of(scratch("m.keras")).weights, given);
    }
}
END_TEST

/* Keras finds a weight by where it lies: by class, count and attribute. */
START_TEST(weights_lie_where_keras_looks_for_them)
{
    static const struct {
        const char *model, *path;
    } cases[] = {{"resnet.h5", "layers/conv2d/vars/0"},
                 {"resnet.h5", "layers/conv2d_1/vars/0"},
                 {"resnet.h5", "layers/batch_normalization/vars/3"},
                 {"conv1d.h5", "layers/conv1d/vars/1"},
                 {"gpt.h5", "layers/embedding/vars/0"},
                 {"gpt.h5", "layers/layer_normalization/vars/1"},
                 {"gpt.h5", "layers/multi_head_attention/query_dense/vars/0"},
                 {"gpt.h5", "layers/multi_head_attention_1/output_dense/vars/1"},
                 {"mlp_warm.h5", "optimizer/vars/2"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mb_model_file_t *file = NULL;
        make_archive(cases[i].model, scratch("m.keras"));
        ck_assert_int_eq(mb_model_file_open(scratch("m.keras"), true, false, &file), MB_OK);
        ck_assert_msg(mb_variables_find(file, cases[i].path) != NULL, "%s in %s", cases[i].path,
                      cases[i].model);
        mb_model_file_close(file);
    }
}
END_TEST

/* The moments of a warm model, through the archive and back. */
START_TEST(the_optimizers_state_comes_back)
{
    make_archive("mlp_warm.h5", scratch("m.keras"));
    char *archive = strdup(scratch("m.keras")), *back = strdup(scratch("back.h5"));
    ck_assert_int_eq(mb_export(archive, back, NULL, NULL), MB_OK);
    mb_model_file_t *file = NULL;
    ck_assert_int_eq(mb_model_file_open(back, true, true, &file), MB_OK);
    ck_assert_int_eq(file->seal, MB_SEAL_HOLDS);
    ck_assert_int_gt(file->n_optimizer, 2);
    mb_model_file_close(file);
    ck_assert_uint_eq(digest_of(back).full, digest_of(archive).full);
    free(archive), free(back);
}
END_TEST

/* With the checksums HDF5 never sees a damaged byte. */
START_TEST(a_damaged_archive_is_refused_or_reads_as_it_was)
{
    size_t bytes;
    uint64_t random = 20260729;
    int refused = 0;
    char *path = strdup(scratch("m.keras"));
    make_archive("mlp_warm.h5", path);
    uint64_t given = digest_of(path).full;
    unsigned char *image = file_read(path, &bytes);
    for (int i = 0; i < MUTATIONS; i++) {
        mb_model_file_t *file = NULL;
        random = random * 6364136223846793005u + 1442695040888963407u;
        /* Half of them where the directory is. */
        size_t at = (size_t)(random >> 20) % (i % 2 == 0 ? bytes : 400);
        at = i % 2 == 0 ? at : bytes - 1 - at;
        unsigned char was = image[at];
        image[at] ^= (unsigned char)(1u << (random >> 61));
        file_write(path, image, bytes);
        mb_status_t status = mb_model_file_open(path, true, true, &file);
        if (status == MB_OK) {
            mb_model_file_close(file);
            ck_assert_uint_eq(digest_of(path).full, given);
        }
        refused += status != MB_OK;
        image[at] = was;
    }
    ck_assert_int_gt(refused, MUTATIONS / 2);
    free(image), free(path);
}
END_TEST

START_TEST(an_archive_cut_anywhere_is_refused)
{
    size_t bytes;
    char *path = strdup(scratch("m.keras"));
    make_archive("mlp.h5", path);
    unsigned char *image = file_read(path, &bytes);
    for (size_t length = 4; length < bytes; length += 1 + length / 50) {
        mb_model_file_t *file = NULL;
        file_write(path, image, length);
        ck_assert_int_eq(mb_model_file_open(path, true, false, &file), MB_ERR_FORMAT);
        ck_assert(message_has("m.keras"));
    }
    free(image), free(path);
}
END_TEST

START_TEST(the_check_of_an_archive_reads_every_byte)
{
    size_t bytes;
    bool is_archive = true;
    char *path = strdup(scratch("m.keras"));
    make_archive("mlp.h5", path);
    ck_assert_int_eq(mb_keras_archive_check(path, &is_archive), MB_OK);
    ck_assert(is_archive);
    unsigned char *image = file_read(path, &bytes);
    image[bytes / 2] ^= 16;
    file_write(path, image, bytes);
    ck_assert_int_eq(mb_keras_archive_check(path, &is_archive), MB_ERR_FORMAT);
    ck_assert(message_has("checksum"));
    ck_assert_int_eq(mb_keras_archive_check(fixture("mlp.h5"), &is_archive), MB_OK);
    ck_assert(!is_archive);
    free(image), free(path);
}
END_TEST

static hid_t new_file(const char *path)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(file, 0);
    return file;
}

static hid_t deep_group(hid_t file, const char *path)
{
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t group = H5Gcreate2(file, path, links, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(group, 0);
    H5Pclose(links);
    return group;
}

static void put_variables(hid_t file, const char *group, const char *owner, int count)
{
    const hsize_t dims[1] = {3};
    char name[16];
    hid_t vars = deep_group(file, group);
    if (owner != NULL)
        put_text(vars, "name", TEXT_VARIABLE_UTF8, -1, &owner);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%d", i);
        put_dataset(vars, name, H5T_IEEE_F32LE, H5P_DEFAULT, 1, dims);
    }
    H5Gclose(vars);
}

START_TEST(variables_are_ordered_by_number_and_know_their_owners)
{
    const char *path = scratch("m.weights.h5");
    hid_t file = new_file(path);
    put_variables(file, "/layers/functional/vars", "tower", 0);
    put_variables(file, "/layers/functional/layers/dense/vars", "last", 12);
    put_variables(file, "/layers/dense/vars", NULL, 1);
    put_variables(file, "/metrics/mean/vars", "loss", 2);
    H5Fclose(file);
    mb_model_file_t *open = NULL;
    ck_assert_int_eq(mb_model_file_open(path, false, false, &open), MB_OK);
    ck_assert_int_eq(open->n_variables, 13);
    ck_assert_ptr_null(mb_variables_find(open, "layers/dense/vars/0")->owner);
    for (int i = 0; i < 12; i++) {
        char name[64];
        snprintf(name, sizeof name, "layers/functional/layers/dense/vars/%d", i);
        const mb_stored_variable_t *variable = mb_variables_find(open, name);
        ck_assert_ptr_nonnull(variable);
        ck_assert_str_eq(variable->path, name);
        ck_assert_str_eq(variable->owner, "tower/last");
        ck_assert(variable == mb_variables_find(open, "layers/functional/layers/dense/vars/0") + i);
    }
    ck_assert_ptr_null(mb_variables_find(open, "layers/dense/vars/1"));
    mb_model_file_close(open);
}
END_TEST

static void refuses(const char *path, mb_status_t expected, const char *message)
{
    mb_model_file_t *file = NULL;
    ck_assert_int_eq(mb_model_file_open(path, false, false, &file), expected);
    ck_assert(message_has(message));
}

START_TEST(variables_that_no_layer_of_keras_has_are_refused)
{
    const hsize_t dims[1] = {3};
    const char *path = scratch("m.weights.h5");
    hid_t file = new_file(path);
    hid_t vars = deep_group(file, "/layers/mine/vars");
    put_dataset(vars, "kernel", H5T_IEEE_F32LE, H5P_DEFAULT, 1, dims);
    H5Gclose(vars);
    H5Fclose(file);
    refuses(path, MB_ERR_UNSUPPORTED, "'kernel' of 'layers/mine/vars'");
    file = new_file(path);
    put_variables(file, "/vars", "model", 1);
    put_variables(file, "/layers/dense/vars", "dense", 1);
    H5Fclose(file);
    refuses(path, MB_ERR_UNSUPPORTED, "vars/0");
}
END_TEST

START_TEST(groups_that_lead_in_a_circle_are_refused)
{
    const char *path = scratch("m.weights.h5");
    hid_t file = new_file(path);
    put_variables(file, "/layers/dense/vars", "dense", 1);
    ck_assert_int_ge(
        H5Lcreate_hard(file, "/layers", file, "/layers/dense/again", H5P_DEFAULT, H5P_DEFAULT), 0);
    H5Fclose(file);
    refuses(path, MB_ERR_FORMAT, "go on for ever");
}
END_TEST

static void set_up(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    scratch_create();
}

static Suite *suite(void)
{
    Suite *suite = suite_create("archive");
    TCase *cases = tcase_create("archive");
    tcase_add_checked_fixture(cases, set_up, scratch_remove);
    tcase_set_timeout(cases, 300);
    tcase_add_test(cases, an_archive_reads_as_what_it_was_made_from);
    tcase_add_test(cases, weights_lie_where_keras_looks_for_them);
    tcase_add_test(cases, the_optimizers_state_comes_back);
    tcase_add_test(cases, a_damaged_archive_is_refused_or_reads_as_it_was);
    tcase_add_test(cases, an_archive_cut_anywhere_is_refused);
    tcase_add_test(cases, the_check_of_an_archive_reads_every_byte);
    tcase_add_test(cases, variables_are_ordered_by_number_and_know_their_owners);
    tcase_add_test(cases, variables_that_no_layer_of_keras_has_are_refused);
    tcase_add_test(cases, groups_that_lead_in_a_circle_are_refused);
    suite_add_tcase(suite, cases);
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
