/* See optim_refs.h. */
#include "unit/optim_refs.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hid_t refs_open(const char *name)
{
    char path[4096];
    const char *data = getenv("MB_TEST_DATA");
    snprintf(path, sizeof(path), "%s/%s", data == NULL ? "tests/data" : data, name);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    ck_assert_msg(file >= 0, "cannot open %s", path);
    return file;
}

static void *read_all(hid_t at, const char *path, hid_t type, size_t bytes, size_t *count)
{
    hid_t set = H5Dopen2(at, path, H5P_DEFAULT);
    ck_assert_msg(set >= 0, "no dataset %s", path);
    hid_t space = H5Dget_space(set);
    *count = (size_t)H5Sget_simple_extent_npoints(space);
    void *values = calloc(*count, bytes);
    ck_assert_ptr_nonnull(values);
    ck_assert_int_ge(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    H5Sclose(space);
    H5Dclose(set);
    return values;
}

float *refs_floats(hid_t at, const char *path, size_t *count)
{
    return read_all(at, path, H5T_NATIVE_FLOAT, sizeof(float), count);
}

int32_t *refs_ints(hid_t at, const char *path, size_t *count)
{
    return read_all(at, path, H5T_NATIVE_INT32, sizeof(int32_t), count);
}

double refs_number(hid_t at, const char *object, const char *attribute)
{
    double value = 0.0;
    hid_t attr = H5Aopen_by_name(at, object, attribute, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Aread(attr, H5T_NATIVE_DOUBLE, &value), 0);
    H5Aclose(attr);
    return value;
}

json_t *refs_json(hid_t at, const char *object, const char *attribute)
{
    char *text = NULL;
    hid_t attr = H5Aopen_by_name(at, object, attribute, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_msg(attr >= 0, "no attribute %s of %s", attribute, object);
    hid_t type = H5Aget_type(attr);
    ck_assert_int_ge(H5Aread(attr, type, &text), 0);
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert_msg(json != NULL, "not JSON: %s", text);
    H5free_memory(text);
    H5Tclose(type);
    H5Aclose(attr);
    return json;
}

int refs_shape(hid_t at, const char *path, int64_t shape[8])
{
    hsize_t dims[8] = {0};
    hid_t set = H5Dopen2(at, path, H5P_DEFAULT);
    hid_t space = H5Dget_space(set);
    int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    for (int i = 0; i < rank; i++)
        shape[i] = (int64_t)dims[i];
    H5Sclose(space);
    H5Dclose(set);
    return rank;
}

void refs_each(hid_t file, bool datasets, void (*visit)(hid_t file, const char *name))
{
    H5G_info_t info;
    ck_assert_int_ge(H5Gget_info(file, &info), 0);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char name[256];
        H5O_info_t object;
        H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof(name),
                           H5P_DEFAULT);
        H5Oget_info_by_name(file, name, &object, H5P_DEFAULT);
        if (object.type == (datasets ? H5O_TYPE_DATASET : H5O_TYPE_GROUP))
            visit(file, name);
    }
}

void bench_open(bench_t *bench)
{
    mb_device_options_t options = {.size = sizeof(options), .threads = 1};
    ck_assert_msg(mb_device_open("cpu", &options, &bench->device) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(mb_exec_create(bench->device, &bench->exec), MB_OK);
}

void bench_close(bench_t *bench)
{
    mb_exec_destroy(&bench->exec);
    mb_device_close(bench->device);
}

void *bench_put(bench_t *bench, const void *values, size_t bytes)
{
    void *out = NULL;
    void *zeros = calloc(1, bytes);
    ck_assert_int_eq(mb_device_alloc(bench->device, bytes, &out), MB_OK);
    ck_assert_int_eq(mb_exec_allocate(&bench->exec), MB_OK);
    ck_assert_int_eq(
        mb_exec_copy(&bench->exec, out, values == NULL ? zeros : values, bytes, MB_COPY_TO_DEVICE),
        MB_OK);
    ck_assert_int_eq(mb_exec_sync(&bench->exec), MB_OK);
    free(zeros);
    return out;
}

void bench_get(bench_t *bench, void *values, const void *from, size_t bytes)
{
    ck_assert_int_eq(mb_exec_copy(&bench->exec, values, from, bytes, MB_COPY_TO_HOST), MB_OK);
    ck_assert_int_eq(mb_exec_sync(&bench->exec), MB_OK);
}

json_t *json_of(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length + 1);
    ck_assert_ptr_nonnull(copy);
    for (size_t i = 0; i <= length; i++)
        copy[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    json_t *json = json_loads(copy, JSON_DECODE_ANY, NULL);
    ck_assert_msg(json != NULL, "not JSON: %s", text);
    free(copy);
    return json;
}
