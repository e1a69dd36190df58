/* Bytes as what an HDF5 file of training data says: names, types, shapes, layouts and attributes of
 * its datasets. As in fuzz_encoded.c, the HDF5 around it is sound. */
#include <hdf5.h>

#include "data/source.h"

#include "fuzz/fuzz.h"

#include <stdlib.h>

enum { MOST_DATASETS = 4, LARGEST = 1 << 16 };

void mb_fuzz_hdf5_data(const uint8_t *data, size_t size);

static hid_t take_type(mb_fuzz_input_t *in)
{
    const hid_t types[] = {H5T_IEEE_F32LE, H5T_IEEE_F64BE, H5T_STD_U8LE,  H5T_STD_I64LE,
                           H5T_STD_I16BE,  H5T_STD_U64LE,  H5T_STD_B16LE, H5T_UNIX_D32LE};
    unsigned choice = mb_fuzz_take(in);
    hid_t type = H5Tcopy(choice < 240 ? types[choice % 8] : H5T_C_S1);
    if (choice >= 240)
        H5Tset_size(type, choice - 239);
    return type;
}

static void put_attribute(hid_t dataset, const char *name, mb_fuzz_input_t *in)
{
    static const double values[] = {1, 0, -1, 1.0 / 255, 1e300, 1e-300, 9.3e18, 255};
    double value = values[mb_fuzz_take(in) % 8];
    hid_t type = take_type(in), space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(dataset, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) {
        H5Awrite(attribute, H5T_NATIVE_DOUBLE, &value);
        H5Aclose(attribute);
    }
    H5Sclose(space);
    H5Tclose(type);
}

static hid_t take_space(mb_fuzz_input_t *in, int *rank, hsize_t dims[4])
{
    size_t elements = 1;
    *rank = (int)(mb_fuzz_take(in) % 5);
    for (int i = 0; i < *rank; i++) {
        dims[i] = mb_fuzz_take(in) % 24;
        elements *= dims[i];
    }
    if (*rank == 0 || elements > LARGEST)
        return H5Screate(*rank == 0 ? H5S_SCALAR : H5S_NULL);
    return H5Screate_simple(*rank, dims, NULL);
}

static hid_t take_layout(mb_fuzz_input_t *in, int rank, const hsize_t dims[4])
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    unsigned choice = mb_fuzz_take(in) % 4;
    hsize_t chunk[4];
    for (int i = 0; i < rank && choice >= 2; i++)
        chunk[i] = dims[i] == 0 ? 1 : dims[i];
    if (choice >= 2 && rank > 0)
        H5Pset_chunk(list, rank, chunk);
    if (choice == 3 && rank > 0)
        H5Pset_deflate(list, 1);
    return list;
}

static void put_dataset(hid_t file, mb_fuzz_input_t *in)
{
    static const char *const names[] = {"x", "y", "tokens", "sample_weight", "positions", "z"};
    static const double zeros[LARGEST];
    hsize_t dims[4] = {0};
    int rank = 0;
    const char *name = names[mb_fuzz_take(in) % 6];
    hid_t space = take_space(in, &rank, dims), type = take_type(in);
    hid_t list = take_layout(in, rank, dims);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (dataset >= 0) {
        if (mb_fuzz_take(in) % 4 != 0)
            H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
        if (mb_fuzz_take(in) % 4 == 0)
            put_attribute(dataset, "scale_factor", in);
        if (mb_fuzz_take(in) % 4 == 0)
            put_attribute(dataset, "add_offset", in);
        H5Dclose(dataset);
    }
    H5Pclose(list);
    H5Tclose(type);
    H5Sclose(space);
}

static void read_file(const char *path)
{
    static const mb_source_wants_t any;
    static float values[LARGEST];
    mb_source_t *source = NULL;
    if (mb_source_open(path, &any, &source) != MB_OK)
        return;
    const int64_t index = source->samples - 1;
    for (int i = 0; i < source->n_fields && index >= 0; i++) {
        if (mb_shape_elements(&source->fields[i].shape) <= LARGEST)
            (void)source->class_->read(source, i, &index, 1, false, values);
    }
    mb_source_close(source);
}

void mb_fuzz_hdf5_data(const uint8_t *data, size_t size)
{
    mb_fuzz_input_t in = {data, size};
    const char *path = mb_fuzz_named("data.h5", NULL, 0);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0)
        abort();
    for (int i = 0; i < MOST_DATASETS && in.left > 0; i++)
        put_dataset(file, &in);
    H5Fclose(file);
    read_file(path);
}
