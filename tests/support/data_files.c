#define _XOPEN_SOURCE 700
#include "support/data_files.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char folder[128];

const char *test_path(const char *name)
{
    static char paths[32][256];
    static int next;
    if (folder[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        snprintf(folder, sizeof(folder), "%s/mb-data-XXXXXX", parent == NULL ? "/tmp" : parent);
        ck_assert_ptr_nonnull(mkdtemp(folder));
    }
    char *path = paths[next++ % 32];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    (void)info;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void test_remove_folder(void)
{
    if (folder[0] != '\0')
        nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    folder[0] = '\0';
}

static void write_number(hid_t dataset, const char *name, double value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t id = H5Acreate2(dataset, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(id, H5T_NATIVE_DOUBLE, &value);
    H5Aclose(id);
    H5Sclose(space);
}

static void write_dataset(hid_t file, const test_dataset_t *d)
{
    hsize_t chunk[4];
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    if (d->chunk > 0) {
        memcpy(chunk, d->dims, sizeof(chunk));
        chunk[0] = d->chunk;
        H5Pset_chunk(plist, d->rank, chunk);
    }
    if (d->deflate > 0)
        H5Pset_deflate(plist, (unsigned)d->deflate);
    hid_t space = d->rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(d->rank, d->dims, NULL);
    hid_t id = H5Dcreate2(file, d->name, d->type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ck_assert_int_ge(id, 0);
    if (d->data != NULL)
        ck_assert_int_ge(H5Dwrite(id, d->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, d->data), 0);
    if (d->scale > 0.0 || d->scale < 0.0)
        write_number(id, "scale_factor", d->scale);
    if (d->offset > 0.0 || d->offset < 0.0)
        write_number(id, "add_offset", d->offset);
    H5Dclose(id);
    H5Sclose(space);
    H5Pclose(plist);
}

void test_hdf5_write(const char *path, const test_dataset_t *datasets, int n, hsize_t userblock)
{
    hid_t create = H5Pcreate(H5P_FILE_CREATE);
    if (userblock > 0)
        H5Pset_userblock(create, userblock);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, create, H5P_DEFAULT);
    ck_assert_int_ge(file, 0);
    for (int i = 0; i < n; i++)
        write_dataset(file, &datasets[i]);
    H5Fclose(file);
    H5Pclose(create);
}

hid_t test_half_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

void test_file_write(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

size_t test_file_read(const char *path, void *to, size_t capacity)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t bytes = fread(to, 1, capacity, file);
    fclose(file);
    return bytes;
}

void test_idx_write(const char *path, unsigned char type, int rank, const uint32_t *dims,
                    const void *data, size_t bytes)
{
    const char *ending = strrchr(path, '.');
    bool gzip = ending != NULL && strcmp(ending, ".gz") == 0;
    unsigned char header[36] = {0, 0, type, (unsigned char)rank};
    for (int i = 0; i < rank; i++) {
        for (int j = 0; j < 4; j++)
            header[4 + 4 * i + j] = (unsigned char)(dims[i] >> (24 - 8 * j));
    }
    gzFile file = gzopen(path, gzip ? "wb" : "wbT");
    ck_assert_ptr_nonnull(file);
    gzwrite(file, header, (unsigned)(4 + 4 * rank));
    if (bytes > 0)
        gzwrite(file, data, (unsigned)bytes);
    gzclose(file);
}

mb_source_wants_t test_wants(const char *input, const mb_shape_t *shape, int n_outputs)
{
    static const char *inputs[1];
    static const char *const outputs[1] = {"dense_2"};
    inputs[0] = input;
    return (mb_source_wants_t){.n_inputs = 1,
                               .n_outputs = n_outputs,
                               .input_names = inputs,
                               .output_names = outputs,
                               .input_shapes = shape};
}

void test_message_has(const char *part)
{
    ck_assert_msg(strstr(mb_error_get(), part) != NULL, "'%s' lacks '%s'", mb_error_get(), part);
}
