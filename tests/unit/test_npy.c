/* NumPy arrays and archives: what numpy writes, what is odd about it, and what is damaged. */
#define _XOPEN_SOURCE 700
#include "data/spool.h"
#include "support/array_files.h"
#include "support/data_files.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLES = 6, WIDTH = 3 };

static const mb_shape_t three = {1, {WIDTH}};
static float values[SAMPLES][WIDTH];
static int64_t labels[SAMPLES];

static void make_values(void)
{
    for (int i = 0; i < SAMPLES; i++) {
        labels[i] = i % 4;
        for (int j = 0; j < WIDTH; j++)
            values[i][j] = (float)(10 * i + j) + 0.25f;
    }
}

static mb_status_t open_as(const char *path, const mb_shape_t *shape, int n_outputs,
                           mb_source_t **out)
{
    mb_source_wants_t wants = test_wants("in", shape, n_outputs);
    *out = NULL;
    return mb_source_open(path, &wants, out);
}

static mb_status_t fails(const char *path, int n_outputs)
{
    mb_source_t *source;
    mb_status_t status = open_as(path, &three, n_outputs, &source);
    ck_assert_int_ne(status, MB_OK);
    return status;
}

static void check_both(const char *path)
{
    const int64_t indices[] = {4, 1, 2};
    mb_source_t *source;
    float x[3][WIDTH];
    int32_t y[3];
    ck_assert_msg(open_as(path, &three, 1, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->samples, SAMPLES);
    int fx = mb_source_field(source, "x"), fy = mb_source_field(source, "y");
    ck_assert(fx >= 0 && fy >= 0 && source->n_fields == 2);
    ck_assert(source->fields[fy].integral && !source->fields[fx].integral);
    ck_assert_msg(source->class_->read(source, fx, indices, 3, false, x) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_msg(source->class_->read(source, fy, indices, 3, true, y) == MB_OK, "%s",
                  mb_error_get());
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(y[i], labels[indices[i]]);
        ck_assert_int_eq(memcmp(x[i], values[indices[i]], sizeof(x[i])), 0);
    }
    mb_source_close(source);
}

#define HEAD_X "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 3), }"
#define HEAD_Y "{'descr': '<i8', 'fortran_order': False, 'shape': (6,), }"

static bool large; /* archives as those of over 4 GiB */

static void write_archive(const char *path, const char *x_name, const char *y_name, bool deflated)
{
    size_t x_bytes, y_bytes;
    unsigned char *x = test_npy_make(HEAD_X, values, sizeof(values), &x_bytes);
    unsigned char *y = test_npy_make(HEAD_Y, labels, sizeof(labels), &y_bytes);
    const test_member_t members[] = {{"classes.txt", "a b", 3, false},
                                     {x_name, x, x_bytes, deflated},
                                     {y_name, y, y_bytes, deflated}};
    test_npz_write(path, members, 3, large);
    free(x);
    free(y);
}

START_TEST(pairs_folders_and_archives_give_the_same_values)
{
    char both[600];
    make_values();
    test_npy_write(test_path("x.npy"), HEAD_X, values, sizeof(values));
    test_npy_write(test_path("y.npy"), HEAD_Y, labels, sizeof(labels));
    snprintf(both, sizeof(both), "%s,%s", test_path("x.npy"), test_path("y.npy"));
    check_both(both);
    check_both(test_path("."));
    write_archive(test_path("stored.npz"), "x.npy", "y.npy", false);
    check_both(test_path("stored.npz"));
    large = true;
    write_archive(test_path("large.npz"), "x.npy", "y.npy", false);
    check_both(test_path("large.npz"));
    large = false;
    write_archive(test_path("deflated.npz"), "x.npy", "y.npy", true);
    check_both(test_path("deflated.npz"));
    write_archive(test_path("split.npz"), "x_train.npy", "y_train.npy", true);
    check_both(test_path("split.npz:train"));
    fails(test_path("split.npz:test"), 1);
    test_message_has("split.npz:test: it holds no arrays");
}
END_TEST

typedef struct {
    const char *head;
    size_t size;
} type_case_t;

static const type_case_t types[] = {
    {"{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }", 1},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }", 1},
    {"{'descr': '|i1', 'fortran_order': False, 'shape': (2, 3), }", 1},
    {"{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }", 2},
    {"{'shape': (2, 3), 'fortran_order': False, 'descr': '>i2'}", 2},
    {"{'descr': '<i4', 'fortran_order': False, 'shape': (2L, 3L)}", 4},
    {"{\"descr\": \">u4\", \"fortran_order\": False, \"shape\": (2, 3)}", 4},
    {"{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3), }", 8},
    {"{'descr': '>u8', 'fortran_order': False, 'shape': (2, 3), }", 8}};

/* Byte k of a number n that fits one byte, in the order that the head tells. */
static void put_number(unsigned char *to, int n, const type_case_t *c)
{
    bool big = strchr(c->head, '>') != NULL;
    memset(to, 0, c->size);
    to[big ? c->size - 1 : 0] = (unsigned char)n;
}

START_TEST(integers_of_each_type_and_byte_order_are_read)
{
    const type_case_t *c = &types[_i];
    unsigned char data[6 * 8];
    mb_source_t *source;
    float x[6];
    const int64_t indices[] = {1, 0};
    for (int i = 0; i < 6; i++)
        put_number(data + (size_t)i * c->size, i, c);
    test_npy_write(test_path("a.npy"), c->head, data, 6 * c->size);
    ck_assert_msg(open_as(test_path("a.npy"), &three, 0, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->class_->read(source, 0, indices, 2, false, x), MB_OK);
    for (int i = 0; i < 6; i++)
        ck_assert(x[i] == (float)((i + 3) % 6));
    ck_assert(source->fields[0].integral);
    mb_source_close(source);
}
END_TEST

START_TEST(floats_of_each_type_and_byte_order_are_read)
{
    static const struct {
        const char *head;
        unsigned char one_and_half[8]; /* 1.5 */
        size_t size;
    } cases[] = {{"{'descr': '<f2', 'fortran_order': False, 'shape': (1, 3)}", {0x00, 0x3E}, 2},
                 {"{'descr': '>f4', 'fortran_order': True, 'shape': (3,)}", {0x3F, 0xC0}, 4},
                 {"{'descr': '>f8', 'fortran_order': False, 'shape': (1, 3)}", {0x3F, 0xF8}, 8}};
    for (size_t k = 0; k < 3; k++) {
        unsigned char data[3 * 8];
        mb_source_t *source;
        float x[3];
        const int64_t index = 0;
        for (int i = 0; i < 3; i++)
            memcpy(data + (size_t)i * cases[k].size, cases[k].one_and_half, cases[k].size);
        test_npy_write(test_path("f.npy"), cases[k].head, data, 3 * cases[k].size);
        const mb_shape_t one = {1, {1}};
        ck_assert_msg(open_as(test_path("f.npy"), k == 1 ? &one : &three, 0, &source) == MB_OK,
                      "%s", mb_error_get());
        ck_assert_int_eq(source->class_->read(source, 0, &index, 1, false, x), MB_OK);
        ck_assert(x[0] == 1.5f);
        mb_source_close(source);
    }
}
END_TEST

START_TEST(a_header_of_version_2_has_a_length_of_four_bytes)
{
    static const char head[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 3)}\n";
    static unsigned char bytes[512] = {0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, sizeof(head) - 1};
    mb_source_t *source;
    float x[WIDTH];
    const int64_t sample = 5;
    make_values();
    memcpy(bytes + 12, head, sizeof(head) - 1);
    memcpy(bytes + 12 + sizeof(head) - 1, values, sizeof(values));
    test_file_write(test_path("x.npy"), bytes, 12 + sizeof(head) - 1 + sizeof(values));
    ck_assert_msg(open_as(test_path("x.npy"), &three, 0, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->class_->read(source, 0, &sample, 1, false, x), MB_OK);
    ck_assert_int_eq(memcmp(x, values[5], sizeof(x)), 0);
    mb_source_close(source);
}
END_TEST

START_TEST(what_no_training_can_use_is_refused_by_name)
{
    static const struct {
        const char *head, *message;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (6, 3)}", "Fortran's order"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (6, 3)}", "Python objects"},
        {"{'descr': '<U7', 'fortran_order': False, 'shape': (6, 3)}", "(texts)"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (6, 3)}", "complex numbers"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}", "several fields"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "a single number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}", "first axis is 0"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (7, 3)}", "it is truncated"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (5, 3)}", "describes a file of"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999999, 3)}", "absurd"},
        {"{'descr': '<f4', 'fortran_order': False}", "is missing"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6, 3) 'x'}", "a comma is wanted"},
        {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (6, 3)}", "True or False"},
        {"{'descr': '<f4, 'fortran_order': False, 'shape': (6, 3)}", "byte 2"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6, 4)}", "bytes, but it has"}};
    make_values();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_npy_write(test_path("x.npy"), cases[i].head, values, sizeof(values));
        fails(test_path("x.npy"), 0);
        test_message_has("x.npy");
        test_message_has(cases[i].message);
    }
}
END_TEST

START_TEST(one_array_has_no_targets_and_says_how_to_name_them)
{
    make_values();
    test_npy_write(test_path("x.npy"), HEAD_X, values, sizeof(values));
    ck_assert_int_eq(fails(test_path("x.npy"), 1), MB_ERR_DATA);
    test_message_has("X.npy,Y.npy");
}
END_TEST

START_TEST(a_member_that_claims_more_than_it_can_hold_is_refused)
{
    static unsigned char bytes[8192];
    make_values();
    write_archive(test_path("b.npz"), "x.npy", "y.npy", true);
    size_t size = test_file_read(test_path("b.npz"), bytes, sizeof(bytes));
    for (size_t i = size - 300; i < size; i++) {
        if (memcmp(bytes + i, "PK\1\2", 4) == 0 && memcmp(bytes + i + 46, "x.npy", 5) == 0)
            bytes[i + 27] = 0x7f; /* of 4 bytes: 2 GiB */
    }
    test_file_write(test_path("b.npz"), bytes, size);
    ck_assert_int_eq(fails(test_path("b.npz"), 1), MB_ERR_FORMAT);
    test_message_has("more bytes than deflate can make");
}
END_TEST

START_TEST(a_damaged_member_is_named_with_its_place)
{
    static unsigned char bytes[8192];
    const int64_t index = 0;
    float x[WIDTH];
    mb_source_t *source;
    make_values();
    write_archive(test_path("d.npz"), "x.npy", "y.npy", true);
    size_t size = test_file_read(test_path("d.npz"), bytes, sizeof(bytes));
    test_file_write(test_path("cut.npz"), bytes, size - 30);
    ck_assert_int_eq(fails(test_path("cut.npz"), 1), MB_ERR_FORMAT);
    test_message_has("no directory at its end");
    write_archive(test_path("s.npz"), "x.npy", "y.npy", true);
    /* The checksum in the directory's entry of x.npy. */
    for (size_t i = size - 300; i < size; i++) {
        if (memcmp(bytes + i, "PK\1\2", 4) == 0 && memcmp(bytes + i + 46, "x.npy", 5) == 0)
            bytes[i + 16] ^= 1;
    }
    test_file_write(test_path("crc.npz"), bytes, size);
    ck_assert_msg(open_as(test_path("crc.npz"), &three, 1, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->class_->read(source, 0, &index, 1, false, x), MB_ERR_FORMAT);
    test_message_has("member 'x.npy'");
    test_message_has("checksum");
    mb_source_close(source);
}
END_TEST

/* Changed bytes give an error or other numbers; the sanitizers watch. */
START_TEST(changed_bytes_are_an_error_or_other_numbers_but_no_crash)
{
    static unsigned char good[8192], bad[8192];
    const int64_t all[] = {0, 1, 2, 3, 4, 5};
    static float x[SAMPLES * WIDTH];
    make_values();
    large = _i > 1;
    write_archive(test_path("d.npz"), "x.npy", "y.npy", _i % 2 == 0);
    size_t size = test_file_read(test_path("d.npz"), good, sizeof(good));
    srand(100 + (unsigned)_i);
    for (int round = 0; round < 300; round++) {
        mb_source_t *source;
        memcpy(bad, good, size);
        for (int k = rand() % 4; k >= 0; k--)
            bad[(size_t)rand() % size] = (unsigned char)rand();
        test_file_write(test_path("bad.npz"), bad, rand() % 8 == 0 ? (size_t)rand() % size : size);
        if (open_as(test_path("bad.npz"), &three, 1, &source) != MB_OK) {
            ck_assert(mb_error_get()[0] != '\0');
            continue;
        }
        if (source->samples == SAMPLES && mb_shape_equal(&source->fields[0].shape, &three))
            source->class_->read(source, 0, all, SAMPLES, false, x);
        mb_source_close(source);
    }
}
END_TEST

START_TEST(files_of_one_structure_are_joined_in_the_order_of_their_names)
{
    mb_source_t *source;
    float x[2][WIDTH];
    const int64_t indices[] = {SAMPLES + 1, 0};
    make_values();
    test_npy_write(test_path("b.npy"), HEAD_X, values, sizeof(values));
    values[1][0] = values[0][0] = 7;
    test_npy_write(test_path("a.npy"), HEAD_X, values, sizeof(values));
    ck_assert_msg(open_as(test_path("?.npy"), &three, 0, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->samples, 2 * SAMPLES);
    ck_assert_int_eq(source->class_->read(source, 0, indices, 2, false, x), MB_OK);
    ck_assert(x[0][0] == 10.25f && x[1][0] == 7.0f);
    mb_source_close(source);
    test_npy_write(test_path("c.npy"), "{'descr': '<i4', 'fortran_order': False, 'shape': (6, 3)}",
                   values, sizeof(values));
    ck_assert_int_eq(fails(test_path("?.npy"), 0), MB_ERR_SHAPE);
    test_message_has("c.npy");
    ck_assert_int_eq(fails(test_path("*.none"), 0), MB_ERR_IO);
    char twice[600];
    snprintf(twice, sizeof(twice), "%s\n%s", test_path("a.npy"), test_path("a.npy"));
    ck_assert_int_eq(fails(twice, 0), MB_ERR_ARGUMENT);
    test_message_has("named twice");
}
END_TEST

START_TEST(what_memory_cannot_hold_is_kept_in_a_file_without_a_name)
{
    mb_spool_t spool;
    const char *folder = test_path(".");
    setenv("TMPDIR", folder, 1);
    ck_assert_msg(mb_spool_create_within(1 << 20, 1000, "values", &spool) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_int_eq(spool.mapped, 1 << 20);
    memset(spool.bytes, 3, 1 << 20);
    ck_assert_int_eq(spool.bytes[(1 << 20) - 1], 3);
    mb_spool_free(&spool);
    ck_assert_ptr_null(spool.bytes);
    setenv("TMPDIR", test_path("missing"), 1);
    ck_assert_int_eq(mb_spool_create_within(1 << 20, 1000, "values", &spool), MB_ERR_IO);
    test_message_has("set TMPDIR");
    unsetenv("TMPDIR");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("npy");
    TCase *t = tcase_create("npy");
    tcase_add_checked_fixture(t, NULL, test_remove_folder);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, pairs_folders_and_archives_give_the_same_values);
    tcase_add_loop_test(t, integers_of_each_type_and_byte_order_are_read, 0,
                        (int)(sizeof(types) / sizeof(types[0])));
    tcase_add_test(t, floats_of_each_type_and_byte_order_are_read);
    tcase_add_test(t, a_header_of_version_2_has_a_length_of_four_bytes);
    tcase_add_test(t, what_no_training_can_use_is_refused_by_name);
    tcase_add_test(t, one_array_has_no_targets_and_says_how_to_name_them);
    tcase_add_test(t, a_member_that_claims_more_than_it_can_hold_is_refused);
    tcase_add_test(t, a_damaged_member_is_named_with_its_place);
    tcase_add_loop_test(t, changed_bytes_are_an_error_or_other_numbers_but_no_crash, 0, 4);
    tcase_add_test(t, files_of_one_structure_are_joined_in_the_order_of_their_names);
    tcase_add_test(t, what_memory_cannot_hold_is_kept_in_a_file_without_a_name);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
