/* IDX data sets, raw and gzip, the HDF5 files made of them and of text, and the memory there is. */
#define _XOPEN_SOURCE 700
#include "base/host_memory.h"
#include "data/convert.h"
#include "support/data_files.h"

#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IMAGES = 20, SIDE = 16, PIXELS = SIDE * SIDE };

static const mb_shape_t image = {2, {SIDE, SIDE}};
static const mb_shape_t channel_image = {3, {SIDE, SIDE, 1}};
static unsigned char pixels[IMAGES][PIXELS];
static unsigned char digits[IMAGES];

/* Image i holds every byte value, rotated by i. */
static void make_images(void)
{
    for (int i = 0; i < IMAGES; i++) {
        digits[i] = (unsigned char)(i % 10);
        for (int j = 0; j < PIXELS; j++)
            pixels[i][j] = (unsigned char)(i + j);
    }
}

static void write_images(const char *path, uint32_t count)
{
    make_images();
    test_idx_write(path, 0x08, 3, (const uint32_t[]){count, SIDE, SIDE}, pixels,
                   (size_t)count * PIXELS);
}

static void write_labels(const char *path, uint32_t count)
{
    make_images();
    test_idx_write(path, 0x08, 1, &count, digits, count);
}

static mb_status_t open_as(const char *path, const mb_shape_t *shape, int n_outputs,
                           mb_source_t **out)
{
    mb_source_wants_t wants = test_wants("in", shape, n_outputs);
    *out = NULL;
    return mb_source_open(path, &wants, out);
}

static mb_source_t *open_idx(const char *path)
{
    mb_source_t *source;
    ck_assert_msg(open_as(path, &channel_image, 1, &source) == MB_OK, "%s", mb_error_get());
    return source;
}

/* What numpy's pixels.astype("float32") / 255 gives. */
static float as_numpy(unsigned char byte)
{
    volatile float quotient = (float)byte / 255.0f;
    return quotient;
}

static void check_samples(mb_source_t *source, int64_t samples)
{
    const int64_t indices[] = {3, 4, 19, 0};
    static float x[4][PIXELS];
    int32_t y[4];
    ck_assert_int_eq(source->samples, samples);
    ck_assert(mb_shape_equal(&source->fields[0].shape, &channel_image));
    ck_assert_msg(source->class_->read(source, 0, indices, 4, false, x) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_int_eq(source->class_->read(source, 1, indices, 4, true, y), MB_OK);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(y[i], indices[i] % 10);
        for (int j = 0; j < PIXELS; j++)
            ck_assert(x[i][j] == as_numpy(pixels[indices[i]][j]));
    }
}

START_TEST(raw_and_gzip_files_give_numpy_s_float32_values)
{
    write_images(test_path("train-images-idx3-ubyte"), IMAGES);
    write_labels(test_path("train-labels-idx1-ubyte.gz"), IMAGES);
    mb_source_t *source = open_idx(test_path("train-images-idx3-ubyte"));
    check_samples(source, IMAGES);
    mb_source_close(source);
    write_images(test_path("other-images.idx3-ubyte.gz"), IMAGES);
    write_labels(test_path("other-labels.idx1-ubyte"), IMAGES);
    source = open_idx(test_path("other-images.idx3-ubyte.gz"));
    check_samples(source, IMAGES);
    mb_source_close(source);
}
END_TEST

START_TEST(a_folder_gives_its_training_or_test_part)
{
    write_images(test_path("train-images-idx3-ubyte.gz"), IMAGES);
    write_labels(test_path("train-labels-idx1-ubyte.gz"), IMAGES);
    write_images(test_path("t10k-images-idx3-ubyte"), 5);
    write_labels(test_path("t10k-labels-idx1-ubyte"), 5);
    mb_source_t *source = open_idx(test_path("."));
    ck_assert_int_eq(source->samples, IMAGES);
    mb_source_close(source);
    source = open_idx(test_path(".:test"));
    ck_assert_int_eq(source->samples, 5);
    mb_source_close(source);
    unlink(test_path("t10k-images-idx3-ubyte"));
    ck_assert_int_eq(open_as(test_path(".:test"), &image, 1, &source), MB_ERR_IO);
    test_message_has("holds no t10k-images-idx3-ubyte[.gz]");
}
END_TEST

START_TEST(images_and_labels_may_be_named_together)
{
    char both[600];
    write_images(test_path("a"), IMAGES);
    write_labels(test_path("b"), IMAGES);
    snprintf(both, sizeof(both), "%s,%s", test_path("a"), test_path("b"));
    mb_source_t *source = open_idx(both);
    check_samples(source, IMAGES);
    mb_source_close(source);
    ck_assert_int_eq(open_as(test_path("a"), &image, 1, &source), MB_ERR_IO);
    test_message_has("no labels file is found beside it");
    ck_assert_int_eq(open_as(test_path("a"), &image, 0, &source), MB_OK);
    ck_assert_int_eq(source->n_fields, 1);
    mb_source_close(source);
}
END_TEST

START_TEST(counts_that_differ_are_refused_with_both_files)
{
    mb_source_t *source;
    write_images(test_path("images"), IMAGES);
    write_labels(test_path("labels"), IMAGES - 1);
    ck_assert_int_eq(open_as(test_path("images"), &image, 1, &source), MB_ERR_DATA);
    test_message_has("images holds 20 samples, but");
    test_message_has("labels holds 19 labels");
}
END_TEST

START_TEST(big_endian_floats_and_integers_are_swapped)
{
    const unsigned char bytes[] = {0x3F, 0x80, 0, 0, 0xC0, 0x20, 0, 0};
    mb_source_t *source;
    const mb_shape_t one = {1, {1}};
    float x[2];
    test_idx_write(test_path("f"), 0x0D, 2, (const uint32_t[]){2, 1}, bytes, sizeof(bytes));
    ck_assert_msg(open_as(test_path("f"), &one, 0, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){0, 1}, 2, false, x), MB_OK);
    ck_assert(x[0] == 1.0f && x[1] == -2.5f);
    mb_source_close(source);
}
END_TEST

START_TEST(truncated_and_overlong_files_are_refused)
{
    static unsigned char bytes[IMAGES * PIXELS + 100];
    mb_source_t *source;
    write_images(test_path("whole"), IMAGES);
    size_t size = test_file_read(test_path("whole"), bytes, sizeof(bytes));
    for (size_t cut = 1; cut < size; cut += cut < 20 ? 1 : 501) {
        test_file_write(test_path("cut"), bytes, cut);
        ck_assert_int_eq(open_as(test_path("cut"), &image, 0, &source), MB_ERR_FORMAT);
        test_message_has("cut");
    }
    test_file_write(test_path("cut"), bytes, size - 1);
    ck_assert_int_eq(open_as(test_path("cut"), &image, 0, &source), MB_ERR_FORMAT);
    test_message_has("describes a file of 5136 bytes, but it has 5135: it is truncated");
    test_file_write(test_path("cut"), bytes, size + 1);
    ck_assert_int_eq(open_as(test_path("cut"), &image, 0, &source), MB_ERR_FORMAT);
}
END_TEST

static mb_status_t read_damaged(void)
{
    static float x[PIXELS];
    mb_source_t *source;
    mb_status_t status = open_as(test_path("bad.gz"), &image, 0, &source);
    if (status != MB_OK)
        return status;
    status = source->class_->read(source, 0, (const int64_t[]){IMAGES - 1}, 1, false, x);
    mb_source_close(source);
    return status;
}

START_TEST(truncated_and_flipped_gzip_files_are_refused)
{
    static unsigned char bytes[IMAGES * PIXELS];
    write_images(test_path("whole.gz"), IMAGES);
    size_t size = test_file_read(test_path("whole.gz"), bytes, sizeof(bytes));
    for (size_t cut = 2; cut < size; cut += 5) {
        test_file_write(test_path("bad.gz"), bytes, cut);
        ck_assert_int_eq(read_damaged(), MB_ERR_FORMAT);
        test_message_has("bad.gz");
    }
    size_t refused = 0;
    for (size_t at = 10; at < size; at++) {
        bytes[at] ^= 0x10;
        test_file_write(test_path("bad.gz"), bytes, size);
        bytes[at] ^= 0x10;
        refused += read_damaged() != MB_OK;
    }
    /* The bits that fill up the last byte of the compressed data mean nothing. */
    ck_assert_uint_ge(refused, size - 11);
}
END_TEST

START_TEST(headers_that_cannot_be_are_refused)
{
    mb_source_t *source;
    const uint32_t absurd[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const uint32_t none[] = {0, 2, 2};
    test_idx_write(test_path("h"), 0x08, 3, absurd, NULL, 0);
    ck_assert_int_eq(open_as(test_path("h"), &image, 0, &source), MB_ERR_FORMAT);
    test_message_has("absurd size");
    test_idx_write(test_path("h"), 0x08, 3, none, NULL, 0);
    ck_assert_int_eq(open_as(test_path("h"), &image, 0, &source), MB_ERR_FORMAT);
    test_message_has("dimension 0 of the IDX header is 0");
    test_file_write(test_path("h"), "\0\0\x08\x09        ", 12);
    ck_assert_int_eq(open_as(test_path("h"), &image, 0, &source), MB_ERR_FORMAT);
    test_message_has("9 dimensions");
    const uint32_t huge[] = {1u << 30, 1024, 16};
    test_idx_write(test_path("h.gz"), 0x08, 3, huge, NULL, 0);
    const mb_shape_t row = {2, {1024, 16}};
    float x[1];
    ck_assert_int_eq(open_as(test_path("h.gz"), &row, 0, &source), MB_ERR_FORMAT);
    test_message_has("more than gzip can make");
    ck_assert_int_eq(truncate(test_path("h.gz"), (off_t)17 << 30), 0);
    ck_assert_int_eq(open_as(test_path("h.gz"), &row, 0, &source), MB_OK);
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){0}, 1, false, x),
                     MB_ERR_MEMORY);
    test_message_has("more than half of the memory at hand");
    test_message_has("mbrun data");
    mb_source_close(source);
}
END_TEST

static mb_status_t convert(const char *const *inputs, int n, mb_data_summary_t *summary)
{
    return mb_data_convert(inputs, n, test_path("out.h5"), NULL, summary);
}

static int files_in_folder(void)
{
    int count = 0;
    DIR *folder = opendir(test_path("."));
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 2;
}

START_TEST(a_data_file_made_from_idx_gives_the_same_bits)
{
    mb_data_summary_t summary;
    write_images(test_path("train-images-idx3-ubyte.gz"), IMAGES);
    write_labels(test_path("train-labels-idx1-ubyte"), IMAGES);
    const char *const inputs[] = {test_path("train-images-idx3-ubyte.gz")};
    ck_assert_msg(convert(inputs, 1, &summary) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(summary.samples, IMAGES);
    ck_assert(summary.has_labels && !summary.is_tokens && summary.dtype == MB_U8);
    ck_assert(mb_shape_equal(&summary.shape, &image));
    mb_source_t *source = open_idx(test_path("out.h5"));
    ck_assert_str_eq(source->class_->kind, "hdf5");
    ck_assert(source->class_->thread_ok && source->fields[1].integral);
    check_samples(source, IMAGES);
    mb_source_close(source);
    ck_assert_int_eq(files_in_folder(), 3);
}
END_TEST

START_TEST(several_inputs_are_joined_in_order_with_labels_named_in_each_way)
{
    char both[600];
    mb_data_summary_t summary;
    write_images(test_path("a-images-idx3-ubyte"), 7);
    write_labels(test_path("a-labels-idx1-ubyte"), 7);
    write_images(test_path("p"), IMAGES);
    write_labels(test_path("q"), IMAGES);
    snprintf(both, sizeof(both), "%s,%s", test_path("p"), test_path("q"));
    const char *const inputs[] = {test_path("a-images-idx3-ubyte"), both, test_path("p"),
                                  test_path("q")};
    ck_assert_msg(convert(inputs, 4, &summary) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(summary.samples, 7 + 2 * IMAGES);
    mb_source_t *source = open_idx(test_path("out.h5"));
    float x[PIXELS];
    int32_t y;
    const int64_t index = 7 + IMAGES + 3;
    ck_assert_int_eq(source->class_->read(source, 0, &index, 1, false, x), MB_OK);
    ck_assert_int_eq(source->class_->read(source, 1, &index, 1, true, &y), MB_OK);
    ck_assert(x[1] == as_numpy(pixels[3][1]) && y == 3);
    mb_source_close(source);
}
END_TEST

START_TEST(text_becomes_a_stream_of_bytes)
{
    mb_data_summary_t summary;
    test_file_write(test_path("one.txt"), "hello ", 6);
    test_file_write(test_path("two.txt"), "w\xC3\xB6rld", 6);
    const char *const inputs[] = {test_path("one.txt"), test_path("two.txt")};
    ck_assert_msg(convert(inputs, 2, &summary) == MB_OK, "%s", mb_error_get());
    ck_assert(summary.is_tokens && summary.samples == 12);
    const mb_shape_t five = {1, {5}};
    mb_source_t *source;
    int32_t x[10];
    ck_assert_msg(open_as(test_path("out.h5"), &five, 1, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->samples, 2);
    ck_assert_int_eq(source->class_->read(source, 0, (const int64_t[]){0, 1}, 2, true, x), MB_OK);
    ck_assert(x[0] == 'h' && x[5] == ' ' && x[6] == 'w' && x[7] == 0xC3);
    mb_source_close(source);
}
END_TEST

START_TEST(inputs_that_do_not_fit_are_refused_and_nothing_is_written)
{
    mb_data_summary_t summary;
    write_images(test_path("i"), IMAGES);
    write_labels(test_path("l"), IMAGES - 1);
    test_file_write(test_path("text.txt"), "some text", 9);
    test_file_write(test_path("binary"), "some\0text", 9);
    test_idx_write(test_path("small"), 0x08, 3, (const uint32_t[]){1, 2, 2}, pixels, 4);
    const char *const labels_first[] = {test_path("l"), test_path("i")};
    ck_assert_int_eq(convert(labels_first, 2, &summary), MB_ERR_ARGUMENT);
    test_message_has("labels must come behind their images");
    const char *const counts[] = {test_path("i"), test_path("l")};
    ck_assert_int_eq(convert(counts, 2, &summary), MB_ERR_DATA);
    const char *const mixed[] = {test_path("i"), test_path("text.txt")};
    ck_assert_int_eq(convert(mixed, 2, &summary), MB_ERR_ARGUMENT);
    test_message_has("one data file is made of one kind");
    const char *const shapes[] = {test_path("i"), test_path("small")};
    ck_assert_int_eq(convert(shapes, 2, &summary), MB_ERR_SHAPE);
    const char *const binary[] = {test_path("binary")};
    ck_assert_int_eq(convert(binary, 1, &summary), MB_ERR_FORMAT);
    const char *const missing[] = {test_path("missing")};
    ck_assert_int_eq(convert(missing, 1, &summary), MB_ERR_IO);
    ck_assert_int_eq(mb_data_convert(binary, 1, test_path("binary"), NULL, &summary),
                     MB_ERR_ARGUMENT);
    test_message_has("one of the inputs");
    ck_assert_int_eq(mb_data_convert(mixed + 1, 1, test_path("no/out.h5"), NULL, &summary),
                     MB_ERR_IO);
    ck_assert_int_eq(files_in_folder(), 5);
}
END_TEST

START_TEST(a_disk_that_runs_full_leaves_no_file_behind)
{
    mb_data_summary_t summary;
    write_images(test_path("i"), IMAGES);
    const char *const inputs[] = {test_path("i")};
    const struct rlimit small = {2000, 2000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    ck_assert_int_eq(convert(inputs, 1, &summary), MB_ERR_IO);
    test_message_has("out.h5");
    ck_assert_int_eq(files_in_folder(), 1);
}
END_TEST

START_TEST(a_damaged_input_leaves_the_former_output_as_it_was)
{
    static unsigned char bytes[IMAGES * PIXELS];
    mb_data_summary_t summary;
    write_images(test_path("i.gz"), IMAGES);
    const char *const inputs[] = {test_path("i.gz")};
    ck_assert_int_eq(convert(inputs, 1, &summary), MB_OK);
    size_t size = test_file_read(test_path("i.gz"), bytes, sizeof(bytes));
    test_file_write(test_path("i.gz"), bytes, size - 9);
    ck_assert_int_eq(convert(inputs, 1, &summary), MB_ERR_FORMAT);
    ck_assert_int_eq(files_in_folder(), 2);
    mb_source_t *source;
    ck_assert_int_eq(open_as(test_path("out.h5"), &image, 0, &source), MB_OK);
    mb_source_close(source);
}
END_TEST

static int64_t memory_of_groups(const char *groups)
{
    test_file_write(test_path("groups"), groups, strlen(groups));
    return mb_cgroup_memory(test_path("groups"), test_path("root"));
}

static void put_limit(const char *path, const char *limit)
{
    test_file_write(test_path(path), limit, strlen(limit));
}

START_TEST(memory_is_the_least_that_a_control_group_or_one_above_it_gives)
{
    static const char *const folders[] = {"root", "root/job", "root/job/step", "root/memory",
                                          "root/memory/job"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        ck_assert_int_eq(mkdir(test_path(folders[i]), 0700), 0);
    put_limit("root/job/memory.max", "4096\n");
    put_limit("root/job/step/memory.max", "max\n");
    put_limit("root/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put_limit("root/memory/job/memory.limit_in_bytes", "8192\n");
    ck_assert_int_eq(memory_of_groups("0::/job/step\n"), 4096);
    ck_assert_int_eq(memory_of_groups("0::/\n"), INT64_MAX);
    ck_assert_int_eq(memory_of_groups("0::/job/elsewhere\n"), 4096);
    ck_assert_int_eq(memory_of_groups("5:cpu,memory:/job\n1:name=systemd:/job\n"), 8192);
    ck_assert_int_eq(memory_of_groups("5:cpu,memory_pressure:/job\n"), INT64_MAX);
    ck_assert_int_eq(memory_of_groups("no group\n"), INT64_MAX);
    put_limit("root/memory.max", "1024\n");
    ck_assert_int_eq(memory_of_groups("0::/job/step\n"), 1024);
    ck_assert_int_gt(mb_host_memory(), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("idx");
    TCase *t = tcase_create("idx");
    tcase_add_checked_fixture(t, NULL, test_remove_folder);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, raw_and_gzip_files_give_numpy_s_float32_values);
    tcase_add_test(t, a_folder_gives_its_training_or_test_part);
    tcase_add_test(t, images_and_labels_may_be_named_together);
    tcase_add_test(t, counts_that_differ_are_refused_with_both_files);
    tcase_add_test(t, big_endian_floats_and_integers_are_swapped);
    tcase_add_test(t, truncated_and_overlong_files_are_refused);
    tcase_add_test(t, truncated_and_flipped_gzip_files_are_refused);
    tcase_add_test(t, headers_that_cannot_be_are_refused);
    tcase_add_test(t, a_data_file_made_from_idx_gives_the_same_bits);
    tcase_add_test(t, several_inputs_are_joined_in_order_with_labels_named_in_each_way);
    tcase_add_test(t, text_becomes_a_stream_of_bytes);
    tcase_add_test(t, inputs_that_do_not_fit_are_refused_and_nothing_is_written);
    tcase_add_test(t, a_disk_that_runs_full_leaves_no_file_behind);
    tcase_add_test(t, a_damaged_input_leaves_the_former_output_as_it_was);
    tcase_add_test(t, memory_is_the_least_that_a_control_group_or_one_above_it_gives);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
