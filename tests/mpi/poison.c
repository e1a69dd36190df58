/* Makes the first number of one sample of a data file a NaN: poison FILE SAMPLE. */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_AXES = 8 };

int main(int argc, char **argv)
{
    hsize_t start[MOST_AXES] = {0}, count[MOST_AXES] = {1, 1, 1, 1, 1, 1, 1, 1};
    float nan_value = NAN;
    if (argc != 3)
        return 2;
    start[0] = strtoull(argv[2], NULL, 10);
    hid_t file = H5Fopen(argv[1], H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t data = H5Dopen2(file, "x", H5P_DEFAULT), space = H5Dget_space(data);
    hid_t one = H5Screate(H5S_SCALAR);
    herr_t done = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    if (done >= 0)
        done = H5Dwrite(data, H5T_NATIVE_FLOAT, one, space, H5P_DEFAULT, &nan_value);
    H5Sclose(one);
    H5Sclose(space);
    H5Dclose(data);
    return H5Fclose(file) >= 0 && done >= 0 ? 0 : 1;
}
