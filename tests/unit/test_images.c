/* Folders of images: what each format gives, sizes, classes, and what is damaged. */
#define _XOPEN_SOURCE 700
#include "data/convert.h"
#include "data/image.h"
#include "data/image_cache.h"
#include "data/pool.h"
#include "data/resize.h"
#include "support/data_files.h"
#include "support/image_files.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { H = 5, W = 7 };

static unsigned char pixels[H * W * 4 * 2];

static void make_pixels(unsigned seed)
{
    srand(seed);
    for (size_t i = 0; i < sizeof(pixels); i++)
        pixels[i] = (unsigned char)rand();
}

static const unsigned char *decode(const char *path, int channels, mb_image_t *image)
{
    static unsigned char bytes[1 << 16];
    size_t size = test_file_read(path, bytes, sizeof(bytes));
    ck_assert_msg(mb_image_decode(path, bytes, size, channels, image) == MB_OK, "%s",
                  mb_error_get());
    ck_assert(image->height == H && image->width == W);
    return image->pixels.bytes;
}

/* One pixel of a PNG as (red, green, blue, opacity). */
static void truth(const test_png_t *p, int i, int rgba[4])
{
    int step = p->bits == 16 ? 2 : 1, n = p->channels;
    const unsigned char *at = p->pixels + (size_t)(i * n * step);
    rgba[0] = rgba[1] = rgba[2] = at[0];
    rgba[3] = n == 2 ? at[step] : n == 4 ? at[3 * step] : 255;
    for (int k = 0; k < 3 && n >= 3; k++)
        rgba[k] = at[k * step];
    if (p->palette) {
        rgba[0] = at[0];
        rgba[1] = 255 - at[0];
        rgba[2] = 7 * at[0] & 255;
    }
}

static int grey_of(const int rgba[4])
{
    return (int)floor(0.299 * rgba[0] + 0.587 * rgba[1] + 0.114 * rgba[2] + 0.5);
}

static const test_png_t pngs[] = {
    {H, W, 1, 8, false, false, pixels},  {H, W, 1, 16, false, false, pixels},
    {H, W, 2, 8, false, true, pixels},   {H, W, 3, 8, false, false, pixels},
    {H, W, 3, 16, false, true, pixels},  {H, W, 4, 8, false, false, pixels},
    {H, W, 4, 16, false, false, pixels}, {H, W, 1, 8, true, true, pixels}};

START_TEST(each_form_of_png_gives_each_number_of_channels)
{
    const test_png_t *p = &pngs[_i];
    static const int wanted[] = {1, 3, 4};
    mb_image_t image = {0, 0, {NULL, 0}};
    make_pixels(11);
    test_png_write(test_path("a.png"), p);
    for (int k = 0; k < 3; k++) {
        const unsigned char *got = decode(test_path("a.png"), wanted[k], &image);
        for (int i = 0; i < H * W; i++) {
            int rgba[4];
            truth(p, i, rgba);
            /* The fixed-point sum of a grey may differ by one from the rounded one. */
            if (wanted[k] == 1)
                ck_assert_int_le(abs(got[i] - grey_of(rgba)),
                                 p->channels < 3 && !p->palette ? 0 : 1);
            for (int c = 0; c < wanted[k] && wanted[k] > 1; c++)
                ck_assert_int_eq(got[i * wanted[k] + c], rgba[c]);
        }
    }
    mb_image_free(&image);
}
END_TEST

START_TEST(grey_of_few_bits_spans_all_values)
{
    static const unsigned char rows[H] = {0xB0, 0xB0, 0xB0, 0xB0, 0xB0}; /* 1011 0000 */
    const test_png_t png = {H, W, 1, 1, false, false, rows};
    mb_image_t image = {0, 0, {NULL, 0}};
    test_png_write(test_path("a.png"), &png);
    const unsigned char *got = decode(test_path("a.png"), 1, &image);
    ck_assert(got[0] == 255 && got[1] == 0 && got[2] == 255 && got[3] == 255 && got[4] == 0);
    mb_image_free(&image);
}
END_TEST

static void write_jpeg(const char *name, int channels, bool progressive)
{
    const test_jpeg_t image = {H, W, channels, 100, progressive, pixels};
    test_jpeg_write(test_path(name), &image);
}

/* Quality 100 keeps a smooth image within a few steps: rounding of the transform's coefficients and
 * of the colours, each half a step, both ways. */
START_TEST(jpeg_gives_each_number_of_channels)
{
    static const int wanted[] = {1, 3, 4};
    mb_image_t image = {0, 0, {NULL, 0}};
    bool progressive = _i == 1;
    for (int source = 1; source <= 3; source += 2) {
        for (int i = 0; i < H * W * source; i++)
            pixels[i] = (unsigned char)(100 + i / source % W);
        write_jpeg("a.jpg", source, progressive);
        for (int k = 0; k < 3; k++) {
            const unsigned char *got = decode(test_path("a.jpg"), wanted[k], &image);
            for (int i = 0; i < H * W * wanted[k]; i++) {
                bool opacity = wanted[k] == 4 && i % 4 == 3;
                ck_assert_int_le(abs(got[i] - (opacity ? 255 : 100 + i / wanted[k] % W)),
                                 opacity ? 0 : 4);
            }
        }
    }
    memset(pixels, 255, sizeof(pixels)); /* no ink, as libjpeg writes it: Adobe's inverted */
    write_jpeg("a.jpg", 4, progressive);
    ck_assert_int_ge(decode(test_path("a.jpg"), 3, &image)[0], 251);
    mb_image_free(&image);
}
END_TEST

/* TensorFlow's definition in plain loops and double. */
static double bilinear(int h, int w, int c, int k, double y, double x)
{
    int y0 = (int)floor(y), x0 = (int)floor(x);
    double fy = y - y0, fx = x - x0, sum = 0;
    for (int dy = 0; dy < 2; dy++) {
        for (int dx = 0; dx < 2; dx++) {
            int at_y = y0 + dy < 0 ? 0 : y0 + dy >= h ? h - 1 : y0 + dy;
            int at_x = x0 + dx < 0 ? 0 : x0 + dx >= w ? w - 1 : x0 + dx;
            sum += (dy ? fy : 1 - fy) * (dx ? fx : 1 - fx) * pixels[(at_y * w + at_x) * c + k];
        }
    }
    return sum;
}

/* A coordinate is a product and a sum in float32 of numbers up to 16, so it errs by 16 eps twice;
 * values change by up to 255 a pixel, and three interpolations round values up to 255: below (2 * 2
 * * 16 + 6) * 255 eps, with eps = 2^-24. */
#define RESIZE_TOLERANCE (70 * 255 * 0x1p-24)

START_TEST(resizing_is_bilinear_with_half_pixel_centers)
{
    mb_image_buffer_t columns = {NULL, 0};
    static float to[16 * 16 * 4];
    srand(60 + (unsigned)_i);
    for (int round = 0; round < 20; round++) {
        int h = 1 + rand() % 8, w = 1 + rand() % 8, c = (int[]){1, 3, 4}[rand() % 3];
        mb_image_size_t size = {1 + rand() % 16, 1 + rand() % 16, c, rand() % 2 == 1};
        make_pixels((unsigned)(1000 * _i + round));
        const mb_image_t from = {h, w, {pixels, sizeof(pixels)}};
        ck_assert_int_eq(mb_image_resize(&from, &size, &columns, "", to), MB_OK);
        for (int64_t i = 0; i < size.height * size.width * c; i++) {
            int64_t k = i % c, x = i / c % size.width, y = i / c / size.width;
            int64_t at = size.channels_first ? (k * size.height + y) * size.width + x : i;
            double sy = ((double)y + 0.5) * h / (double)size.height - 0.5;
            double sx = ((double)x + 0.5) * w / (double)size.width - 0.5;
            ck_assert(fabs((double)to[at] - bilinear(h, w, c, (int)k, sy, sx)) <= RESIZE_TOLERANCE);
        }
    }
    free(columns.bytes);
}
END_TEST

static void put_folder(const char *name)
{
    mkdir(test_path(name), 0777);
}

static void put_png(const char *name, int h, int w, unsigned char first)
{
    make_pixels(first);
    pixels[0] = first;
    const test_png_t png = {h, w, 3, 8, false, false, pixels};
    test_png_write(test_path(name), &png);
}

static void make_folder(void)
{
    put_folder("set");
    put_folder("set/cat");
    put_folder("set/cat/old");
    put_folder("set/ant");
    put_folder("set/.hidden");
    put_png("set/cat/2.png", H, W, 2);
    put_png("set/cat/10.PNG", H, W, 10);
    put_png("set/cat/old/3.png", H, W, 3);
    put_png("set/ant/9.png", H, W, 9);
    put_png("set/stray.png", H, W, 1);
    put_png("set/.hidden/4.png", H, W, 4);
    test_file_write(test_path("set/cat/notes.txt"), "x", 1);
    ck_assert_int_eq(symlink("..", test_path("set/cat/circle")), 0);
}

static int64_t cache_bytes; /* of the sources that are opened */

static mb_status_t open_as(const char *path, mb_shape_t shape, const mb_vocabularies_t *known,
                           mb_source_t **out)
{
    mb_source_wants_t wants = test_wants("in", &shape, 1);
    wants.form.known = known;
    wants.form.image_cache = cache_bytes;
    *out = NULL;
    return mb_source_open(path, &wants, out);
}

static const mb_shape_t coloured = {3, {H, W, 3}};

START_TEST(classes_and_images_come_in_keras_order)
{
    static const float firsts[] = {9, 10, 2, 3};
    static const int32_t classes[] = {0, 1, 1, 1};
    const int64_t all[] = {0, 1, 2, 3};
    static float x[4][H * W * 3];
    int32_t y[4];
    mb_source_t *source;
    make_folder();
    ck_assert_msg(open_as(test_path("set"), coloured, NULL, &source) == MB_OK, "%s",
                  mb_error_get());
    ck_assert_int_eq(source->samples, 4);
    ck_assert_msg(source->class_->read(source, 0, all, 4, false, x) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(source->class_->read(source, 1, all, 4, true, y), MB_OK);
    for (int i = 0; i < 4; i++)
        ck_assert(x[i][0] == firsts[i] && y[i] == classes[i]);
    ck_assert_int_eq(source->fields[1].classes, 2);
    ck_assert_str_eq(source->words.items[0]->words[0], "ant");
    mb_source_close(source);
}
END_TEST

START_TEST(a_folder_that_goes_with_another_has_its_classes)
{
    const int64_t first = 0;
    int32_t y;
    mb_source_t *train, *val;
    make_folder();
    put_folder("val");
    put_folder("val/cat");
    put_png("val/cat/1.png", H, W, 1);
    ck_assert_int_eq(open_as(test_path("set"), coloured, NULL, &train), MB_OK);
    ck_assert_int_eq(open_as(test_path("val"), coloured, &train->words, &val), MB_OK);
    ck_assert_int_eq(val->class_->read(val, 1, &first, 1, true, &y), MB_OK);
    ck_assert_int_eq(y, 1);
    mb_source_close(val);
    put_folder("val/dog");
    ck_assert_int_eq(open_as(test_path("val"), coloured, &train->words, &val), MB_ERR_DATA);
    test_message_has("no class 'dog'");
    mb_source_close(train);
}
END_TEST

START_TEST(inputs_that_images_do_not_serve_are_refused)
{
    static const struct {
        mb_shape_t shape;
        const char *message;
    } cases[] = {{{1, {9}}, "images serve an input of shape"},
                 {{3, {H, W, 2}}, "images serve an input of shape"},
                 {{3, {MB_OPEN, MB_OPEN, 3}}, "mbrun data FOLDER --size"}};
    mb_source_t *source;
    make_folder();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(open_as(test_path("set"), cases[i].shape, NULL, &source), MB_ERR_SHAPE);
        test_message_has(cases[i].message);
    }
    test_file_write(test_path("set/ant/a.gif"), "GIF89a", 6);
    ck_assert_int_eq(open_as(test_path("set"), coloured, NULL, &source), MB_ERR_UNSUPPORTED);
    test_message_has("ant/a.gif: only PNG and JPEG");
}
END_TEST

/* The width stands at byte 16; the checksum of the header behind it is put right. */
START_TEST(an_image_that_claims_more_pixels_than_it_can_hold_is_refused)
{
    static unsigned char bytes[4096];
    mb_image_t image = {.height = 0};
    make_folder();
    size_t size = test_file_read(test_path("set/cat/2.png"), bytes, sizeof(bytes));
    bytes[17] = bytes[21] = 0;
    bytes[18] = bytes[22] = 0x3f; /* 16 thousand each way */
    unsigned long crc = crc32(0, bytes + 12, 17);
    for (int i = 0; i < 4; i++)
        bytes[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    ck_assert_int_eq(mb_image_decode("b.png", bytes, size, 3, &image), MB_ERR_FORMAT);
    test_message_has("more pixels than it can hold");
    mb_image_free(&image);
}
END_TEST

START_TEST(a_damaged_image_is_named_whichever_thread_meets_it)
{
    static unsigned char bytes[4096];
    static float x[4 * H * W * 3];
    const int64_t all[] = {0, 1, 2, 3};
    mb_source_t *source;
    make_folder();
    size_t size = test_file_read(test_path("set/cat/2.png"), bytes, sizeof(bytes));
    test_file_write(test_path("set/cat/2.png"), bytes, size - 20);
    test_file_write(test_path("set/cat/old/3.png"), "not an image", 12);
    ck_assert_int_eq(open_as(test_path("set"), coloured, NULL, &source), MB_OK);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(source->class_->read(source, 0, all, 4, false, x), MB_ERR_FORMAT);
        test_message_has("set/cat/2.png: the PNG image is truncated or damaged");
    }
    ck_assert_int_eq(source->class_->read(source, 0, all + 3, 1, false, x), MB_ERR_FORMAT);
    test_message_has("3.png: neither a PNG nor a JPEG image");
    mb_source_close(source);
}
END_TEST

START_TEST(a_data_file_of_one_size_keeps_bytes_and_another_size_is_asked_for)
{
    mb_data_summary_t summary;
    mb_data_options_t options = {.normalize = true};
    const int64_t all[] = {0, 1, 2, 3};
    static float x[2][4 * H * W * 3];
    mb_source_t *source;
    make_folder();
    const char *const inputs[] = {test_path("set")};
    ck_assert_msg(mb_data_convert(inputs, 1, test_path("out.h5"), &options, &summary) == MB_OK,
                  "%s", mb_error_get());
    ck_assert(summary.dtype == MB_U8 && summary.classes == 2 && summary.samples == 4);
    const char *const paths[] = {test_path("set"), test_path("out.h5")};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(open_as(paths[i], coloured, NULL, &source), MB_OK);
        ck_assert_int_eq(
            source->class_->read(source, mb_source_field(source, "x"), all, 4, false, x[i]), MB_OK);
        ck_assert_int_eq(source->fields[mb_source_field(source, "y")].classes, 2);
        mb_source_close(source);
    }
    ck_assert_int_eq(memcmp(x[0], x[1], sizeof(x[0])), 0);
    put_png("set/cat/8.png", H, W - 1, 8);
    ck_assert_int_eq(mb_data_convert(inputs, 1, test_path("out.h5"), &options, &summary),
                     MB_ERR_DATA);
    test_message_has("8.png: the image has 5 x 6 pixels");
    test_message_has("--size HEIGHTxWIDTH");
    options.image_size[0] = 4;
    options.image_size[1] = 3;
    options.image_size[2] = 1;
    ck_assert_int_eq(mb_data_convert(inputs, 1, test_path("out.h5"), &options, &summary), MB_OK);
    ck_assert(summary.dtype == MB_F32);
    ck_assert(mb_shape_equal(&summary.shape, &(mb_shape_t){3, {4, 3, 1}}));
}
END_TEST

/* The sanitizers watch. */
START_TEST(changed_bytes_are_an_error_or_other_pixels_but_no_crash)
{
    static unsigned char good[1 << 16], bad[1 << 16];
    static const char *const names[] = {"a.png", "b.png", "c.jpg", "d.jpg"};
    mb_image_t image = {0, 0, {NULL, 0}};
    make_pixels(5);
    test_png_write(test_path(names[0]), &pngs[4]);
    test_png_write(test_path(names[1]), &pngs[7]);
    write_jpeg(names[2], 3, false);
    write_jpeg(names[3], 4, true);
    size_t size = test_file_read(test_path(names[_i]), good, sizeof(good));
    srand(80 + (unsigned)_i);
    for (int round = 0; round < 1500; round++) {
        memcpy(bad, good, size);
        for (int k = rand() % 4; k >= 0; k--)
            bad[8 + (size_t)rand() % (size - 8)] = (unsigned char)rand();
        size_t n = rand() % 8 == 0 ? (size_t)rand() % size : size;
        int channels = (int[]){1, 3, 4}[rand() % 3];
        if (mb_image_decode(names[_i], bad, n, channels, &image) != MB_OK)
            ck_assert(strstr(mb_error_get(), names[_i]) != NULL);
        else
            ck_assert_int_gt(image.height * image.width, 0);
    }
    mb_image_free(&image);
}
END_TEST

typedef struct {
    int64_t done[100];
} pieces_t;

static mb_status_t do_piece(void *user, int worker, int64_t index)
{
    pieces_t *pieces = user;
    ck_assert(worker >= 0 && worker < 3);
    pieces->done[index]++;
    if (index % 10 == 7)
        return mb_error_set(MB_ERR_DATA, "piece %d", (int)index);
    return MB_OK;
}

START_TEST(a_pool_tells_the_lowest_piece_that_failed)
{
    mb_pool_t *pool;
    ck_assert_int_eq(mb_pool_create(3, &pool), MB_OK);
    for (int round = 0; round < 200; round++) {
        pieces_t pieces = {{0}};
        ck_assert_int_eq(mb_pool_run(pool, do_piece, &pieces, round % 7 + 1), MB_OK);
        for (int i = 0; i <= round % 7; i++)
            ck_assert_int_eq(pieces.done[i], 1);
        ck_assert_int_eq(mb_pool_run(pool, do_piece, &pieces, 100), MB_ERR_DATA);
        ck_assert_str_eq(mb_error_get(), "piece 7");
    }
    mb_pool_destroy(pool);
}
END_TEST

enum { KEPT = 5, ASKED = 8, WORDS = 300 };

static mb_status_t put_or_get(void *user, int worker, int64_t index)
{
    mb_image_cache_t *cache = user;
    int64_t image = index % ASKED;
    int32_t values[WORDS], found[WORDS];
    (void)worker;
    for (int i = 0; i < WORDS; i++)
        values[i] = (int32_t)(1000 * image + i);
    if (!mb_image_cache_get(cache, image, found))
        mb_image_cache_put(cache, image, values);
    else if (memcmp(values, found, sizeof(found)) != 0)
        return mb_error_set(MB_ERR_DATA, "image %d", (int)image);
    return MB_OK;
}

START_TEST(a_cache_keeps_what_fits_whichever_thread_brings_it)
{
    int32_t words[WORDS];
    mb_pool_t *pool;
    mb_image_cache_t *cache = mb_image_cache_create(ASKED, sizeof(words), KEPT * sizeof(words) + 9);
    ck_assert_ptr_nonnull(cache);
    ck_assert(!mb_image_cache_get(cache, 3, words));
    ck_assert_int_eq(mb_pool_create(3, &pool), MB_OK);
    ck_assert_msg(mb_pool_run(pool, put_or_get, cache, 40 * ASKED) == MB_OK, "%s", mb_error_get());
    mb_pool_destroy(pool);
    int kept = 0;
    for (int image = 0; image < ASKED; image++)
        kept += mb_image_cache_get(cache, image, words);
    ck_assert_int_eq(kept, KEPT);
    mb_image_cache_destroy(cache);
    ck_assert_ptr_null(mb_image_cache_create(ASKED, sizeof(words), sizeof(words) - 1));
    mb_image_cache_put(NULL, 0, words);
    ck_assert(!mb_image_cache_get(NULL, 0, words));
}
END_TEST

/* What is kept is not looked for in the files again; what is not is. */
START_TEST(kept_images_are_decoded_once)
{
    static float before[4][H * W * 3], after[4][H * W * 3];
    const int64_t all[] = {0, 1, 2, 3};
    mb_source_t *source;
    make_folder();
    cache_bytes = 4 * (int64_t)sizeof(before[0]);
    ck_assert_int_eq(open_as(test_path("set"), coloured, NULL, &source), MB_OK);
    ck_assert_int_eq(source->class_->read(source, 0, all + 1, 2, false, before[1]), MB_OK);
    put_png("set/cat/2.png", H, W, 77);
    put_png("set/cat/old/3.png", H, W, 78);
    ck_assert_int_eq(source->class_->read(source, 0, all, 4, false, after), MB_OK);
    ck_assert_int_eq(memcmp(before[1], after[1], 2 * sizeof(before[0])), 0);
    ck_assert(after[0][0] == 9 && after[3][0] == 78);
    mb_source_close(source);
    cache_bytes = 0;
    ck_assert_int_eq(open_as(test_path("set"), coloured, NULL, &source), MB_OK);
    ck_assert_int_eq(source->class_->read(source, 0, all, 4, false, after), MB_OK);
    put_png("set/cat/2.png", H, W, 79);
    ck_assert_int_eq(source->class_->read(source, 0, all, 4, false, after), MB_OK);
    ck_assert(after[2][0] == 79);
    mb_source_close(source);
}
END_TEST

static void add_tests(TCase *t)
{
    tcase_add_test(t, a_cache_keeps_what_fits_whichever_thread_brings_it);
    tcase_add_loop_test(t, resizing_is_bilinear_with_half_pixel_centers, 0, 5);
    tcase_add_test(t, a_pool_tells_the_lowest_piece_that_failed);
    if (!test_images_can())
        return;
    tcase_add_loop_test(t, each_form_of_png_gives_each_number_of_channels, 0,
                        (int)(sizeof(pngs) / sizeof(pngs[0])));
    tcase_add_test(t, grey_of_few_bits_spans_all_values);
    tcase_add_loop_test(t, jpeg_gives_each_number_of_channels, 0, 2);
    tcase_add_test(t, classes_and_images_come_in_keras_order);
    tcase_add_test(t, a_folder_that_goes_with_another_has_its_classes);
    tcase_add_test(t, inputs_that_images_do_not_serve_are_refused);
    tcase_add_test(t, an_image_that_claims_more_pixels_than_it_can_hold_is_refused);
    tcase_add_test(t, a_damaged_image_is_named_whichever_thread_meets_it);
    tcase_add_test(t, kept_images_are_decoded_once);
    tcase_add_test(t, a_data_file_of_one_size_keeps_bytes_and_another_size_is_asked_for);
    tcase_add_loop_test(t, changed_bytes_are_an_error_or_other_pixels_but_no_crash, 0, 4);
}

int main(void)
{
    H5dont_atexit();
    Suite *s = suite_create("images");
    TCase *t = tcase_create("images");
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
