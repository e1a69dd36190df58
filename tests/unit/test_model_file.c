/* Reading model files: every flavour that Keras and h5py wrote, and one clear message for the rest.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "support/store_files.h"

static const hsize_t two_by_three[] = {2, 3};

static mb_model_file_t *must_open(const char *path)
{
    mb_model_file_t *file = NULL;
    mb_status_t status = mb_model_file_open(path, true, false, &file);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    return file;
}

/* Opening must fail with STATUS and a message that names the file and has PART. */
static void must_refuse(const char *path, mb_status_t expected, const char *part)
{
    mb_model_file_t *file = NULL;
    mb_status_t status = mb_model_file_open(path, true, false, &file);
    ck_assert_msg(status == expected, "status %d: %s", status, mb_error_get());
    ck_assert_ptr_null(file);
    ck_assert(message_has(path));
    ck_assert(message_has(part));
}

static void check_counting(const mb_model_file_t *file, const mb_stored_tensor_t *tensor)
{
    float *values = malloc(((size_t)tensor->elements + 1) * sizeof(float));
    mb_status_t status = mb_stored_tensor_read(file, tensor, values);
    ck_assert_msg(status == MB_OK, "%s", mb_error_get());
    for (int64_t i = 0; i < tensor->elements; i++)
        ck_assert_float_eq(values[i], (float)(i + 1));
    free(values);
}

START_TEST(every_string_flavour_reads_alike)
{
    const char *path = scratch("m.h5");
    H5Fclose(put_keras_model(path, (text_flavour_t)_i));
    mb_model_file_t *file = must_open(path);
    ck_assert_str_eq(file->model_config, "{\"class_name\": \"Sequential\"}");
    ck_assert_str_eq(file->keras_version, "2.12.0");
    ck_assert_str_eq(file->backend, "tensorflow");
    ck_assert_ptr_null(file->training_config);
    ck_assert_int_eq(file->n_layers, 2);
    ck_assert_str_eq(file->layers[0].name, "dense");
    ck_assert_str_eq(file->layers[1].name, "flatten_1");
    ck_assert_int_eq(file->layers[1].n_weights, 0);
    ck_assert_int_eq(file->layers[0].n_weights, 2);
    const mb_stored_tensor_t *kernel = &file->layers[0].weights[0];
    ck_assert_str_eq(kernel->name, "dense/kernel:0");
    ck_assert_str_eq(kernel->group, "/model_weights/dense/dense/kernel:0");
    ck_assert_int_eq(kernel->shape.rank, 2);
    ck_assert_int_eq(kernel->elements, 6);
    ck_assert_int_gt(kernel->offset, 0);
    check_counting(file, kernel);
    check_counting(file, &file->layers[0].weights[1]);
    mb_model_file_close(file);
}
END_TEST

START_TEST(every_fixture_opens_with_all_its_tables)
{
    static const struct {
        const char *name;
        int layers, weights, optimizer;
    } expected[] = {
        {"mlp.h5", 4, 6, 2},
        {"mlp_warm.h5", 4, 6, 14},
        {"shared.h5", 7, 10, 2},
        {"resnet.h5", -1, -1, -1},
        {"gpt.h5", -1, -1, -1},
        {"cnn.h5", 7, 8, 2},
        {"conv1d.h5", -1, -1, -1},
        {"regress.h5", -1, -1, -1},
        {"regularized.h5", -1, -1, -1},
        {"rules_adamw.h5", 4, 6, 2},
        {"mlp_softmax_sgd.h5", -1, 4, -1},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        mb_model_file_t *file = must_open(fixture(expected[i].name));
        ck_assert_str_eq(file->keras_version, "3.15.1");
        ck_assert_str_eq(file->backend, "torch");
        ck_assert_ptr_nonnull(file->training_config);
        int weights = 0;
        for (int k = 0; k < file->n_layers; k++)
            weights += file->layers[k].n_weights;
        if (expected[i].layers >= 0)
            ck_assert_int_eq(file->n_layers, expected[i].layers);
        if (expected[i].weights >= 0)
            ck_assert_int_eq(weights, expected[i].weights);
        if (expected[i].optimizer >= 0)
            ck_assert_int_eq(file->n_optimizer, expected[i].optimizer);
        ck_assert(!file->from_mbrun && file->n_moments == 0 && !file->state.present);
        mb_model_file_close(file);
    }
}
END_TEST

START_TEST(the_optimizers_scalars_are_read)
{
    mb_model_file_t *file = must_open(fixture("mlp_warm.h5"));
    ck_assert_str_eq(file->optimizer[0].name, "adam_2/iteration");
    ck_assert_int_eq(file->optimizer[0].shape.rank, 0);
    int64_t iteration = -1;
    float rate = 0, iteration_as_float = 0;
    ck_assert_int_eq(mb_stored_tensor_read_int(file, &file->optimizer[0], &iteration), MB_OK);
    ck_assert_int_eq(iteration, 5);
    ck_assert_int_eq(mb_stored_tensor_read(file, &file->optimizer[0], &iteration_as_float), MB_OK);
    ck_assert_float_eq(iteration_as_float, 5.0f);
    ck_assert_int_eq(mb_stored_tensor_read(file, &file->optimizer[1], &rate), MB_OK);
    ck_assert_float_eq(rate, 1e-3f);
    ck_assert_int_eq(mb_stored_tensor_read_int(file, &file->optimizer[2], &iteration),
                     MB_ERR_FORMAT);
    mb_model_file_close(file);
}
END_TEST

START_TEST(layer_names_split_over_attributes_are_joined)
{
    static const char *const first[] = {"dense"}, *const second[] = {"flatten_1"};
    const char *path = scratch("m.h5");
    hid_t file = put_keras_model(path, TEXT_FIXED_NULL_PADDED);
    hid_t group = H5Gopen2(file, "model_weights", H5P_DEFAULT);
    H5Adelete(group, "layer_names");
    put_text(group, "layer_names0", TEXT_FIXED_NULL_PADDED, 1, first);
    put_text(group, "layer_names1", TEXT_FIXED_NULL_PADDED, 1, second);
    H5Gclose(group);
    H5Fclose(file);
    mb_model_file_t *open = must_open(path);
    ck_assert_int_eq(open->n_layers, 2);
    ck_assert_str_eq(open->layers[1].name, "flatten_1");
    mb_model_file_close(open);
}
END_TEST

/* A model whose bias is stored as TYPE. */
static void put_other_bias(const char *path, hid_t type, hid_t list)
{
    hid_t file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    H5Ldelete(file, "/model_weights/dense/dense/bias:0", H5P_DEFAULT);
    put_dataset(file, "/model_weights/dense/dense/bias:0", type, list, 1, two_by_three + 1);
    H5Fclose(file);
}

START_TEST(other_number_formats_read_as_float32)
{
    hid_t half = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    const hid_t types[] = {H5T_IEEE_F64LE, H5T_IEEE_F32BE, H5T_STD_I32LE,
                           H5T_STD_U8LE,   H5T_STD_I64BE,  half};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const char *path = scratch("m.h5");
        put_other_bias(path, types[i], H5P_DEFAULT);
        mb_model_file_t *file = must_open(path);
        ck_assert_int_eq(file->layers[0].weights[1].offset, -1);
        check_counting(file, &file->layers[0].weights[1]);
        mb_model_file_close(file);
    }
    H5Tclose(half);
}
END_TEST

START_TEST(chunked_and_compressed_weights_are_read)
{
    const hsize_t chunk = 2;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &chunk);
    H5Pset_shuffle(list);
    H5Pset_deflate(list, 6);
    H5Pset_fletcher32(list);
    const char *path = scratch("m.h5");
    put_other_bias(path, H5T_IEEE_F32LE, list);
    H5Pclose(list);
    mb_model_file_t *file = must_open(path);
    check_counting(file, &file->layers[0].weights[1]);
    mb_model_file_close(file);
}
END_TEST

START_TEST(compact_weights_are_read)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(list, H5D_COMPACT);
    const char *path = scratch("m.h5");
    put_other_bias(path, H5T_IEEE_F32LE, list);
    H5Pclose(list);
    mb_model_file_t *file = must_open(path);
    check_counting(file, &file->layers[0].weights[1]);
    mb_model_file_close(file);
}
END_TEST

START_TEST(a_user_block_before_the_file_is_skipped)
{
    const char *path = scratch("m.h5"), *with = scratch("with.h5");
    H5Fclose(put_keras_model(path, TEXT_VARIABLE_UTF8));
    size_t bytes;
    unsigned char *data = file_read(path, &bytes);
    unsigned char *shifted = calloc(1, bytes + 512);
    memcpy(shifted + 512, data, bytes);
    file_write(with, shifted, bytes + 512);
    free(shifted);
    free(data);
    mb_model_file_t *file = must_open(with);
    check_counting(file, &file->layers[0].weights[0]);
    mb_model_file_close(file);
}
END_TEST

static void put_weights_file(const char *path)
{
    static const char *const layers[] = {"dense"}, *const weights[] = {"dense/kernel:0"};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_text(file, "layer_names", TEXT_FIXED_NULL_PADDED, 1, layers);
    hid_t group = put_group(file, "dense");
    put_text(group, "weight_names", TEXT_FIXED_NULL_PADDED, 1, weights);
    put_dataset(group, "dense/kernel:0", H5T_IEEE_F32LE, H5P_DEFAULT, 2, two_by_three);
    H5Gclose(group);
    H5Fclose(file);
}

START_TEST(a_weights_file_opens_unless_a_config_is_needed)
{
    const char *path = scratch("weights.h5");
    put_weights_file(path);
    must_refuse(path, MB_ERR_FORMAT, "model_config");
    mb_model_file_t *file = NULL;
    ck_assert_int_eq(mb_model_file_open(path, false, false, &file), MB_OK);
    ck_assert_ptr_null(file->model_config);
    ck_assert_int_eq(file->n_layers, 1);
    check_counting(file, &file->layers[0].weights[0]);
    mb_model_file_close(file);
}
END_TEST

START_TEST(what_is_not_a_file_is_refused_by_name)
{
    must_refuse(scratch("missing.h5"), MB_ERR_IO, "check the path");
    must_refuse(scratch(""), MB_ERR_IO, "directory");
    mkfifo(scratch("pipe"), 0600);
    must_refuse(scratch("pipe"), MB_ERR_IO, "regular");
}
END_TEST

START_TEST(what_is_not_hdf5_is_refused_by_what_it_is)
{
    const char *path = scratch("x.h5");
    file_write(path, "", 0);
    must_refuse(path, MB_ERR_FORMAT, "empty");
    file_write(path, "abc", 3);
    must_refuse(path, MB_ERR_FORMAT, "not an HDF5 file");
    file_write(path, "PK\003\004 and so on", 13);
    must_refuse(path, MB_ERR_FORMAT, "zip archive that is damaged");
    H5Fclose(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    must_refuse(path, MB_ERR_FORMAT, "model_config");
}
END_TEST

START_TEST(a_keras_file_cut_anywhere_is_refused)
{
    const char *path = scratch("cut.h5");
    size_t bytes;
    unsigned char *data = file_read(fixture("shared.h5"), &bytes);
    for (size_t length = 1; length < bytes; length += 97) {
        file_write(path, data, length);
        must_refuse(path, MB_ERR_FORMAT, length < 8 ? "not an HDF5 file" : "copy it again");
    }
    free(data);
}
END_TEST

START_TEST(wrong_attributes_are_refused_by_name)
{
    const char *path = scratch("m.h5");
    static const char *const two[] = {"a", "b"}, *const missing[] = {"dense/none:0"};
    hid_t file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    H5Adelete(file, "model_config");
    put_text(file, "model_config", TEXT_VARIABLE_UTF8, 2, two);
    H5Fclose(file);
    must_refuse(path, MB_ERR_FORMAT, "model_config");

    file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    H5Adelete(file, "model_config");
    hid_t space = H5Screate(H5S_SCALAR);
    H5Aclose(H5Acreate2(file, "model_config", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Fclose(file);
    must_refuse(path, MB_ERR_FORMAT, "is not text");

    file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    hid_t dense = H5Gopen2(file, "/model_weights/dense", H5P_DEFAULT);
    H5Adelete(dense, "weight_names");
    put_text(dense, "weight_names", TEXT_FIXED_SPACE_PADDED, 1, missing);
    H5Gclose(dense);
    H5Fclose(file);
    must_refuse(path, MB_ERR_FORMAT, "/model_weights/dense/dense/none:0");

    file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    dense = H5Gopen2(file, "/model_weights/dense", H5P_DEFAULT);
    H5Adelete(dense, "weight_names");
    H5Gclose(dense);
    H5Fclose(file);
    must_refuse(path, MB_ERR_FORMAT, "weight_names");
}
END_TEST

START_TEST(a_layer_without_its_group_is_refused)
{
    const char *path = scratch("m.h5");
    hid_t file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    H5Ldelete(file, "/model_weights/flatten_1", H5P_DEFAULT);
    H5Fclose(file);
    must_refuse(path, MB_ERR_FORMAT, "/model_weights/flatten_1");
}
END_TEST

/* Replaces the bias by what MAKE makes. */
static void with_bias(const char *path, void (*make)(hid_t file))
{
    hid_t file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    H5Ldelete(file, "/model_weights/dense/dense/bias:0", H5P_DEFAULT);
    make(file);
    H5Fclose(file);
}

#define BIAS "/model_weights/dense/dense/bias:0"

static void make_soft_link(hid_t file)
{
    H5Lcreate_soft("/model_weights/dense/dense/kernel:0", file, BIAS, H5P_DEFAULT, H5P_DEFAULT);
}

static void make_external_link(hid_t file)
{
    H5Lcreate_external("/etc/passwd", "/x", file, BIAS, H5P_DEFAULT, H5P_DEFAULT);
}

static void make_group(hid_t file)
{
    H5Gclose(put_group(file, BIAS));
}

static void make_strings(hid_t file)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, two_by_three + 1, NULL);
    H5Tset_size(type, 4);
    H5Dclose(H5Dcreate2(file, BIAS, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Tclose(type);
}

static void make_external_data(hid_t file)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, two_by_three + 1, NULL);
    H5Pset_external(list, "/etc/passwd", 0, 12);
    H5Dclose(H5Dcreate2(file, BIAS, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(list);
}

static void make_virtual(hid_t file)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, two_by_three + 1, NULL);
    H5Pset_virtual(list, space, "other.h5", "/x", space);
    H5Dclose(H5Dcreate2(file, BIAS, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(list);
}

/* A filter that this HDF5 lacks may be left out of a chunk, so the dataset can be made. */
static void make_filtered(hid_t file)
{
    const hsize_t chunk[] = {3};
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, two_by_three + 1, NULL);
    H5Pset_chunk(list, 1, chunk);
    H5Pset_filter(list, 32001, H5Z_FLAG_OPTIONAL, 0, NULL);
    H5Dclose(H5Dcreate2(file, BIAS, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(list);
}

static void make_unwritten(hid_t file)
{
    hid_t space = H5Screate_simple(1, two_by_three + 1, NULL);
    H5Dclose(H5Dcreate2(file, BIAS, H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}

static void make_absurd_chunks(hid_t file)
{
    const hsize_t dims[] = {(hsize_t)1 << 40, 1 << 15}, chunk[] = {1, 4}, zero[] = {0, 0};
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(2, dims, NULL);
    H5Pset_chunk(list, 2, chunk);
    hid_t dataset = H5Dcreate2(file, BIAS, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, zero, NULL, chunk, NULL);
    hid_t memory = H5Screate_simple(2, chunk, NULL);
    const float values[4] = {0};
    H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, values);
    H5Sclose(memory);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(list);
}

static void make_many_dimensions(hid_t file)
{
    const hsize_t dims[] = {1, 1, 1, 1, 1, 1, 1, 1, 3};
    put_dataset(file, BIAS, H5T_IEEE_F32LE, H5P_DEFAULT, 9, dims);
}

static void make_null(hid_t file)
{
    hid_t space = H5Screate(H5S_NULL);
    H5Dclose(H5Dcreate2(file, BIAS, H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}

START_TEST(datasets_that_are_no_weights_are_refused_by_name)
{
    static const struct {
        void (*make)(hid_t);
        const char *part;
    } cases[] = {
        {make_soft_link, "soft link"},        {make_external_link, "external link"},
        {make_group, "is a group"},           {make_strings, "strings"},
        {make_external_data, "other files"},  {make_virtual, "other files"},
        {make_unwritten, "never written"},    {make_absurd_chunks, "damaged"},
        {make_many_dimensions, "dimensions"}, {make_null, "no values"},
        {make_filtered, "filter 32001"},
    };
    const char *path = scratch("m.h5");
    with_bias(path, cases[_i].make);
    must_refuse(path, MB_ERR_FORMAT, cases[_i].part);
    ck_assert(message_has(BIAS));
}
END_TEST

START_TEST(weights_of_the_model_itself_are_refused)
{
    static const char *const names[] = {"temperature"};
    const char *path = scratch("m.h5");
    hid_t file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    hid_t group = put_group(file, "/model_weights/top_level_model_weights");
    put_text(group, "weight_names", TEXT_VARIABLE_UTF8, 1, names);
    put_dataset(group, "temperature", H5T_IEEE_F32LE, H5P_DEFAULT, 0, NULL);
    H5Gclose(group);
    H5Fclose(file);
    must_refuse(path, MB_ERR_UNSUPPORTED, "temperature");
}
END_TEST

START_TEST(keras3_weights_files_and_other_hdf5_are_told_apart)
{
    const char *path = scratch("m.h5");
    mb_model_file_t *file = NULL;
    hid_t made = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(made);
    ck_assert_int_eq(mb_model_file_open(path, false, false, &file), MB_ERR_FORMAT);
    ck_assert(message_has("not a Keras model"));
    made = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(put_group(made, "layers"));
    H5Fclose(made);
    ck_assert_int_eq(mb_model_file_open(path, true, false, &file), MB_ERR_FORMAT);
    ck_assert(message_has("--weights"));
}
END_TEST

START_TEST(nan_and_infinity_in_weights_are_read_as_they_are)
{
    const char *path = scratch("m.h5");
    hid_t file = put_keras_model(path, TEXT_VARIABLE_UTF8);
    hid_t dataset = H5Dopen2(file, BIAS, H5P_DEFAULT);
    const float values[3] = {NAN, INFINITY, -0.0f};
    H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(dataset);
    H5Fclose(file);
    mb_model_file_t *open = must_open(path);
    float read[3];
    ck_assert_int_eq(mb_stored_tensor_read(open, &open->layers[0].weights[1], read), MB_OK);
    ck_assert_mem_eq(read, values, sizeof(values));
    mb_model_file_close(open);
}
END_TEST

static herr_t count_calls(hid_t stack, void *calls)
{
    (void)stack;
    (*(int *)calls)++;
    return 0;
}

START_TEST(the_hosts_error_handler_is_silent_during_calls_and_restored_after)
{
    int calls = 0;
    H5Eset_auto2(H5E_DEFAULT, count_calls, &calls);
    const char *path = scratch("x.h5");
    file_write(path, "\211HDF\r\n\032\n damaged", 16);
    mb_model_file_t *file = NULL;
    ck_assert_int_ne(mb_model_file_open(path, true, false, &file), MB_OK);
    ck_assert_int_eq(calls, 0);
    H5E_auto2_t print = NULL;
    void *user = NULL;
    H5Eget_auto2(H5E_DEFAULT, &print, &user);
    ck_assert(print == count_calls && user == &calls);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}
END_TEST

static mb_digest_t digest_of(const char *path)
{
    mb_model_file_t *file = must_open(path);
    mb_digest_t digest = {0};
    ck_assert_int_eq(mb_model_file_digest(file, &digest), MB_OK);
    mb_model_file_close(file);
    return digest;
}

START_TEST(digests_do_not_depend_on_how_values_are_stored)
{
    const hsize_t chunk = 2;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &chunk);
    H5Pset_deflate(list, 1);
    put_other_bias(scratch("plain.h5"), H5T_IEEE_F32LE, H5P_DEFAULT);
    put_other_bias(scratch("double.h5"), H5T_IEEE_F64BE, H5P_DEFAULT);
    put_other_bias(scratch("packed.h5"), H5T_IEEE_F32LE, list);
    H5Pclose(list);
    uint64_t plain = digest_of(scratch("plain.h5")).weights;
    ck_assert_uint_eq(plain, digest_of(scratch("double.h5")).weights);
    ck_assert_uint_eq(plain, digest_of(scratch("packed.h5")).weights);
}
END_TEST

START_TEST(digests_change_with_any_bit_any_name_any_moment_and_the_step)
{
    sample_t sample;
    sample_create(&sample, 300, 5);
    ck_assert_int_eq(sample_write(&sample, scratch("a.h5")), MB_OK);
    mb_digest_t before = digest_of(scratch("a.h5"));

    sample.values[0][2099] = -sample.values[0][2099];
    ck_assert_int_eq(sample_write(&sample, scratch("b.h5")), MB_OK);
    ck_assert_uint_ne(digest_of(scratch("b.h5")).weights, before.weights);
    sample.values[0][2099] = -sample.values[0][2099];

    sample.values[7][6] += 1.0f;
    ck_assert_int_eq(sample_write(&sample, scratch("b.h5")), MB_OK);
    ck_assert_uint_eq(digest_of(scratch("b.h5")).weights, before.weights);
    ck_assert_uint_ne(digest_of(scratch("b.h5")).full, before.full);
    sample.values[7][6] = 0.0f;

    sample.tensors[1].name = "dense/biased";
    ck_assert_int_eq(sample_write(&sample, scratch("b.h5")), MB_OK);
    ck_assert_uint_ne(digest_of(scratch("b.h5")).weights, before.weights);
    sample.tensors[1].name = "dense/bias";

    sample.layout.state.step++;
    ck_assert_int_eq(sample_write(&sample, scratch("b.h5")), MB_OK);
    ck_assert_uint_eq(digest_of(scratch("b.h5")).weights, before.weights);
    ck_assert_uint_ne(digest_of(scratch("b.h5")).full, before.full);
    sample_free(&sample);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("model file");
    TCase *cases = tcase_create("reading");
    tcase_add_checked_fixture(cases, scratch_create, scratch_remove);
    tcase_set_timeout(cases, 120);
    tcase_add_loop_test(cases, every_string_flavour_reads_alike, 0, TEXT_FLAVOURS);
    tcase_add_test(cases, every_fixture_opens_with_all_its_tables);
    tcase_add_test(cases, the_optimizers_scalars_are_read);
    tcase_add_test(cases, layer_names_split_over_attributes_are_joined);
    tcase_add_test(cases, other_number_formats_read_as_float32);
    tcase_add_test(cases, chunked_and_compressed_weights_are_read);
    tcase_add_test(cases, compact_weights_are_read);
    tcase_add_test(cases, a_user_block_before_the_file_is_skipped);
    tcase_add_test(cases, a_weights_file_opens_unless_a_config_is_needed);
    tcase_add_test(cases, what_is_not_a_file_is_refused_by_name);
    tcase_add_test(cases, what_is_not_hdf5_is_refused_by_what_it_is);
    tcase_add_test(cases, a_keras_file_cut_anywhere_is_refused);
    tcase_add_test(cases, wrong_attributes_are_refused_by_name);
    tcase_add_test(cases, a_layer_without_its_group_is_refused);
    tcase_add_loop_test(cases, datasets_that_are_no_weights_are_refused_by_name, 0, 11);
    tcase_add_test(cases, weights_of_the_model_itself_are_refused);
    tcase_add_test(cases, keras3_weights_files_and_other_hdf5_are_told_apart);
    tcase_add_test(cases, nan_and_infinity_in_weights_are_read_as_they_are);
    tcase_add_test(cases, the_hosts_error_handler_is_silent_during_calls_and_restored_after);
    tcase_add_test(cases, digests_do_not_depend_on_how_values_are_stored);
    tcase_add_test(cases, digests_change_with_any_bit_any_name_any_moment_and_the_step);
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
