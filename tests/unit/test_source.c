/* Sources over HDF5 files and arrays: values, shapes, and what is refused with which words. */
#define _XOPEN_SOURCE 700
#include "data/element.h"
#include "support/data_files.h"

#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* HDF5 1.10 forgets memory of its own when it refuses a damaged file; LeakSanitizer asks this. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

enum { SAMPLES = 50, WIDTH = 6 };

static const mb_shape_t wide = {1, {WIDTH}};
static float values[SAMPLES][WIDTH];
static int64_t labels[SAMPLES];

static void make_values(void)
{
    for (int i = 0; i < SAMPLES; i++) {
        labels[i] = i % 10;
        for (int j = 0; j < WIDTH; j++)
            values[i][j] = (float)(i * 100 + j);
    }
}

static test_dataset_t x_dataset(hid_t type, hsize_t chunk, int deflate)
{
    return (test_dataset_t){.name = "x",
                            .type = type,
                            .memory = H5T_NATIVE_FLOAT,
                            .rank = 2,
                            .dims = {SAMPLES, WIDTH},
                            .data = values,
                            .chunk = chunk,
                            .deflate = deflate};
}

static test_dataset_t y_dataset(void)
{
    return (test_dataset_t){.name = "y",
                            .type = H5T_STD_I64LE,
                            .memory = H5T_NATIVE_INT64,
                            .rank = 1,
                            .dims = {SAMPLES},
                            .data = labels};
}

static mb_source_t *open_source(const char *path, const mb_shape_t *shape, int n_outputs)
{
    mb_source_t *source = NULL;
    mb_source_wants_t wants = test_wants("flatten_input", shape, n_outputs);
    ck_assert_msg(mb_source_open(path, &wants, &source) == MB_OK, "%s", mb_error_get());
    return source;
}

static mb_status_t open_fails_for(const char *path, const mb_shape_t *shape, int n_outputs)
{
    mb_source_t *source = NULL;
    mb_source_wants_t wants = test_wants("flatten_input", shape, n_outputs);
    mb_status_t status = mb_source_open(path, &wants, &source);
    ck_assert_ptr_null(source);
    return status;
}

static mb_status_t open_fails(const char *path, const mb_shape_t *shape)
{
    return open_fails_for(path, shape, 1);
}

static const int64_t some[] = {7, 8, 9, 3, 49, 0, 1, 1, 30};
enum { SOME = sizeof(some) / sizeof(some[0]) };

static void check_rows(mb_source_t *source)
{
    float x[SOME][WIDTH];
    int32_t y[SOME];
    int fx, fy;
    mb_source_wants_t wants = test_wants("flatten_input", &wide, 1);
    ck_assert_int_eq(source->samples, SAMPLES);
    ck_assert_msg(mb_source_match(source, &wants, &fx, &fy) == MB_OK, "%s", mb_error_get());
    ck_assert_msg(source->class_->read(source, fx, some, SOME, false, x) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_int_eq(source->class_->read(source, fy, some, SOME, true, y), MB_OK);
    for (int i = 0; i < SOME; i++) {
        ck_assert_mem_eq(x[i], values[some[i]], sizeof(x[i]));
        ck_assert_int_eq(y[i], labels[some[i]]);
    }
}

static void check_file(hid_t type, hsize_t chunk, int deflate, hsize_t userblock, bool thread_ok)
{
    const test_dataset_t datasets[] = {x_dataset(type, chunk, deflate), y_dataset()};
    const char *path = test_path("rows.h5");
    test_hdf5_write(path, datasets, 2, userblock);
    mb_source_t *source = open_source(path, &wide, 1);
    ck_assert_int_eq(source->class_->thread_ok, thread_ok);
    check_rows(source);
    mb_source_close(source);
}

START_TEST(every_layout_and_type_gives_the_same_samples)
{
    make_values();
    check_file(H5T_IEEE_F32LE, 0, 0, 0, true);
    check_file(H5T_IEEE_F32BE, 0, 0, 0, true);
    check_file(H5T_IEEE_F64LE, 0, 0, 0, true);
    check_file(H5T_STD_I16LE, 0, 0, 0, true);
    check_file(H5T_STD_U16BE, 0, 0, 0, true);
    check_file(H5T_STD_I32BE, 0, 0, 0, true);
    check_file(H5T_STD_U64LE, 0, 0, 0, true);
    check_file(H5T_IEEE_F32LE, 0, 0, 1024, true);
    check_file(H5T_IEEE_F32LE, 7, 0, 0, false);
    check_file(H5T_IEEE_F32LE, 16, 4, 0, false);
    check_file(H5T_IEEE_F64BE, 1, 1, 512, false);
}
END_TEST

START_TEST(no_hdf5_object_stays_open_where_the_file_is_read_without_the_library)
{
    make_values();
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("rows.h5"), datasets, 2, 0);
    mb_source_t *source = open_source(test_path("rows.h5"), &wide, 1);
    ck_assert_int_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    mb_source_close(source);
}
END_TEST

START_TEST(files_are_closed_on_exec_and_leave_no_descriptor_behind)
{
    make_values();
    for (hsize_t chunk = 0; chunk < 8; chunk += 7) {
        const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, chunk, 0), y_dataset()};
        test_hdf5_write(test_path("rows.h5"), datasets, 2, 0);
        int before = open("/dev/null", O_RDONLY);
        close(before);
        mb_source_t *source = open_source(test_path("rows.h5"), &wide, 1);
        for (int file = before; file < before + 4; file++) {
            int flags = fcntl(file, F_GETFD);
            ck_assert(flags == -1 || (flags & FD_CLOEXEC) != 0);
        }
        mb_source_close(source);
        int after = open("/dev/null", O_RDONLY);
        close(after);
        ck_assert_int_eq(after, before);
        ck_assert_int_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    }
}
END_TEST

START_TEST(half_precision_is_decoded_exactly_with_subnormals)
{
    uint16_t bits[WIDTH] = {0x0001, 0x03FF, 0x0400, 0x3C01, 0xFBFF, 0x8000};
    const float expected[WIDTH] = {0x1p-24f,      1023 * 0x1p-24f, 0x1p-14f,
                                   1.0009765625f, -65504.0f,       -0.0f};
    hid_t half = test_half_type();
    const test_dataset_t dataset = {"x", half, half, 2, {1, WIDTH}, bits, 0, 0, 0, 0};
    test_hdf5_write(test_path("half.h5"), &dataset, 1, 0);
    mb_source_t *source = open_source(test_path("half.h5"), &wide, 0);
    float x[WIDTH];
    ck_assert_int_eq(source->fields[0].stored, MB_F16);
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){0}, 1, false, x), MB_OK);
    ck_assert_mem_eq(x, expected, sizeof(x));
    mb_source_close(source);
    H5Tclose(half);
}
END_TEST

START_TEST(scale_and_offset_are_obeyed)
{
    uint8_t bytes[2][WIDTH] = {{0, 1, 2, 3, 254, 255}, {10, 20, 30, 40, 50, 60}};
    const test_dataset_t dataset = {"x", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, {2, WIDTH}, bytes, 0, 0,
                                    0.5, -3.25};
    test_hdf5_write(test_path("scaled.h5"), &dataset, 1, 0);
    mb_source_t *source = open_source(test_path("scaled.h5"), &wide, 0);
    float x[2][WIDTH];
    ck_assert(!source->fields[0].integral);
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){0, 1}, 2, false, x), MB_OK);
    for (int i = 0; i < 2 * WIDTH; i++)
        ck_assert_float_eq(x[i / WIDTH][i % WIDTH], (float)bytes[i / WIDTH][i % WIDTH] / 2 - 3.25f);
    mb_source_close(source);
}
END_TEST

START_TEST(bytes_scaled_by_the_255th_are_numpy_s_float32_division)
{
    uint8_t bytes[256];
    float scaled[256];
    mb_element_fault_t fault;
    const mb_element_t element = {.stored = MB_U8, .scaled = true, .scale = MB_BYTE_SCALE};
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    ck_assert_int_eq(mb_element_convert(&element, bytes, 256, false, scaled, &fault), -1);
    for (int i = 0; i < 256; i++) {
        volatile float quotient = (float)i / 255.0f;
        ck_assert_msg(scaled[i] == quotient, "byte %d", i);
    }
}
END_TEST

START_TEST(a_trailing_channel_is_added_and_an_open_dimension_takes_the_data_s_size)
{
    const mb_shape_t channel = {2, {WIDTH, 1}}, open = {1, {MB_OPEN}};
    make_values();
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("rows.h5"), datasets, 2, 0);
    mb_source_t *source = open_source(test_path("rows.h5"), &channel, 1);
    int fx, fy;
    mb_source_wants_t wants = test_wants("in", &channel, 1);
    ck_assert(mb_shape_equal(&source->fields[0].shape, &channel));
    ck_assert_int_eq(mb_source_match(source, &wants, &fx, &fy), MB_OK);
    wants = test_wants("in", &open, 1);
    mb_source_close(source);
    source = open_source(test_path("rows.h5"), &open, 1);
    ck_assert_int_eq(mb_source_match(source, &wants, &fx, &fy), MB_OK);
    ck_assert_int_eq(source->fields[fx].shape.dim[0], WIDTH);
    mb_source_close(source);
}
END_TEST

START_TEST(a_shape_that_disagrees_is_refused_with_both_shapes)
{
    const mb_shape_t other = {2, {8, 8}};
    make_values();
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("rows.h5"), datasets, 2, 0);
    ck_assert_int_eq(open_fails(test_path("rows.h5"), &other), MB_ERR_SHAPE);
    test_message_has("rows.h5: a sample of dataset 'x' has shape (6,), but the model's input "
                     "'flatten_input' takes (8, 8)");
    mb_source_t *source = open_source(test_path("rows.h5"), &wide, 1);
    int fx, fy;
    mb_source_wants_t wants = test_wants("flatten_input", &other, 1);
    ck_assert_int_eq(mb_source_match(source, &wants, &fx, &fy), MB_ERR_SHAPE);
    mb_source_close(source);
}
END_TEST

START_TEST(several_inputs_and_outputs_are_found_by_name_and_positions_may_lack)
{
    const char *const inputs[] = {"image", "positions"};
    const char *const outputs[] = {"class", "y2"};
    const mb_shape_t shapes[] = {wide, {1, {4}}};
    const mb_source_wants_t wants = {2, 2, inputs, outputs, shapes, {NULL}};
    make_values();
    test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset(), y_dataset()};
    datasets[0].name = "image";
    datasets[1].name = "class";
    datasets[2].name = "y2";
    test_hdf5_write(test_path("several.h5"), datasets, 3, 0);
    mb_source_t *source = NULL;
    int in[2], out[2];
    ck_assert_msg(mb_source_open(test_path("several.h5"), &wants, &source) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_int_eq(mb_source_match(source, &wants, in, out), MB_OK);
    ck_assert(in[0] == 0 && in[1] == -1 && out[0] == 1 && out[1] == 2);
    mb_source_close(source);
}
END_TEST

START_TEST(a_dataset_that_is_not_there_is_named_beside_those_that_are)
{
    make_values();
    test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    datasets[0].name = "images";
    test_hdf5_write(test_path("names.h5"), datasets, 2, 0);
    ck_assert_int_eq(open_fails(test_path("names.h5"), &wide), MB_ERR_DATA);
    test_message_has("names.h5: no data for the model's input 'flatten_input'");
    test_message_has("the file has 'images', 'y'");
    datasets[0].name = "x";
    test_hdf5_write(test_path("names.h5"), datasets, 1, 0);
    ck_assert_int_eq(open_fails(test_path("names.h5"), &wide), MB_ERR_DATA);
    test_message_has("the model's output 'dense_2'");
}
END_TEST

START_TEST(numbers_of_samples_that_differ_are_refused)
{
    make_values();
    test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    datasets[1].dims[0] = 40;
    test_hdf5_write(test_path("counts.h5"), datasets, 2, 0);
    ck_assert_int_eq(open_fails(test_path("counts.h5"), &wide), MB_ERR_DATA);
    test_message_has("counts.h5: dataset 'x' has 50 samples, but 'y' has 40");
}
END_TEST

START_TEST(types_and_ranks_that_hold_no_samples_are_refused)
{
    make_values();
    hid_t compound = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(compound, "re", 0, H5T_NATIVE_FLOAT);
    H5Tinsert(compound, "im", 4, H5T_NATIVE_FLOAT);
    test_dataset_t dataset = {"x", compound, compound, 1, {4}, NULL, 0, 0, 0, 0};
    test_hdf5_write(test_path("odd.h5"), &dataset, 1, 0);
    ck_assert_int_eq(open_fails_for(test_path("odd.h5"), &wide, 0), MB_ERR_FORMAT);
    test_message_has("odd.h5: dataset 'x' holds a compound type");
    dataset = (test_dataset_t){"x", H5T_C_S1, H5T_C_S1, 1, {4}, NULL, 0, 0, 0, 0};
    test_hdf5_write(test_path("odd.h5"), &dataset, 1, 0);
    ck_assert_int_eq(open_fails_for(test_path("odd.h5"), &wide, 0), MB_ERR_FORMAT);
    test_message_has("holds strings");
    dataset = (test_dataset_t){"x", H5T_NATIVE_FLOAT, H5T_NATIVE_FLOAT, 0, {0}, NULL, 0, 0, 0, 0};
    test_hdf5_write(test_path("odd.h5"), &dataset, 1, 0);
    ck_assert_int_eq(open_fails_for(test_path("odd.h5"), &wide, 0), MB_ERR_FORMAT);
    dataset =
        (test_dataset_t){"x", H5T_NATIVE_FLOAT, H5T_NATIVE_FLOAT, 2, {0, 3}, NULL, 0, 0, 0, 0};
    test_hdf5_write(test_path("odd.h5"), &dataset, 1, 0);
    ck_assert_int_eq(open_fails_for(test_path("odd.h5"), &wide, 0), MB_ERR_DATA);
    test_message_has("empty");
    H5Tclose(compound);
}
END_TEST

static const hsize_t rows_of_wide[] = {4, WIDTH};

static void put_listed(hid_t file, const char *name, hid_t list)
{
    hid_t space = H5Screate_simple(2, rows_of_wide, NULL);
    H5Dclose(H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(list);
}

static void make_external_link(hid_t file)
{
    H5Lcreate_external("other.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT);
}

/* To another file by way of a soft link. */
static void make_way_out(hid_t file)
{
    hid_t other = H5Fcreate(test_path("other.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_listed(other, "x", H5Pcreate(H5P_DATASET_CREATE));
    H5Fclose(other);
    H5Lcreate_external(test_path("other.h5"), "/", file, "out", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/out/x", file, "x", H5P_DEFAULT, H5P_DEFAULT);
}

static void make_external_data(hid_t file)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(list, "/etc/passwd", 0, 4 * WIDTH * sizeof(float));
    put_listed(file, "x", list);
}

static void make_virtual(hid_t file)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(2, rows_of_wide, NULL);
    H5Pset_virtual(list, space, "other.h5", "/x", space);
    H5Sclose(space);
    put_listed(file, "x", list);
}

static void make_filtered(hid_t file)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 2, rows_of_wide);
    H5Pset_filter(list, 32001, H5Z_FLAG_OPTIONAL, 0, NULL);
    put_listed(file, "x", list);
}

START_TEST(data_outside_the_file_or_behind_a_plugin_is_refused_by_name)
{
    static const struct {
        void (*make)(hid_t);
        const char *part;
    } cases[] = {
        {make_external_link, "'x' is an external link"},
        {make_way_out, "'x' is reached by links that leave the file"},
        {make_external_data, "'x' has its numbers in other files"},
        {make_virtual, "'x' is a virtual dataset"},
        {make_filtered, "'x' is compressed by filter 32001"},
    };
    hid_t file = H5Fcreate(test_path("far.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    cases[_i].make(file);
    H5Fclose(file);
    ck_assert_int_eq(open_fails_for(test_path("far.h5"), &wide, 0), MB_ERR_FORMAT);
    test_message_has(cases[_i].part);
}
END_TEST

static void check_fault(hsize_t chunk, const char *part)
{
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, chunk, 0), y_dataset()};
    test_hdf5_write(test_path("nan.h5"), datasets, 2, 0);
    mb_source_t *source = open_source(test_path("nan.h5"), &wide, 1);
    const int64_t indices[] = {3, 16, 17, 18};
    float x[4 * WIDTH];
    ck_assert_int_eq(source->class_->read(source, 0, indices, 1, false, x), MB_OK);
    ck_assert_int_eq(source->class_->read(source, 0, indices, 4, false, x), MB_ERR_DATA);
    test_message_has(part);
    mb_source_close(source);
}

START_TEST(nan_and_infinity_are_refused_with_file_dataset_and_sample)
{
    make_values();
    values[17][5] = NAN;
    check_fault(0, "nan.h5: dataset 'x': sample 17: NaN");
    check_fault(8, "nan.h5: dataset 'x': sample 17: NaN");
    values[17][5] = -INFINITY;
    check_fault(0, "sample 17");
}
END_TEST

START_TEST(integers_out_of_range_and_fractions_are_refused_where_integers_are_wanted)
{
    int32_t y[SAMPLES];
    int64_t all[SAMPLES];
    make_values();
    for (int i = 0; i < SAMPLES; i++)
        all[i] = i;
    labels[20] = INT64_C(1) << 31;
    values[2][3] = 0.5f;
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("ints.h5"), datasets, 2, 0);
    mb_source_t *source = open_source(test_path("ints.h5"), &wide, 1);
    ck_assert_int_eq(source->class_->read(source, 1, all, SAMPLES, true, y), MB_ERR_DATA);
    test_message_has("dataset 'y': sample 20: an integer beyond the range of int32");
    ck_assert_int_eq(source->class_->read(source, 0, all, 3, true, y), MB_ERR_DATA);
    test_message_has("dataset 'x': sample 2: a fraction");
    mb_source_close(source);
}
END_TEST

START_TEST(indices_outside_the_source_are_refused)
{
    make_values();
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("rows.h5"), datasets, 2, 0);
    mb_source_t *source = open_source(test_path("rows.h5"), &wide, 1);
    float x[WIDTH];
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){SAMPLES}, 1, false, x),
                     MB_ERR_ARGUMENT);
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){-1}, 1, false, x),
                     MB_ERR_ARGUMENT);
    mb_source_close(source);
}
END_TEST

static void quiet_is_kept(void *data)
{
    (void)data;
}

static herr_t host_handler(hid_t stack, void *data)
{
    (void)stack;
    quiet_is_kept(data);
    ck_abort_msg("the host's error handler was called");
    return 0;
}

START_TEST(truncated_files_are_refused_and_the_host_s_error_handler_is_untouched)
{
    static char bytes[100000];
    int mark;
    H5E_auto2_t handler;
    void *data;
    make_values();
    H5Eset_auto2(H5E_DEFAULT, host_handler, &mark);
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("whole.h5"), datasets, 2, 0);
    size_t size = test_file_read(test_path("whole.h5"), bytes, sizeof(bytes));
    for (size_t cut = 0; cut < size; cut += 97) {
        test_file_write(test_path("cut.h5"), bytes, cut);
        ck_assert_int_ne(open_fails(test_path("cut.h5"), &wide), MB_OK);
        test_message_has("cut.h5");
    }
    H5Eget_auto2(H5E_DEFAULT, &handler, &data);
    ck_assert(handler == host_handler && data == &mark);
    ck_assert_int_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}
END_TEST

/* HDF5 1.10 itself reads out of bounds where a compressed chunk inflates to less than it should. */
START_TEST(a_flipped_byte_of_a_contiguous_file_is_an_error_or_other_numbers_but_no_crash)
{
    static char bytes[100000];
    float x[SAMPLES * WIDTH];
    int64_t all[SAMPLES];
    make_values();
    for (int i = 0; i < SAMPLES; i++)
        all[i] = i;
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("whole.h5"), datasets, 2, 0);
    size_t size = test_file_read(test_path("whole.h5"), bytes, sizeof(bytes));
    for (size_t at = 0; at < size; at++) {
        mb_source_t *source = NULL;
        mb_source_wants_t wants = test_wants("in", &wide, 1);
        bytes[at] = (char)(bytes[at] ^ 0x41);
        test_file_write(test_path("flip.h5"), bytes, size);
        bytes[at] = (char)(bytes[at] ^ 0x41);
        if (mb_source_open(test_path("flip.h5"), &wants, &source) != MB_OK) {
            ck_assert_int_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
            continue;
        }
        if (source->samples == SAMPLES && mb_shape_equal(&source->fields[0].shape, &wide))
            source->class_->read(source, 0, all, SAMPLES, false, x);
        mb_source_close(source);
        ck_assert_int_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    }
}
END_TEST

START_TEST(files_that_are_no_data_are_refused_by_content)
{
    ck_assert_int_eq(open_fails(test_path("missing.h5"), &wide), MB_ERR_IO);
    test_message_has("missing.h5: the data file cannot be opened: No such file");
    test_file_write(test_path("empty.h5"), "", 0);
    ck_assert_int_eq(open_fails(test_path("empty.h5"), &wide), MB_ERR_FORMAT);
    test_message_has("empty");
    test_file_write(test_path("text.h5"), "hello, world", 12);
    ck_assert_int_eq(open_fails(test_path("text.h5"), &wide), MB_ERR_FORMAT);
    test_message_has("neither HDF5, NPY, NPZ nor IDX");
    ck_assert_int_eq(open_fails("/dev/null", &wide), MB_ERR_IO);
    ck_assert_int_eq(open_fails(test_path("."), &wide), MB_ERR_IO);
}
END_TEST

START_TEST(a_file_cut_while_open_is_an_error_of_the_read)
{
    make_values();
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("rows.h5"), datasets, 2, 0);
    mb_source_t *source = open_source(test_path("rows.h5"), &wide, 1);
    float x[WIDTH];
    ck_assert_int_eq(truncate(test_path("rows.h5"), 100), 0);
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){40}, 1, false, x),
                     MB_ERR_IO);
    test_message_has("it was cut since it was opened");
    mb_source_close(source);
}
END_TEST

START_TEST(arrays_of_each_type_are_read_in_place)
{
    double d[2][2] = {{1.5, 2.5}, {3.5, 4.5}};
    uint8_t u[2] = {7, 9};
    const mb_array_t arrays[] = {{"x", {1, {2}}, MB_F64, d}, {"y", {0, {0}}, MB_U8, u}};
    mb_source_t *source = NULL;
    float x[2];
    int32_t y[2];
    ck_assert_int_eq(mb_source_from_arrays(arrays, 2, 2, &source), MB_OK);
    ck_assert(source->class_->thread_ok && source->fields[1].integral);
    d[1][1] = 8.5;
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){1}, 1, false, x), MB_OK);
    ck_assert(x[0] == 3.5f && x[1] == 8.5f);
    ck_assert_int_eq(source->class_->read(source, 1, (const int64_t[]){1, 0}, 2, true, y), MB_OK);
    ck_assert(y[0] == 9 && y[1] == 7);
    mb_source_close(source);
    ck_assert_int_eq(mb_source_from_arrays(arrays, 0, 2, &source), MB_ERR_ARGUMENT);
    ck_assert_int_eq(mb_source_from_arrays(arrays, 2, 0, &source), MB_ERR_ARGUMENT);
}
END_TEST

START_TEST(a_slice_moves_indices_and_its_messages_count_in_the_whole)
{
    make_values();
    values[33][0] = NAN;
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, 0, 0), y_dataset()};
    test_hdf5_write(test_path("rows.h5"), datasets, 2, 0);
    mb_source_t *whole = open_source(test_path("rows.h5"), &wide, 1), *slice, *inner;
    ck_assert_int_eq(mb_source_slice(whole, 30, 20, &slice), MB_OK);
    ck_assert_int_eq(mb_source_slice(slice, 2, 5, &inner), MB_OK);
    float x[2][WIDTH];
    ck_assert_int_eq(inner->samples, 5);
    ck_assert_int_eq(inner->class_->read(inner, 0, (const int64_t[]){0, 2}, 2, false, x), MB_OK);
    ck_assert_mem_eq(x[0], values[32], sizeof(x[0]));
    ck_assert_mem_eq(x[1], values[34], sizeof(x[1]));
    ck_assert_int_eq(inner->class_->read(inner, 0, (const int64_t[]){1}, 1, false, x), MB_ERR_DATA);
    test_message_has("sample 33");
    ck_assert_int_eq(inner->class_->read(inner, 0, (const int64_t[]){5}, 1, false, x),
                     MB_ERR_ARGUMENT);
    ck_assert(slice->digest != whole->digest && slice->digest != inner->digest);
    mb_source_close(inner);
    ck_assert_int_eq(mb_source_slice(whole, 30, 21, &inner), MB_ERR_ARGUMENT);
    mb_source_close(slice);
    mb_source_close(whole);
}
END_TEST

static uint64_t digest_of(hsize_t chunk)
{
    const test_dataset_t datasets[] = {x_dataset(H5T_IEEE_F32LE, chunk, 0), y_dataset()};
    test_hdf5_write(test_path("digest.h5"), datasets, 2, 0);
    mb_source_t *source = open_source(test_path("digest.h5"), &wide, 1);
    uint64_t digest = source->digest;
    mb_source_close(source);
    return digest;
}

START_TEST(the_digest_tells_contents_apart_and_does_not_hold_the_file_s_name)
{
    make_values();
    uint64_t first = digest_of(0), chunked = digest_of(7);
    ck_assert_uint_eq(digest_of(0), first);
    values[49][5] += 1.0f;
    ck_assert_uint_ne(digest_of(0), first);
    ck_assert_uint_ne(digest_of(7), chunked);
    make_values();
    labels[3]++;
    ck_assert_uint_ne(digest_of(0), first);
}
END_TEST

static void add_tests(TCase *t)
{
    tcase_add_test(t, every_layout_and_type_gives_the_same_samples);
    tcase_add_test(t, no_hdf5_object_stays_open_where_the_file_is_read_without_the_library);
    tcase_add_test(t, files_are_closed_on_exec_and_leave_no_descriptor_behind);
    tcase_add_test(t, half_precision_is_decoded_exactly_with_subnormals);
    tcase_add_test(t, scale_and_offset_are_obeyed);
    tcase_add_test(t, bytes_scaled_by_the_255th_are_numpy_s_float32_division);
    tcase_add_test(t, a_trailing_channel_is_added_and_an_open_dimension_takes_the_data_s_size);
    tcase_add_test(t, a_shape_that_disagrees_is_refused_with_both_shapes);
    tcase_add_test(t, several_inputs_and_outputs_are_found_by_name_and_positions_may_lack);
    tcase_add_test(t, a_dataset_that_is_not_there_is_named_beside_those_that_are);
    tcase_add_test(t, numbers_of_samples_that_differ_are_refused);
    tcase_add_test(t, types_and_ranks_that_hold_no_samples_are_refused);
    tcase_add_loop_test(t, data_outside_the_file_or_behind_a_plugin_is_refused_by_name, 0, 5);
    tcase_add_test(t, nan_and_infinity_are_refused_with_file_dataset_and_sample);
    tcase_add_test(t, integers_out_of_range_and_fractions_are_refused_where_integers_are_wanted);
    tcase_add_test(t, indices_outside_the_source_are_refused);
    tcase_add_test(t, truncated_files_are_refused_and_the_host_s_error_handler_is_untouched);
    tcase_add_test(t,
                   a_flipped_byte_of_a_contiguous_file_is_an_error_or_other_numbers_but_no_crash);
    tcase_add_test(t, files_that_are_no_data_are_refused_by_content);
    tcase_add_test(t, a_file_cut_while_open_is_an_error_of_the_read);
    tcase_add_test(t, arrays_of_each_type_are_read_in_place);
    tcase_add_test(t, a_slice_moves_indices_and_its_messages_count_in_the_whole);
    tcase_add_test(t, the_digest_tells_contents_apart_and_does_not_hold_the_file_s_name);
}

int main(void)
{
    /* HDF5 1.10 leaks internally on damaged files and complains when it closes. */
    H5dont_atexit();
    Suite *s = suite_create("source");
    TCase *t = tcase_create("source");
    tcase_add_checked_fixture(t, NULL, test_remove_folder);
    tcase_set_timeout(t, 60);
    add_tests(t);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
