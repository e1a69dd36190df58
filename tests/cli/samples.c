/* Writes the same samples into the current folder as each kind of data: SAMPLES of 4 numbers with
 * one of 3 classes as s.h5 (hot.h5: a row a class), x.npy and y.npy, s.npz, d.npz, s.csv, s.tsv,
 * half-1.csv and half-2.csv; and images of 6 x 8 pixels as png.h5 and the folders png and jpg. */
#define _XOPEN_SOURCE 700
#include "support/array_files.h"
#include "support/image_files.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SAMPLES = 48,
    WIDTH = 4,
    CLASSES = 3,
    H = 6,
    W = 8,
    IMAGES = 24,
    PIXELS = H * W * 3,
    PHOTO_QUALITY = 95
};

static float x[SAMPLES][WIDTH];
static int32_t y[SAMPLES];
static float rows_of_y[SAMPLES][CLASSES];
static unsigned char pixels[IMAGES][H][W][3];
static int32_t kinds[IMAGES];
static const char *const names[CLASSES] = {"bird", "cat", "dog"};

static void make_samples(void)
{
    srand(3);
    for (int i = 0; i < SAMPLES; i++) {
        y[i] = (int32_t)(i * 7 % CLASSES);
        rows_of_y[i][y[i]] = 1.0f;
        for (int j = 0; j < WIDTH; j++)
            x[i][j] = (float)rand() / (float)RAND_MAX - 0.5f + (float)(j == y[i]);
    }
}

/* The images of a class follow each other, as a folder's do. */
static void make_images(void)
{
    for (int i = 0; i < IMAGES; i++) {
        kinds[i] = (int32_t)(i / (IMAGES / CLASSES));
        for (int k = 0; k < PIXELS; k++)
            (&pixels[i][0][0][0])[k] = (unsigned char)((k * 5 + 40 * kinds[i] + rand() % 30) % 256);
    }
}

static void write_rows(const char *path, char between, int first, int end)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        abort();
    fprintf(file, "a%cb%cc%cd%ckind\n", between, between, between, between);
    for (int i = first; i < end; i++) {
        for (int j = 0; j < WIDTH; j++)
            fprintf(file, "%.9g%c", (double)x[i][j], between);
        fprintf(file, "%s\n", names[y[i]]);
    }
    fclose(file);
}

static void write_arrays(void)
{
    static const char x_head[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (48, 4), }";
    static const char y_head[] = "{'descr': '<i4', 'fortran_order': False, 'shape': (48,), }";
    size_t x_bytes, y_bytes;
    unsigned char *xs = test_npy_make(x_head, x, sizeof(x), &x_bytes);
    unsigned char *ys = test_npy_make(y_head, y, sizeof(y), &y_bytes);
    test_npy_write("x.npy", x_head, x, sizeof(x));
    test_npy_write("y.npy", y_head, y, sizeof(y));
    for (int deflated = 0; deflated < 2; deflated++) {
        const test_member_t members[] = {{"x.npy", xs, x_bytes, deflated},
                                         {"y.npy", ys, y_bytes, deflated}};
        test_npz_write(deflated ? "d.npz" : "s.npz", members, 2, false);
    }
    free(xs);
    free(ys);
}

static void write_images(void)
{
    char path[64];
    mkdir("png", 0777);
    mkdir("jpg", 0777);
    for (int i = 0; i < IMAGES; i++) {
        const test_png_t png = {H, W, 3, 8, false, i % 2 == 1, &pixels[i][0][0][0]};
        const test_jpeg_t jpeg = {H, W, 3, 100, i % 2 == 1, &pixels[i][0][0][0]};
        snprintf(path, sizeof(path), "png/%s", names[kinds[i]]);
        mkdir(path, 0777);
        snprintf(path, sizeof(path), "png/%s/%02d.png", names[kinds[i]], i);
        test_png_write(path, &png);
        snprintf(path, sizeof(path), "jpg/%s", names[kinds[i]]);
        mkdir(path, 0777);
        snprintf(path, sizeof(path), "jpg/%s/%02d.jpg", names[kinds[i]], i);
        test_jpeg_write(path, &jpeg);
    }
}

typedef struct {
    const char *name;
    hid_t type;
    int rank;
    const hsize_t *dims;
    const void *data;
} dataset_t;

static void write_hdf5(const char *path, const dataset_t *datasets)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    for (const dataset_t *d = datasets; d < datasets + 2; d++) {
        hid_t space = H5Screate_simple(d->rank, d->dims, NULL);
        hid_t id = H5Dcreate2(file, d->name, d->type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (H5Dwrite(id, d->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, d->data) < 0)
            abort();
        H5Dclose(id);
        H5Sclose(space);
    }
    if (H5Fclose(file) < 0)
        abort();
}

/* Shapes under a little noise. At this quality they take 5 bits a pixel, as photographs do (the two
 * that scikit-learn brings, 427 x 640, have 4.2 and 5.8): bits are what decoding takes its time
 * for. */
static void paint(unsigned char *to, int height, int width, int image)
{
    for (int y_ = 0; y_ < height; y_++) {
        for (int x_ = 0; x_ < width; x_++, to += 3) {
            for (int c = 0; c < 3; c++)
                to[c] = (unsigned char)(128 + 80 * ((x_ / (8 + image % 9) + y_ / (11 + c)) % 2) +
                                        (x_ * y_ / 64 + 40 * c) % 40 + rand() % 8 - 60);
        }
    }
}

static int write_photos(int count, int height, int width)
{
    char path[64];
    unsigned char *photo = malloc((size_t)height * (size_t)width * 3);
    if (photo == NULL || !test_images_can())
        return 1;
    const test_jpeg_t jpeg = {height, width, 3, PHOTO_QUALITY, false, photo};
    mkdir("photos", 0777);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "photos/%s", names[i % CLASSES]);
        mkdir(path, 0777);
        paint(photo, height, width, i);
        snprintf(path, sizeof(path), "photos/%s/%05d.jpg", names[i % CLASSES], i);
        test_jpeg_write(path, &jpeg);
    }
    free(photo);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "photos") == 0)
        return write_photos(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    make_samples();
    make_images();
    const hsize_t x_dims[] = {SAMPLES, WIDTH}, y_dims[] = {SAMPLES};
    const hsize_t image_dims[] = {IMAGES, H, W, 3}, kind_dims[] = {IMAGES};
    const dataset_t rows[] = {{"x", H5T_NATIVE_FLOAT, 2, x_dims, x},
                              {"y", H5T_NATIVE_INT32, 1, y_dims, y}};
    const dataset_t images[] = {{"x", H5T_NATIVE_UINT8, 4, image_dims, pixels},
                                {"y", H5T_NATIVE_INT32, 1, kind_dims, kinds}};
    const hsize_t hot_dims[] = {SAMPLES, CLASSES};
    const dataset_t hot[] = {rows[0], {"y", H5T_NATIVE_FLOAT, 2, hot_dims, rows_of_y}};
    write_hdf5("s.h5", rows);
    write_hdf5("hot.h5", hot);
    write_hdf5("png.h5", images);
    write_arrays();
    write_rows("s.csv", ',', 0, SAMPLES);
    write_rows("s.tsv", '\t', 0, SAMPLES);
    write_rows("half-1.csv", ',', 0, SAMPLES / 2);
    write_rows("half-2.csv", ',', SAMPLES / 2, SAMPLES);
    if (test_images_can())
        write_images();
    return 0;
}
