/* Bytes as what a Keras file's groups, names, attributes and datasets say: the text of attributes,
 * of which type and shape they are, and what lies under the names that they give. As in
 * fuzz_encoded.c, the HDF5 around it is sound. */
#include <hdf5.h>

#include "store/model_file.h"

#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ATTRIBUTES = 24, MOST_TEXTS = 8, TEXT_BYTES = 48, LARGEST = 65536 };

void mb_fuzz_keras_file(const uint8_t *data, size_t size);

static const char *const groups[] = {
    "/",          "/model_weights", "/model_weights/a",   "/mbrun",
    "/mbrun/run", "/mbrun/state",   "/optimizer_weights", "/layers",
    "/quantized"};
static const char *const names[] = {"model_config",
                                    "training_config",
                                    "keras_version",
                                    "backend",
                                    "mbrun_format",
                                    "layer_names",
                                    "weight_names",
                                    "layer_names0",
                                    "weight_names1",
                                    "step",
                                    "epoch",
                                    "best_metric",
                                    "lr",
                                    "batch",
                                    "averaged",
                                    "mbrun_quantized",
                                    "callbacks",
                                    "iterations",
                                    "data"};

/* A known word, or bytes of the input. */
static void take_text(mb_fuzz_input_t *in, char text[TEXT_BYTES])
{
    static const char *const words[] = {"a", "a/b", "b", "..",           "/", "mbrun-1", "{}",
                                        "1", "-1",  "",  "dense/bias:0", "c"};
    unsigned choice = mb_fuzz_take(in);
    memset(text, 0, TEXT_BYTES);
    if (choice < 200) {
        snprintf(text, TEXT_BYTES, "%s", words[choice % (sizeof words / sizeof words[0])]);
        return;
    }
    for (unsigned i = 0; i < choice - 200 && i < TEXT_BYTES - 1; i++)
        text[i] = (char)mb_fuzz_take(in);
}

static hid_t text_type(bool variable)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, variable ? H5T_VARIABLE : TEXT_BYTES);
    return type;
}

static void put_texts(hid_t object, const char *name, mb_fuzz_input_t *in)
{
    char texts[MOST_TEXTS][TEXT_BYTES], *pointers[MOST_TEXTS];
    unsigned choice = mb_fuzz_take(in);
    hsize_t n = choice % MOST_TEXTS;
    bool variable = (choice & 64) != 0;
    for (hsize_t i = 0; i < MOST_TEXTS; i++) {
        take_text(in, texts[i]);
        pointers[i] = texts[i];
    }
    hid_t type = text_type(variable);
    hid_t space = n == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &n, NULL);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) {
        H5Awrite(attribute, type, variable ? (const void *)pointers : (const void *)texts);
        H5Aclose(attribute);
    }
    H5Sclose(space);
    H5Tclose(type);
}

static void put_number(hid_t object, const char *name, mb_fuzz_input_t *in)
{
    static const double numbers[] = {0, 1, -1, 3.5, 1e300, -1e300, 9.3e18, 4294967296.0};
    double value = numbers[mb_fuzz_take(in) % (sizeof numbers / sizeof numbers[0])];
    hid_t type = mb_fuzz_take(in) % 2 == 0 ? H5T_STD_I32BE : H5T_IEEE_F64LE;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) {
        H5Awrite(attribute, H5T_NATIVE_DOUBLE, &value);
        H5Aclose(attribute);
    }
    H5Sclose(space);
}

static void put_dataset(hid_t group, const char *name, mb_fuzz_input_t *in)
{
    static const float zeros[LARGEST];
    hsize_t dims[3];
    int rank = (int)(mb_fuzz_take(in) % 4);
    size_t elements = 1;
    for (int i = 0; i < rank; i++) {
        dims[i] = mb_fuzz_take(in) % 32;
        elements *= dims[i];
    }
    hid_t space = rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(rank, dims, NULL);
    hid_t type = mb_fuzz_take(in) % 4 == 0 ? H5T_STD_I16LE : H5T_IEEE_F32LE;
    hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (dataset >= 0) {
        H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
        H5Dclose(dataset);
    }
    H5Sclose(space);
}

static void put_link(hid_t group, mb_fuzz_input_t *in)
{
    char name[TEXT_BYTES], to[TEXT_BYTES];
    take_text(in, name);
    take_text(in, to);
    if (mb_fuzz_take(in) % 2 == 0)
        H5Lcreate_soft(to, group, name, H5P_DEFAULT, H5P_DEFAULT);
    else
        H5Lcreate_external("/etc/passwd", to, group, name, H5P_DEFAULT, H5P_DEFAULT);
}

static void put_something(hid_t file, mb_fuzz_input_t *in)
{
    char name[TEXT_BYTES];
    hid_t group = H5Gopen2(file, groups[mb_fuzz_take(in) % (sizeof groups / sizeof groups[0])], 0);
    const char *known = names[mb_fuzz_take(in) % (sizeof names / sizeof names[0])];
    switch (mb_fuzz_take(in) % 4) {
    case 0:
        put_texts(group, known, in);
        break;
    case 1:
        put_number(group, known, in);
        break;
    case 2:
        take_text(in, name);
        put_dataset(group, name, in);
        break;
    default:
        put_link(group, in);
    }
    H5Gclose(group);
}

static void put_name(hid_t file, const char *at, const char *attribute, const char *name)
{
    const char text[TEXT_BYTES] = {name[0]};
    const hsize_t one = 1;
    hid_t group = H5Gopen2(file, at, 0), type = text_type(false);
    hid_t space = H5Screate_simple(1, &one, NULL);
    hid_t list = H5Acreate2(group, attribute, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(list, type, text);
    H5Aclose(list);
    H5Sclose(space);
    H5Tclose(type);
    H5Gclose(group);
}

/* A layer "a" with a weight "b", which the input may say more about. */
static void put_layer(hid_t file, mb_fuzz_input_t *in)
{
    put_name(file, "/model_weights", "layer_names", "a");
    put_name(file, "/model_weights/a", "weight_names", "b");
    hid_t group = H5Gopen2(file, "/model_weights/a", 0);
    put_dataset(group, "b", in);
    H5Gclose(group);
}

static void make_file(const char *path, mb_fuzz_input_t *in)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0)
        abort();
    for (size_t i = 1; i < sizeof groups / sizeof groups[0]; i++)
        H5Gclose(H5Gcreate2(file, groups[i], H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    if (mb_fuzz_take(in) % 4 != 3)
        put_layer(file, in);
    for (int i = 0; i < MOST_ATTRIBUTES && in->left > 0; i++)
        put_something(file, in);
    H5Fclose(file);
}

static void read_file(const char *path)
{
    mb_model_file_t *file = NULL;
    mb_digest_t digest;
    if (mb_model_file_open(path, false, true, &file) != MB_OK)
        return;
    (void)mb_model_file_digest(file, &digest);
    mb_model_file_close(file);
}

void mb_fuzz_keras_file(const uint8_t *data, size_t size)
{
    mb_fuzz_input_t in = {data, size};
    const char *path = mb_fuzz_named("model.h5", NULL, 0);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    make_file(path, &in);
    read_file(path);
}
