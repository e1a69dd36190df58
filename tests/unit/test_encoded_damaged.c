/* Files with encoded tensors that were damaged or made up: the seal breaks, and each thing that
 * does not fit its format is one clear message, never a crash. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/seal.h"
#include "support/encoded_files.h"
#include "support/store_files.h"
#include "support/sanitized.h"

static encoded_sample_t sample;

static void set_up(void)
{
    scratch_create();
    encoded_sample_create(&sample);
    mb_status_t status = encoded_sample_write(&sample, scratch("a.h5"));
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
}

static void tear_down(void)
{
    encoded_sample_free(&sample);
    scratch_remove();
}

/* Opens and reads everything; whatever comes out, it must come out. */
static mb_status_t read_all(const char *path)
{
    static float values[5000];
    mb_model_file_t *file = NULL;
    mb_status_t status = mb_model_file_open(path, false, false, &file);
    if (status != MB_OK)
        return status;
    int count = file->n_layers == 1 ? file->layers[0].n_weights : 0;
    for (int i = 0; i < count + file->n_moments && status == MB_OK; i++) {
        const mb_stored_tensor_t *tensor =
            i < count ? &file->layers[0].weights[i] : &file->moments[i - count];
        if (tensor->elements <= 5000)
            status = mb_stored_tensor_read(file, tensor, values);
        if (status == MB_OK)
            status = mb_stored_tensor_check(file, tensor);
    }
    mb_model_file_close(file);
    return status;
}

START_TEST(any_flipped_byte_breaks_the_seal_and_crashes_nothing)
{
    enum { FLIPS = 400 / TEST_EVERY };
    size_t bytes;
    unsigned char *content = file_read(scratch("a.h5"), &bytes);
    for (size_t i = 0; i < FLIPS; i++) {
        size_t at = (bytes - 1) * i / (FLIPS - 1);
        unsigned char flip = (unsigned char)(1u << (i % 8));
        content[at] ^= flip;
        file_write(scratch("b.h5"), content, bytes);
        mb_seal_state_t state = MB_SEAL_HOLDS;
        int64_t step;
        ck_assert_int_eq(mb_seal_check_file(scratch("b.h5"), &state, &step), MB_OK);
        ck_assert_msg(state != MB_SEAL_HOLDS, "byte %zu", at);
        (void)read_all(scratch("b.h5"));
        ck_assert_int_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
        content[at] ^= flip;
    }
    free(content);
}
END_TEST

START_TEST(a_truncated_file_is_refused)
{
    enum { CUTS = 40 / TEST_EVERY };
    size_t bytes;
    unsigned char *content = file_read(scratch("a.h5"), &bytes);
    for (size_t i = 0; i < CUTS; i++) {
        file_write(scratch("b.h5"), content, bytes * i / CUTS);
        ck_assert_int_eq(read_all(scratch("b.h5")), MB_ERR_FORMAT);
    }
    free(content);
}
END_TEST

START_TEST(a_changed_value_is_named_by_its_checksum)
{
    mb_model_file_t *file = NULL;
    ck_assert_int_eq(mb_model_file_open(scratch("a.h5"), false, false, &file), MB_OK);
    size_t bytes;
    unsigned char *content = file_read(scratch("a.h5"), &bytes);
    int found = 0;
    for (int i = 0; i < ENCODED_TENSORS; i++) {
        const mb_stored_tensor_t *tensor = encoded_sample_tensor(file, i);
        for (mb_part_t part = 0; part < MB_PART_COUNT && tensor->has_crc; part++) {
            if (tensor->part_offsets[part] < 0)
                continue;
            content[tensor->part_offsets[part]] ^= 0x10;
            file_write(scratch("b.h5"), content, bytes);
            content[tensor->part_offsets[part]] ^= 0x10;
            mb_model_file_t *other = NULL;
            ck_assert_int_eq(mb_model_file_open(scratch("b.h5"), false, false, &other), MB_OK);
            ck_assert_int_eq(mb_stored_tensor_check(other, encoded_sample_tensor(other, i)),
                             MB_ERR_FORMAT);
            ck_assert(message_has(tensor->name));
            mb_model_file_close(other);
            found++;
        }
    }
    ck_assert_int_gt(found, ENCODED_TENSORS);
    mb_model_file_close(file);
    free(content);
}
END_TEST

typedef enum { DROP, INTEGER, TEXT, SHAPE, UNLINK, RESHAPE, RETYPE, CHUNK } damage_t;

static const struct {
    const char *object;
    damage_t damage;
    const char *name; /* of an attribute */
    int64_t value;
    const char *text;    /* of an attribute */
    const char *message; /* what is said of it, beside file and dataset */
} damages[] = {
    {"/quantized/layer/f6/s0/q", DROP, "format", 0, NULL, "format"},
    {"/quantized/layer/f6/s0/q", TEXT, "format", 0, "int9", "'int9'"},
    {"/quantized/layer/f6/s0/q", TEXT, "format", 0, "fp16", "format"},
    {"/quantized/layer/f6/s0/q", TEXT, "format", 0, "int8:tensor", "block_columns"},
    {"/quantized/layer/f6/s0/q", TEXT, "method", 0, "magic", "'magic'"},
    {"/quantized/layer/f6/s0/q", INTEGER, "format", 3, NULL, "not text"},
    {"/quantized/layer/f6/s0/q", DROP, "shape", 0, NULL, "'shape'"},
    {"/quantized/layer/f6/s0/q", SHAPE, "shape", 71, NULL, "matrix of its 'shape'"},
    {"/quantized/layer/f6/s0/q", SHAPE, "shape", 0, NULL, "absurd"},
    {"/quantized/layer/f6/s0/q", SHAPE, "shape", -70, NULL, "absurd"},
    {"/quantized/layer/f6/s0/q", SHAPE, "shape", INT64_MAX, NULL, "absurd"},
    {"/quantized/layer/f6/s0/q", SHAPE, "shape", 140, NULL, "wants"},
    {"/quantized/layer/f6/s0/q", INTEGER, "shape", 70, NULL, "wants"},
    {"/quantized/layer/f6/s0/q", DROP, "block_rows", 0, NULL, "block_rows"},
    {"/quantized/layer/f8/s0/q", INTEGER, "block_rows", 0, NULL, "block_rows"},
    {"/quantized/layer/f8/s0/q", INTEGER, "block_columns", -1, NULL, "block_columns"},
    {"/quantized/layer/f6/s0/q", INTEGER, "axis", 0, NULL, "axis"},
    {"/quantized/layer/f6/s0/q", INTEGER, "bits", 4, NULL, "bits"},
    {"/quantized/layer/f6/s0/q", INTEGER, "signed", 0, NULL, "signed"},
    {"/quantized/layer/f6/s0/q", INTEGER, "lookup", 2, NULL, "lookup"},
    {"/quantized/layer/f6/s0/q", INTEGER, "lookup", 1, NULL, "block_rows"},
    {"/quantized/layer/f6/s0/q", INTEGER, "crc32c", INT64_MAX, NULL, "32 bits"},
    {"/quantized/layer/f6/s0/q", TEXT, "rmse", 0, "small", "not a number"},
    {"/quantized/layer/f6/s0/q", RESHAPE, NULL, 0, NULL, "matrix"},
    {"/quantized/layer/f6/s0/q", RETYPE, NULL, 0, NULL, "another type"},
    {"/quantized/layer/f6/s0/q", CHUNK, NULL, 0, NULL, "contiguous"},
    {"/quantized/layer/f6/s0/scale", UNLINK, NULL, 0, NULL, "scale"},
    {"/quantized/layer/f6/s0/scale", RESHAPE, NULL, 0, NULL, "wants"},
    {"/quantized/layer/f6/s0/scale", RETYPE, NULL, 0, NULL, "bfloat16"},
    {"/quantized/layer/f7/s0/scale", RESHAPE, NULL, 0, NULL, "wants"},
    {"/quantized/layer/f8/s0/scale", CHUNK, NULL, 0, NULL, "contiguous"},
    {"/quantized/layer/f12/s0/zero", UNLINK, NULL, 0, NULL, "zero"},
    {"/quantized/layer/f12/s0/zero", RESHAPE, NULL, 0, NULL, "wants"},
    {"/quantized/layer/row_scaled/row_scale", RESHAPE, NULL, 0, NULL, "wants"},
    {"/quantized/layer/row_scaled/row_scale", RETYPE, NULL, 0, NULL, "another type"},
    {"/quantized/optimizer/momentum/layer/kernel/q", INTEGER, "bits", 16, NULL, "bits"},
    {"/quantized/optimizer/momentum/layer/kernel/q", UNLINK, NULL, 0, NULL, "named by the file"},
    {"/model_weights/layer/layer/f1/s0", TEXT, "format", 0, "bf16", "format"},
    {"/model_weights/layer/layer/f1/s0", TEXT, "format", 0, "", "format"},
    {"/model_weights/layer/layer/f1/s0", INTEGER, "rows", 7, NULL, "rows"},
    {"/model_weights/layer/layer/f1/s0", INTEGER, "columns", 0, NULL, "columns"},
    {"/model_weights/layer/layer/f1/s0", INTEGER, "crc32c", -2, NULL, "32 bits"},
    {"/model_weights/layer/layer/f4/s0", TEXT, "format", 0, "int8", "format"},
    {"/mbrun/report/tensor", UNLINK, NULL, 0, NULL, "tensor"},
    {"/mbrun/report/rmse", RESHAPE, NULL, 0, NULL, "long"},
    {"/mbrun/report/format", RETYPE, NULL, 0, NULL, "kind"},
};

static void replace_attribute(hid_t object, int i)
{
    const char *name = damages[i].name;
    if (H5Aexists(object, name) > 0)
        ck_assert_int_ge(H5Adelete(object, name), 0);
    if (damages[i].damage == DROP)
        return;
    if (damages[i].damage == TEXT) {
        put_text(object, name, TEXT_FIXED_NULL_PADDED, -1, &damages[i].text);
        return;
    }
    const int64_t values[] = {damages[i].value, 33};
    hsize_t length = 2;
    hid_t space =
        damages[i].damage == SHAPE ? H5Screate_simple(1, &length, NULL) : H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Awrite(attribute, H5T_NATIVE_INT64, values), 0);
    H5Aclose(attribute);
    H5Sclose(space);
}

/* The same dataset with one more entry, with elements of 64 bits, or in chunks. */
static void replace_dataset(hid_t file, const char *path, damage_t damage)
{
    hid_t old = H5Dopen2(file, path, H5P_DEFAULT), type = H5Dget_type(old);
    hid_t space = H5Dget_space(old), list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t dims[8] = {1};
    int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    H5Dclose(old);
    ck_assert_int_ge(H5Ldelete(file, path, H5P_DEFAULT), 0);
    if (damage == CHUNK)
        H5Pset_chunk(list, rank, dims);
    if (damage == RESHAPE) {
        dims[0]++;
        rank = rank == 0 ? 1 : rank;
    }
    hid_t other = H5Screate_simple(rank, dims, NULL);
    hid_t made = H5Dcreate2(file, path, damage == RETYPE ? H5T_IEEE_F64LE : type,
                            rank == 0 ? space : other, H5P_DEFAULT, list, H5P_DEFAULT);
    static const char zeros[1 << 16];
    ck_assert_int_ge(H5Dwrite(made, damage == RETYPE ? H5T_IEEE_F64LE : type, H5S_ALL, H5S_ALL,
                              H5P_DEFAULT, zeros),
                     0);
    H5Dclose(made);
    H5Sclose(other);
    H5Pclose(list);
    H5Sclose(space);
    H5Tclose(type);
}

/* Attributes that a replaced dataset must still have. */
static void copy_attributes(hid_t from_file, hid_t to_file, const char *path)
{
    hid_t from = H5Dopen2(from_file, path, H5P_DEFAULT), to = H5Dopen2(to_file, path, H5P_DEFAULT);
    for (unsigned i = 0; i < (unsigned)H5Aget_num_attrs(from); i++) {
        char name[64], value[256];
        hid_t a =
            H5Aopen_by_idx(from, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT);
        hid_t type = H5Aget_type(a), space = H5Aget_space(a);
        H5Aget_name(a, sizeof(name), name);
        H5Aread(a, type, value);
        hid_t b = H5Acreate2(to, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
        H5Awrite(b, type, value);
        H5Aclose(b);
        H5Sclose(space);
        H5Tclose(type);
        H5Aclose(a);
    }
    H5Dclose(from);
    H5Dclose(to);
}

static void damage_file(const char *path, int i)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const char *object_path = damages[i].object;
    ck_assert_int_ge(file, 0);
    if (damages[i].damage == UNLINK) {
        ck_assert_int_ge(H5Ldelete(file, object_path, H5P_DEFAULT), 0);
    } else if (damages[i].damage >= RESHAPE) {
        hid_t from = H5Fopen(scratch("a.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
        replace_dataset(file, object_path, damages[i].damage);
        copy_attributes(from, file, object_path);
        H5Fclose(from);
    } else {
        hid_t object = H5Dopen2(file, object_path, H5P_DEFAULT);
        ck_assert_int_ge(object, 0);
        replace_attribute(object, i);
        H5Dclose(object);
    }
    H5Fclose(file);
}

START_TEST(what_does_not_fit_its_format_is_refused_by_name)
{
    size_t bytes;
    unsigned char *content = file_read(scratch("a.h5"), &bytes);
    file_write(scratch("b.h5"), content, bytes);
    free(content);
    damage_file(scratch("b.h5"), _i);
    mb_model_file_t *file = NULL;
    mb_status_t status = mb_model_file_open(scratch("b.h5"), false, false, &file);
    ck_assert_msg(status == MB_ERR_FORMAT, "%s: %s", damages[_i].object, damages[_i].message);
    ck_assert(message_has("b.h5"));
    ck_assert(message_has(damages[_i].message));
    if (damages[_i].damage != UNLINK)
        ck_assert(message_has(damages[_i].object));
}
END_TEST

START_TEST(zeros_that_belong_to_no_format_are_refused)
{
    const hsize_t dims[] = {1, 17};
    hid_t file = H5Fopen(scratch("a.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t group = H5Gopen2(file, "/quantized/layer/f6/s0", H5P_DEFAULT);
    put_dataset(group, "zero", H5T_STD_U8LE, H5P_DEFAULT, 2, dims);
    H5Gclose(group);
    H5Fclose(file);
    ck_assert_int_eq(read_all(scratch("a.h5")), MB_ERR_FORMAT);
    ck_assert(message_has("no offset"));
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("encoded damaged");
    TCase *cases = tcase_create("files");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 240);
    tcase_add_test(cases, any_flipped_byte_breaks_the_seal_and_crashes_nothing);
    tcase_add_test(cases, a_truncated_file_is_refused);
    tcase_add_test(cases, a_changed_value_is_named_by_its_checksum);
    tcase_add_loop_test(cases, what_does_not_fit_its_format_is_refused_by_name, 0,
                        (int)(sizeof(damages) / sizeof(damages[0])));
    tcase_add_test(cases, zeros_that_belong_to_no_format_are_refused);
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
