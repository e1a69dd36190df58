/* Tables: quotes, headers, types, words, what is missing or wrong and where. */
#define _XOPEN_SOURCE 700
#include "data/cell.h"
#include "data/convert.h"
#include "data/hdf5_words.h"
#include "support/data_files.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static const mb_shape_t two = {1, {2}};

static const char *put(const char *name, const char *text)
{
    test_file_write(test_path(name), text, strlen(text));
    return test_path(name);
}

static mb_status_t open_as(const char *path, const mb_shape_t *shape, const char *label,
                           const mb_vocabularies_t *known, mb_source_t **out)
{
    mb_source_wants_t wants = test_wants("in", shape, label == NULL ? 0 : 1);
    wants.form.label = label;
    wants.form.known = known;
    *out = NULL;
    return mb_source_open(path, &wants, out);
}

static mb_source_t *open_table(const char *path, const mb_shape_t *shape, const char *label)
{
    mb_source_t *source;
    ck_assert_msg(open_as(path, shape, label, NULL, &source) == MB_OK, "%s", mb_error_get());
    return source;
}

static void fails(const char *path, const char *label, mb_status_t wanted, const char *message)
{
    mb_source_t *source;
    mb_status_t status = open_as(path, &two, label, NULL, &source);
    ck_assert_msg(status == wanted, "%d: %s", (int)status, status == MB_OK ? "" : mb_error_get());
    test_message_has(message);
}

static void check_x(mb_source_t *source, int64_t sample, float a, float b)
{
    float x[2];
    int field = mb_source_field(source, "x");
    ck_assert_msg(source->class_->read(source, field, &sample, 1, false, x) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_msg(x[0] == a && x[1] == b, "%g %g, not %g %g", (double)x[0], (double)x[1], (double)a,
                  (double)b);
}

static int32_t label_of(mb_source_t *source, int64_t sample)
{
    int32_t y = -1;
    int field = mb_source_field(source, "y");
    ck_assert_msg(source->class_->read(source, field, &sample, 1, true, &y) == MB_OK, "%s",
                  mb_error_get());
    return y;
}

START_TEST(a_table_gives_features_in_order_and_words_as_integers)
{
    const char *path = put("t.csv", "a,kind,b\n1.5,dog,2\n-3e2,cat,4\n0.25,dog,6\n");
    mb_source_t *source = open_table(path, &two, "kind");
    ck_assert_int_eq(source->samples, 3);
    check_x(source, 0, 1.5f, 2);
    check_x(source, 1, -300, 4);
    ck_assert_int_eq(label_of(source, 0), 1);
    ck_assert_int_eq(label_of(source, 1), 0);
    ck_assert_int_eq(source->fields[mb_source_field(source, "y")].classes, 2);
    ck_assert_str_eq(mb_vocabularies_find(&source->words, "y")->words[1], "dog");
    mb_source_close(source);
}
END_TEST

START_TEST(labels_are_named_by_name_place_or_place_from_the_end)
{
    const char *path = put("t.csv", "a,b,2\n1,2,0\n3,4,1\n");
    static const char *const labels[] = {"2", "-1"};
    for (int i = 0; i < 2; i++) {
        mb_source_t *source = open_table(path, &two, labels[i]);
        check_x(source, 1, 3, 4);
        ck_assert_int_eq(label_of(source, 1), 1);
        mb_source_close(source);
    }
    mb_source_t *source = open_table(path, &two, "0");
    ck_assert_int_eq(label_of(source, 1), 3);
    mb_source_close(source);
    fails(path, "c", MB_ERR_ARGUMENT, "there is no column 'c'");
    fails(path, "3", MB_ERR_ARGUMENT, "'a', 'b', '2'");
}
END_TEST

START_TEST(a_first_line_with_numbers_over_numbers_and_words_over_words_is_no_header)
{
    mb_source_t *source = open_table(put("t.csv", "1,2,x\n3,4,y\n"), &two, "-1");
    ck_assert_int_eq(source->samples, 2);
    check_x(source, 0, 1, 2);
    mb_source_close(source);
}
END_TEST

typedef struct {
    const char *name, *text;
} form_t;

static const form_t forms[] = {
    {"t.csv", "a,b,y\r\n1,2,0\r\n3,4,1\r\n"},
    {"t.csv", "\xEF\xBB\xBF"
              "a,b,y\n1,2,0\n3,4,1"},
    {"t.csv", "\"a\",\"b\",\"y\"\n\"1\",\"2\",\"0\"\n\"3\",\"4\",\"1\"\n"},
    {"t.csv", "\"a, or \"\"one\"\"\n\",b,y\n 1 , 2,0\n\n3,4 ,1\n\n"},
    {"t.csv", "a;b;y\n1;2;0\n3;4;1\n"},
    {"t.csv", "a\tb\ty\n1\t2\t0\n3\t4\t1\n"},
    {"t.tsv", "a,1\tb\ty\n1\t2\t0\n3\t4\t1\n"},
    {"t.CSV", "a,b,y\n+1,2.,0\n3e0,.4e1,1\n"},
    {"t.tab", "a\tb\ty\n1\t2\t0\n0.3e+1\t40E-1\t1\n"}};

START_TEST(each_form_of_a_table_gives_the_same)
{
    mb_source_t *source = open_table(put(forms[_i].name, forms[_i].text), &two, "y");
    ck_assert_int_eq(source->samples, 2);
    check_x(source, 0, 1, 2);
    check_x(source, 1, 3, 4);
    ck_assert_int_eq(label_of(source, 1), 1);
    mb_source_close(source);
}
END_TEST

static const struct {
    const char *text, *message;
} faults[] = {
    {"a,b,y\n1,2,0\n3,,1\n", "line 3, column 'b' (number 1): the value is missing; fill it in"},
    {"a,b,y\n1,2,0\n3,NA,1\n", "line 3, column 'b' (number 1): the value is missing ('NA')"},
    {"a,b,y\nnan,2,0\n3,4,1\n", "line 2, column 'a' (number 0): the value is missing ('nan')"},
    {"a,b,y\n1,2,0\n3,12O,1\n", "line 3, column 'b' (number 1): '12O' is no number, but"},
    {"a,b,y\n1,\"2,5\",0\n", "'2,5' is a number with a comma"},
    {"a,b,y\n1,1e39,0\n", "too large for float32"},
    {"a,b,y\n1,2\n", "line 2 has 2 cells where the first line has 3"},
    {"a,b,y\n1,2,0\n3,4,1,5\n", "line 3 has 4 cells"},
    {"a,b,y\n1,2,\"0\n3,4,1\n", "line 2, column 3: the file ends inside a quoted cell"},
    {"a,b,y\n1,2,\"0\"1\n", "line 2, column 3: text behind the closing quote"},
    {"a,b,y\n1,2\"5,0\n", "line 2, column 2: a quote inside a cell"},
    {",b,y\n1,2,0\n", "column number 0 has no name"},
    {"a,a,y\n1,2,0\n", "columns 0 and 1 are both named 'a'"},
    {"a,b,y\n", "a header, but no rows"},
    {"\n\n", "the table is empty"},
    {"a,b,c,y\n1,2,3,0\n", "3 columns of features, but the model's input 'in' takes (2,)"}};

START_TEST(what_is_wrong_is_told_with_line_and_column)
{
    const char *path = put("t.csv", faults[_i].text);
    mb_source_t *source;
    ck_assert_int_ne(open_as(path, &two, "y", NULL, &source), MB_OK);
    test_message_has("t.csv: ");
    test_message_has(faults[_i].message);
}
END_TEST

START_TEST(a_zero_byte_is_no_text)
{
    test_file_write(test_path("t.csv"), "a,b,y\n1,\0,2\n", 12);
    fails(test_path("t.csv"), "y", MB_ERR_DATA, "line 2, column 2: a zero byte");
}
END_TEST

START_TEST(missing_words_among_words_are_words)
{
    mb_source_t *source = open_table(put("t.csv", "a,b,y\n1,2,NA\n3,4,DE\n5,6,NA\n"), &two, "y");
    ck_assert_int_eq(label_of(source, 0), 1);
    ck_assert_int_eq(label_of(source, 1), 0);
    mb_source_close(source);
}
END_TEST

START_TEST(data_that_goes_with_other_data_has_its_words)
{
    mb_source_t *train = open_table(put("t.csv", "a,b,y\n1,2,cat\n3,4,dog\n5,6,emu\n"), &two, "y");
    mb_source_t *val;
    put("v.csv", "a,b,y\n1,2,emu\n");
    ck_assert_int_eq(open_as(test_path("v.csv"), &two, "y", &train->words, &val), MB_OK);
    ck_assert_int_eq(label_of(val, 0), 2);
    ck_assert_int_eq(val->fields[mb_source_field(val, "y")].classes, 3);
    mb_source_close(val);
    put("v.csv", "a,b,y\n1,2,emu\n1,2,fox\n");
    ck_assert_int_eq(open_as(test_path("v.csv"), &two, "y", &train->words, &val), MB_ERR_DATA);
    test_message_has("line 3, column 'y' (number 2): 'fox' is none of the 3 words");
    put("v.csv", "a,b,y\nx,2,emu\n");
    ck_assert_int_eq(open_as(test_path("v.csv"), &two, "y", &train->words, &val), MB_ERR_DATA);
    test_message_has("'x' is no number, as the data that this goes with has here");
    mb_source_close(train);
}
END_TEST

START_TEST(words_survive_the_run_s_record)
{
    mb_source_t *source =
        open_table(put("t.csv", "a,b,y\nu,2,\"c\"\"\n\"\nv,4,d\xC3\xA4\n"), &two, "y");
    mb_vocabularies_t back;
    char *text = mb_vocabularies_text(&source->words);
    ck_assert_msg(mb_vocabularies_parse(text, "here", &back) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(back.n, 2);
    for (int i = 0; i < 2; i++)
        ck_assert(mb_vocabulary_equal(back.items[i],
                                      mb_vocabularies_find(&source->words, back.items[i]->name)));
    ck_assert_str_eq(mb_vocabularies_find(&back, "y")->words[0], "c\"\n");
    ck_assert_ptr_nonnull(mb_vocabularies_find(&back, "x.0"));
    mb_vocabularies_free(&back);
    free(text);
    mb_source_close(source);
}
END_TEST

START_TEST(several_tables_share_their_words)
{
    put("1.csv", "a,b,y\n1,2,dog\n");
    put("2.csv", "a,b,y\n3,4,cat\n");
    mb_source_t *source = open_table(test_path("?.csv"), &two, "y");
    ck_assert_int_eq(source->samples, 2);
    check_x(source, 1, 3, 4);
    ck_assert_int_eq(label_of(source, 0), 1);
    ck_assert_int_eq(label_of(source, 1), 0);
    mb_source_close(source);
    put("2.csv", "a,c,y\n3,4,cat\n");
    fails(test_path("?.csv"), "y", MB_ERR_DATA, "2.csv: line 1: column number 1 is 'c' where");
}
END_TEST

START_TEST(gzip_is_read_and_its_damage_told)
{
    static unsigned char bytes[4096];
    gzFile file = gzopen(test_path("t.csv.gz"), "wb");
    gzputs(file, "a,b,y\n");
    for (int i = 0; i < 500; i++)
        gzprintf(file, "%d,%d,%d\n", i * i, i * 7919, i % 3);
    gzclose(file);
    mb_source_t *source = open_table(test_path("t.csv.gz"), &two, "y");
    ck_assert_int_eq(source->samples, 500);
    check_x(source, 30, 900, 30 * 7919);
    mb_source_close(source);
    size_t size = test_file_read(test_path("t.csv.gz"), bytes, sizeof(bytes));
    test_file_write(test_path("t.csv.gz"), bytes, size - 40);
    fails(test_path("t.csv.gz"), "y", MB_ERR_FORMAT, "the gzip data are truncated or damaged");
}
END_TEST

START_TEST(features_in_the_number_of_an_image_have_its_shape)
{
    const mb_shape_t image = {3, {2, 2, 1}};
    mb_source_t *source = open_table(put("t.csv", "y,1,2,3,4\n7,1,2,3,4\n"), &image, "y");
    ck_assert(mb_shape_equal(&source->fields[mb_source_field(source, "x")].shape, &image));
    mb_source_close(source);
}
END_TEST

START_TEST(several_inputs_and_outputs_are_columns_by_name)
{
    const char *const inputs[] = {"age", "town"}, *const outputs[] = {"pay", "late"};
    const mb_shape_t shapes[] = {{1, {1}}, {1, {1}}};
    mb_source_wants_t wants = {2, 2, inputs, outputs, shapes, {NULL}};
    const char *path = put("t.csv", "note,town,age,late,pay\n,B,31,0,1.5\n,A,44,1,2.5\n");
    mb_source_t *source;
    int in[2], out[2];
    float value;
    const int64_t sample = 1;
    ck_assert_msg(mb_source_open(path, &wants, &source) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(mb_source_match(source, &wants, in, out), MB_OK);
    ck_assert_int_eq(source->class_->read(source, in[0], &sample, 1, false, &value), MB_OK);
    ck_assert(value == 44.0f);
    ck_assert_int_eq(source->class_->read(source, in[1], &sample, 1, false, &value), MB_OK);
    ck_assert(value == 0.0f);
    ck_assert_int_eq(source->class_->read(source, out[0], &sample, 1, false, &value), MB_OK);
    ck_assert(value == 2.5f);
    mb_source_close(source);
    wants.form.label = "pay";
    ck_assert_int_eq(mb_source_open(path, &wants, &source), MB_ERR_ARGUMENT);
    test_message_has("the model has 2 outputs");
}
END_TEST

/* The C library's strtod rounds to the nearest double; random digits, points and exponents. */
START_TEST(numbers_are_the_nearest_doubles)
{
    srand(7);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        double value = 0;
        int n = snprintf(text, sizeof(text), "%s%d%0*d.%0*de%d", rand() % 2 ? "-" : "",
                         rand() % 1000, 1 + rand() % 9, rand() % 10, 1 + rand() % 12,
                         rand() % 100000, rand() % 60 - 30);
        ck_assert_int_eq(mb_cell_read(text, (size_t)n, &value), MB_CELL_NUMBER);
        ck_assert_msg(value == strtod(text, NULL), "%s: %.17g, not %.17g", text, value,
                      strtod(text, NULL));
    }
}
END_TEST

START_TEST(what_is_no_number_is_none)
{
    static const struct {
        const char *text;
        mb_cell_t wanted;
    } cases[] = {{"", MB_CELL_EMPTY},       {"0x10", MB_CELL_TEXT},   {"1e", MB_CELL_TEXT},
                 {".", MB_CELL_TEXT},       {"+", MB_CELL_TEXT},      {"1.2.3", MB_CELL_TEXT},
                 {"inf", MB_CELL_TEXT},     {"NaN", MB_CELL_MISSING}, {"-", MB_CELL_MISSING},
                 {"1,5", MB_CELL_COMMA},    {"1 000", MB_CELL_TEXT},  {"e5", MB_CELL_TEXT},
                 {"1e400", MB_CELL_NUMBER}, {"007", MB_CELL_NUMBER},  {"N/A", MB_CELL_MISSING}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double value;
        ck_assert_msg(mb_cell_read(cases[i].text, strlen(cases[i].text), &value) == cases[i].wanted,
                      "'%s'", cases[i].text);
    }
}
END_TEST

static void convert(const char *input, const mb_data_options_t *options, mb_data_summary_t *summary)
{
    const char *const inputs[] = {input};
    ck_assert_msg(mb_data_convert(inputs, 1, test_path("out.h5"), options, summary) == MB_OK, "%s",
                  mb_error_get());
}

START_TEST(a_data_file_of_a_table_gives_the_same_and_keeps_the_words)
{
    mb_data_summary_t summary;
    mb_data_options_t options = {.label = "kind"};
    const char *path = put("t.csv", "a,kind,b\n1.5,dog,2\n-3,cat,4\n0.25,dog,6\n");
    convert(path, &options, &summary);
    ck_assert(summary.samples == 3 && summary.classes == 2 && summary.has_labels);
    mb_source_t *source;
    ck_assert_int_eq(open_as(test_path("out.h5"), &two, "", NULL, &source), MB_OK);
    check_x(source, 2, 0.25f, 6);
    ck_assert_int_eq(label_of(source, 0), 1);
    ck_assert_str_eq(mb_vocabularies_find(&source->words, "y")->words[0], "cat");
    ck_assert_int_eq(source->fields[mb_source_field(source, "y")].classes, 2);
    mb_source_close(source);
    rename(test_path("out.h5"), test_path("first.h5"));
    options.like = test_path("first.h5");
    convert(put("v.csv", "a,kind,b\n1,dog,2\n"), &options, &summary);
    ck_assert_int_eq(open_as(test_path("out.h5"), &two, "", NULL, &source), MB_OK);
    ck_assert_int_eq(label_of(source, 0), 1);
    mb_source_close(source);
}
END_TEST

static void read_doubles(const char *name, double *to)
{
    hid_t file = H5Fopen(test_path("out.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    ck_assert_int_ge(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, to), 0);
    H5Dclose(dataset);
    H5Fclose(file);
}

START_TEST(a_data_file_of_columns_serves_a_model_with_an_input_a_column)
{
    const char *const names[] = {"age", "town"}, *const outputs[] = {"pay"};
    const mb_shape_t shapes[] = {{1, {1}}, {1, {1}}};
    const mb_source_wants_t wants = {2, 1, names, outputs, shapes, {NULL}};
    mb_data_summary_t summary;
    const mb_data_options_t options = {.label = "pay", .columns = true, .normalize = true};
    mb_source_t *source;
    int in[2], out[1];
    int32_t town;
    double mean;
    const int64_t sample = 1;
    convert(put("t.csv", "town,age,pay\nB,31,1.5\nA,44,2.5\n"), &options, &summary);
    ck_assert_int_eq(summary.n_datasets, 3);
    ck_assert_msg(mb_source_open(test_path("out.h5"), &wants, &source) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_int_eq(mb_source_match(source, &wants, in, out), MB_OK);
    ck_assert_int_eq(source->class_->read(source, in[1], &sample, 1, true, &town), MB_OK);
    ck_assert_int_eq(town, 0);
    ck_assert_str_eq(mb_vocabularies_find(&source->words, "town")->words[1], "B");
    mb_source_close(source);
    read_doubles("age_mean", &mean);
    ck_assert(mean == 37.5);
    const char *const inputs[] = {put("t.csv", "a/b,pay\n1,2\n")};
    ck_assert_int_eq(mb_data_convert(inputs, 1, test_path("out.h5"), &options, &summary),
                     MB_ERR_DATA);
    test_message_has("a dataset cannot be called 'a/b'");
}
END_TEST

/* n values of size s: sums of n terms in double err by at most n eps s, squares by n eps s^2; here
 * n = 4000 and the mean, 1e6, is 1e6 deviations, where the textbook's E[x^2] - E[x]^2 would be
 * lost. */
START_TEST(means_and_variances_are_those_of_all_samples)
{
    enum { N = 4000 };
    static char text[N * 32];
    mb_data_summary_t summary;
    const mb_data_options_t options = {.label = "y", .normalize = true};
    double mean[2], variance[2], sum = 0, squares = 0;
    size_t at = (size_t)sprintf(text, "a,b,y\n");
    for (int i = 0; i < N; i++)
        at += (size_t)sprintf(text + at, "%d.%d,%d,0\n", 1000000, 5 * (i % 2), i);
    convert(put("t.csv", text), &options, &summary);
    ck_assert(summary.normalized);
    read_doubles("mean", mean);
    read_doubles("variance", variance);
    for (int i = 0; i < N; i++)
        sum += i;
    for (int i = 0; i < N; i++)
        squares += (i - sum / N) * (i - sum / N);
    const double eps = 0x1p-53;
    ck_assert(fabs(mean[0] - 1000000.25) <= N * eps * 1e6);
    ck_assert(fabs(variance[0] - 0.0625) <= N * eps * 1e6);
    ck_assert(fabs(mean[1] - sum / N) <= N * eps * N);
    ck_assert(fabs(variance[1] - squares / N) <= N * eps * N * N);
}
END_TEST

START_TEST(options_that_would_do_nothing_are_refused)
{
    mb_data_summary_t summary;
    const char *const inputs[] = {put("t.txt", "words")};
    const mb_data_options_t options[] = {{.label = "a"},
                                         {.columns = true},
                                         {.image_size = {1, 1, 0}},
                                         {.like = "x.h5"},
                                         {.normalize = true}};
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(mb_data_convert(inputs, 1, test_path("out.h5"), &options[i], &summary),
                         MB_ERR_ARGUMENT);
    const char *const table[] = {put("t.csv", "a\n1\n")};
    const mb_data_options_t text = {.text = true};
    ck_assert_int_eq(mb_data_convert(table, 1, test_path("out.h5"), &text, &summary), MB_OK);
    ck_assert(summary.is_tokens && summary.samples == 4);
    const char *const unknown[] = {put("t.dat", "a\n1\n")};
    ck_assert_int_eq(mb_data_convert(unknown, 1, test_path("out.h5"), NULL, &summary),
                     MB_ERR_FORMAT);
    test_message_has("--text reads it as text");
}
END_TEST

/* The sanitizers watch. */
START_TEST(changed_bytes_are_an_error_or_other_values_but_no_crash)
{
    static const char good[] =
        "a,b,y\n1,2,cat\n3,4.5e1,\"d\"\"og\"\n5,6,cat\n7,-8,emu\n\"9\",10,cat\n";
    static const char odd[] = ",\"\n\r;\t\0.-e5 x";
    char bad[sizeof(good)];
    srand(40 + (unsigned)_i);
    for (int round = 0; round < 500; round++) {
        mb_source_t *source;
        memcpy(bad, good, sizeof(good));
        for (int k = rand() % 3; k >= 0; k--)
            bad[(size_t)rand() % (sizeof(good) - 1)] = odd[(size_t)rand() % (sizeof(odd) - 1)];
        test_file_write(test_path("bad.csv"), bad,
                        rand() % 4 == 0 ? 1 + (size_t)rand() % (sizeof(good) - 1)
                                        : sizeof(good) - 1);
        if (open_as(test_path("bad.csv"), &two, "-1", NULL, &source) != MB_OK) {
            ck_assert(strstr(mb_error_get(), "bad.csv") != NULL);
            continue;
        }
        for (int64_t i = 0; i < source->samples; i++) {
            float x[2];
            ck_assert_int_eq(
                source->class_->read(source, mb_source_field(source, "x"), &i, 1, false, x), MB_OK);
        }
        mb_source_close(source);
    }
}
END_TEST

int main(void)
{
    H5dont_atexit();
    Suite *s = suite_create("table");
    TCase *t = tcase_create("table");
    tcase_add_checked_fixture(t, NULL, test_remove_folder);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_table_gives_features_in_order_and_words_as_integers);
    tcase_add_test(t, labels_are_named_by_name_place_or_place_from_the_end);
    tcase_add_test(t, a_first_line_with_numbers_over_numbers_and_words_over_words_is_no_header);
    tcase_add_loop_test(t, each_form_of_a_table_gives_the_same, 0,
                        (int)(sizeof(forms) / sizeof(forms[0])));
    tcase_add_loop_test(t, what_is_wrong_is_told_with_line_and_column, 0,
                        (int)(sizeof(faults) / sizeof(faults[0])));
    tcase_add_test(t, a_zero_byte_is_no_text);
    tcase_add_test(t, missing_words_among_words_are_words);
    tcase_add_test(t, data_that_goes_with_other_data_has_its_words);
    tcase_add_test(t, words_survive_the_run_s_record);
    tcase_add_test(t, several_tables_share_their_words);
    tcase_add_test(t, gzip_is_read_and_its_damage_told);
    tcase_add_test(t, features_in_the_number_of_an_image_have_its_shape);
    tcase_add_test(t, several_inputs_and_outputs_are_columns_by_name);
    tcase_add_test(t, numbers_are_the_nearest_doubles);
    tcase_add_test(t, what_is_no_number_is_none);
    tcase_add_test(t, a_data_file_of_a_table_gives_the_same_and_keeps_the_words);
    tcase_add_test(t, a_data_file_of_columns_serves_a_model_with_an_input_a_column);
    tcase_add_test(t, means_and_variances_are_those_of_all_samples);
    tcase_add_test(t, options_that_would_do_nothing_are_refused);
    tcase_add_loop_test(t, changed_bytes_are_an_error_or_other_values_but_no_crash, 0, 4);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
