/* Small files for the tests of the store. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* nftw */
#endif
#include "support/store_files.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[512];

void scratch_create(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/mbstoreXXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(folder) == NULL)
        abort();
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *place)
{
    (void)about, (void)type, (void)place;
    return remove(path);
}

void scratch_remove(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char *next_buffer(void)
{
    static char buffers[8][1024];
    static int next;
    return buffers[next++ % 8];
}

const char *scratch(const char *name)
{
    char *path = next_buffer();
    snprintf(path, 1024, "%s/%s", folder, name);
    return path;
}

const char *fixture(const char *name)
{
    char *path = next_buffer();
    const char *root = getenv("MB_SRCDIR");
    snprintf(path, 1024, "%s/tests/fixtures/%s", root == NULL ? "." : root, name);
    return path;
}

int64_t file_size(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 ? (int64_t)about.st_size : -1;
}

bool file_exists(const char *path)
{
    return file_size(path) >= 0;
}

unsigned char *file_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    *bytes = 0;
    if (file == NULL)
        return NULL;
    size_t size = (size_t)file_size(path);
    unsigned char *data = malloc(size + 1);
    *bytes = fread(data, 1, size, file);
    fclose(file);
    return data;
}

void file_write(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
        abort();
}

bool files_equal(const char *a, const char *b)
{
    size_t bytes_a, bytes_b;
    unsigned char *data_a = file_read(a, &bytes_a), *data_b = file_read(b, &bytes_b);
    bool equal = data_a != NULL && data_b != NULL && bytes_a == bytes_b &&
                 memcmp(data_a, data_b, bytes_a) == 0;
    free(data_a);
    free(data_b);
    return equal;
}

int scratch_count(const char *part)
{
    int count = 0;
    DIR *open = opendir(folder);
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open))
        count += strstr(entry->d_name, part) != NULL;
    closedir(open);
    return count;
}

bool message_has(const char *part)
{
    if (strstr(mb_error_get(), part) != NULL)
        return true;
    fprintf(stderr, "message: %s\nexpected in it: %s\n", mb_error_get(), part);
    return false;
}

static void fill_values(sample_t *s, unsigned seed)
{
    for (int i = 0; i < SAMPLE_TENSORS; i++) {
        int64_t elements = mb_shape_elements(&s->tensors[i].shape);
        s->values[i] = malloc(((size_t)elements + 1) * sizeof(float));
        for (int64_t k = 0; k < elements; k++) {
            seed = seed * 1664525u + 1013904223u;
            s->values[i][k] = (float)(seed >> 8) * 0x1p-24f - 0.5f;
        }
        s->pieces[i] = (mb_piece_t){.tensor = i, .count = elements, .values = s->values[i]};
    }
}

void sample_create(sample_t *s, int64_t rows, unsigned seed)
{
    static const int first[] = {0, 1}, second[] = {2, 3};
    static const char *const names[] = {
        "dense/kernel",          "dense/bias",
        "net/out/kernel",        "net/out/bias",
        "momentum/dense/kernel", "momentum/dense/bias",
        "velocity/dense/kernel", "velocity/dense/bias",
    };
    const mb_shape_t kernel = {2, {rows, 7}}, bias = {1, {7}}, out = {3, {7, 1, 2}}, scalar = {0};
    const mb_shape_t shapes[] = {kernel, bias, out, scalar, kernel, bias, kernel, bias};
    *s = (sample_t){
        .layers = {{"dense", 2, first}, {"net/out", 2, second}, {"flatten", 0, NULL}},
        .settings = {{"data", "train.h5"}, {"batch", "32"}},
    };
    for (int i = 0; i < SAMPLE_TENSORS; i++)
        s->tensors[i] = (mb_tensor_spec_t){.name = names[i], .shape = shapes[i]};
    fill_values(s, seed);
    s->layout = (mb_checkpoint_layout_t){
        .model_config = "{\"class_name\": \"Sequential\"}",
        .training_config = "{\"loss\": \"mse\"}",
        .n_layers = SAMPLE_LAYERS,
        .layers = s->layers,
        .n_weights = 4,
        .n_moments = 4,
        .tensors = s->tensors,
        .optimizer_name = "adam",
        .learning_rate = 0.25,
        .n_settings = 2,
        .settings = s->settings,
        .state = {.present = true,
                  .step = 7,
                  .epoch = 2,
                  .step_in_epoch = 1,
                  .best_metric = 0.5,
                  .best_step = 6,
                  .iterations = 12},
    };
}

void sample_free(sample_t *s)
{
    for (int i = 0; i < SAMPLE_TENSORS; i++)
        free(s->values[i]);
}

mb_status_t sample_write(const sample_t *s, const char *path)
{
    return mb_checkpoint_write(NULL, path, &s->layout, s->pieces, SAMPLE_TENSORS);
}

static bool tensor_is(const mb_model_file_t *file, const mb_stored_tensor_t *tensor,
                      const mb_tensor_spec_t *spec, const float *values)
{
    int64_t elements = mb_shape_elements(&spec->shape);
    if (strcmp(tensor->name, spec->name) != 0 || !mb_shape_equal(&tensor->shape, &spec->shape))
        return false;
    float *read = malloc(((size_t)elements + 1) * sizeof(float));
    bool equal = mb_stored_tensor_read(file, tensor, read) == MB_OK &&
                 memcmp(read, values, (size_t)elements * sizeof(float)) == 0;
    free(read);
    return equal;
}

bool sample_is_in(const sample_t *s, const char *path)
{
    mb_model_file_t *file = NULL;
    if (mb_model_file_open(path, true, true, &file) != MB_OK)
        return false;
    bool same = file->seal == MB_SEAL_HOLDS && file->n_layers == SAMPLE_LAYERS;
    int next = 0;
    for (int i = 0; i < file->n_layers && same; i++) {
        for (int k = 0; k < file->layers[i].n_weights && same; k++, next++)
            same = tensor_is(file, &file->layers[i].weights[k], &s->tensors[next], s->values[next]);
    }
    for (int i = 0; i < file->n_moments && same; i++, next++)
        same = tensor_is(file, &file->moments[i], &s->tensors[next], s->values[next]);
    mb_model_file_close(file);
    return same && next == SAMPLE_TENSORS;
}

static hid_t text_type(text_flavour_t flavour, size_t bytes)
{
    static const H5T_str_t padding[] = {
        [TEXT_FIXED_NULL_TERMINATED] = H5T_STR_NULLTERM,
        [TEXT_FIXED_NULL_PADDED] = H5T_STR_NULLPAD,
        [TEXT_FIXED_SPACE_PADDED] = H5T_STR_SPACEPAD,
    };
    bool variable = flavour <= TEXT_VARIABLE_ASCII;
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, variable ? H5T_VARIABLE : bytes);
    if (flavour == TEXT_VARIABLE_UTF8 || flavour == TEXT_FIXED_NULL_PADDED)
        H5Tset_cset(type, H5T_CSET_UTF8);
    if (!variable)
        H5Tset_strpad(type, padding[flavour]);
    return type;
}

static char *pack_fixed(text_flavour_t flavour, size_t n, const char *const *texts, size_t *bytes)
{
    *bytes = 1;
    for (size_t i = 0; i < n; i++) {
        size_t needed = strlen(texts[i]) + (flavour == TEXT_FIXED_NULL_TERMINATED);
        *bytes = needed > *bytes ? needed : *bytes;
    }
    char *packed = malloc(n * *bytes + 1);
    memset(packed, flavour == TEXT_FIXED_SPACE_PADDED ? ' ' : 0, n * *bytes);
    for (size_t i = 0; i < n; i++)
        memcpy(packed + i * *bytes, texts[i], strlen(texts[i]));
    return packed;
}

void put_text(hid_t object, const char *name, text_flavour_t flavour, int count,
              const char *const *texts)
{
    size_t n = count < 0 ? 1 : (size_t)count, bytes = 1;
    char *packed = pack_fixed(flavour, n, texts, &bytes);
    hsize_t length = n;
    hid_t space = count < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &length, NULL);
    hid_t type = text_type(flavour, bytes);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (flavour <= TEXT_VARIABLE_ASCII)
        H5Awrite(attribute, type, texts);
    else
        H5Awrite(attribute, type, packed);
    H5Aclose(attribute);
    H5Tclose(type);
    H5Sclose(space);
    free(packed);
}

void put_empty_names(hid_t object, const char *name)
{
    hsize_t none = 0;
    hid_t space = H5Screate_simple(1, &none, NULL);
    H5Aclose(H5Acreate2(object, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}

hid_t put_group(hid_t parent, const char *name)
{
    return H5Gcreate2(parent, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

void put_dataset(hid_t parent, const char *name, hid_t file_type, hid_t list, int rank,
                 const hsize_t *dims)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= dims[i];
    float *values = malloc((n + 1) * sizeof(float));
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(i + 1);
    hid_t space = rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(rank, dims, NULL);
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t dataset = H5Dcreate2(parent, name, file_type, space, links, list, H5P_DEFAULT);
    H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(dataset);
    H5Pclose(links);
    H5Sclose(space);
    free(values);
}

hid_t put_keras_model(const char *path, text_flavour_t flavour)
{
    static const char *const config = "{\"class_name\": \"Sequential\"}";
    static const char *const version = "2.12.0", *const backend = "tensorflow";
    static const char *const layers[] = {"dense", "flatten_1"};
    static const char *const weights[] = {"dense/kernel:0", "dense/bias:0"};
    const hsize_t dims[] = {2, 3};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_text(file, "model_config", flavour, -1, &config);
    put_text(file, "keras_version", flavour, -1, &version);
    put_text(file, "backend", flavour, -1, &backend);
    hid_t group = put_group(file, "model_weights");
    put_text(group, "layer_names", flavour, 2, layers);
    hid_t dense = put_group(group, "dense"), flatten = put_group(group, "flatten_1");
    put_text(dense, "weight_names", flavour, 2, weights);
    put_empty_names(flatten, "weight_names");
    put_dataset(dense, weights[0], H5T_IEEE_F32LE, H5P_DEFAULT, 2, dims);
    put_dataset(dense, weights[1], H5T_IEEE_F32LE, H5P_DEFAULT, 1, dims + 1);
    H5Gclose(flatten);
    H5Gclose(dense);
    H5Gclose(group);
    return file;
}
