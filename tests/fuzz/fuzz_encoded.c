/* Bytes as what an HDF5 file says of a tensor in a format with scales, and of its report: texts,
 * whole numbers, shapes and types of the datasets. HDF5's own checksums would stop nearly every
 * mutation of a file's bytes; this one gets behind them. */
#include <hdf5.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz/fuzz.h"
#include "store/model_file.h"
#include "store/number_type.h"

#define LARGEST 100000

void mb_fuzz_encoded(const uint8_t *data, size_t size);

/* Small numbers mostly. */
static int64_t take_number(mb_fuzz_input_t *in)
{
    unsigned first = mb_fuzz_take(in);
    if (first < 250)
        return (int64_t)first - 4;
    int64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = (int64_t)((uint64_t)value << 8 | mb_fuzz_take(in));
    return value;
}

static void put_text(hid_t object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, text);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void put_fuzzed_text(hid_t object, const char *name, mb_fuzz_input_t *in)
{
    static const char *const known[] = {"int8",
                                        "int8:tensor",
                                        "int8:block=32",
                                        "int4",
                                        "int4:block=64,offset",
                                        "uint8:squared",
                                        "fp16",
                                        "bf16",
                                        "e3m4",
                                        "rounded",
                                        "uint8:block=128,squared"};
    char text[20] = {0};
    unsigned choice = mb_fuzz_take(in);
    if (choice < 250) {
        put_text(object, name, known[choice % (sizeof(known) / sizeof(known[0]))]);
        return;
    }
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = (char)mb_fuzz_take(in);
    put_text(object, name, text);
}

static void put_numbers(hid_t object, const char *name, int count, const int64_t *values)
{
    hsize_t length = (hsize_t)count;
    hid_t space = count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &length, NULL);
    hid_t attribute = H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    if (count > 0)
        H5Awrite(attribute, H5T_NATIVE_INT64, values);
    H5Aclose(attribute);
    H5Sclose(space);
}

static hid_t take_type(mb_fuzz_input_t *in)
{
    unsigned choice = mb_fuzz_take(in);
    if (choice == 255)
        return H5Tcopy(H5T_STD_I16BE);
    return mb_number_type_create((mb_number_t)(choice % MB_NUMBER_COUNT), (int)(choice / 16) + 1);
}

/* A dataset of zeros whose type and shape the input chooses; none when it is too large. */
static hid_t put_dataset(hid_t group, const char *name, mb_fuzz_input_t *in)
{
    static const char zeros[8 * LARGEST];
    hsize_t dims[8] = {0};
    int rank = (int)(mb_fuzz_take(in) % 4);
    size_t elements = 1;
    for (int i = 0; i < rank; i++) {
        dims[i] = mb_fuzz_take(in);
        elements *= dims[i];
    }
    if (elements > LARGEST)
        return H5I_INVALID_HID;
    hid_t type = take_type(in);
    hid_t space = rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(rank, dims, NULL);
    hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
    H5Sclose(space);
    H5Tclose(type);
    return dataset;
}

static void put_attributes(hid_t object, mb_fuzz_input_t *in)
{
    static const char *const numbers[] = {"block_rows", "block_columns", "axis", "bits",   "signed",
                                          "lookup",     "crc32c",        "rows", "columns"};
    int64_t shape[8];
    int rank = (int)(mb_fuzz_take(in) % 9);
    for (int i = 0; i < rank; i++)
        shape[i] = take_number(in);
    put_fuzzed_text(object, "format", in);
    put_numbers(object, "shape", rank, shape);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int64_t value = take_number(in);
        if (value != 99)
            put_numbers(object, numbers[i], 1, &value);
    }
}

static hid_t make_group(hid_t parent, const char *name)
{
    return H5Gcreate2(parent, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

static void put_names(hid_t file)
{
    hid_t weights = make_group(file, "model_weights"), layer = make_group(weights, "a");
    put_text(weights, "layer_names", "a");
    put_text(layer, "weight_names", "b");
    H5Gclose(layer);
    H5Gclose(weights);
}

static void put_tensor(hid_t file, mb_fuzz_input_t *in)
{
    static const char *const parts[] = {"scale", "zero", "row_scale"};
    bool scaled = mb_fuzz_take(in) % 4 != 0;
    hid_t above = scaled ? make_group(file, "quantized") : H5Gopen2(file, "model_weights/a", 0);
    hid_t group = scaled ? make_group(above, "b") : above;
    hid_t dataset = put_dataset(group, scaled ? "q" : "b", in);
    if (dataset >= 0) {
        put_attributes(dataset, in);
        H5Dclose(dataset);
    }
    for (int i = 0; i < 3 && scaled; i++) {
        dataset = mb_fuzz_take(in) % 2 == 0 ? H5I_INVALID_HID : put_dataset(group, parts[i], in);
        if (dataset >= 0)
            H5Dclose(dataset);
    }
    if (scaled)
        H5Gclose(group);
    H5Gclose(above);
}

static void make_file(const char *path, mb_fuzz_input_t *in)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0)
        abort();
    put_names(file);
    put_tensor(file, in);
    H5Fclose(file);
}

static void read_file(const char *path)
{
    static float values[LARGEST];
    mb_model_file_t *file = NULL;
    mb_digest_t digest;
    if (mb_model_file_open(path, false, false, &file) != MB_OK)
        return;
    const mb_stored_tensor_t *tensor = &file->layers[0].weights[0];
    if (tensor->elements <= LARGEST) {
        (void)mb_stored_tensor_read(file, tensor, values);
        (void)mb_stored_tensor_check(file, tensor);
        (void)mb_model_file_digest(file, &digest);
    }
    mb_model_file_close(file);
}

void mb_fuzz_encoded(const uint8_t *data, size_t size)
{
    mb_fuzz_input_t in = {data, size};
    const char *path = mb_fuzz_named("encoded.h5", NULL, 0);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    make_file(path, &in);
    read_file(path);
}
