/* See h5_storage.h. */
#include "store/h5_storage.h"

#include <stdio.h>

static mb_status_t refuse(const char *path, const char *name, const char *what)
{
    return mb_error_set(
        MB_ERR_FORMAT,
        "'%s': '%s' %s; mbrun reads what lies in the file itself: copy the data into it "
        "(h5repack -f NONE, or write it anew)",
        path, name, what);
}

mb_status_t mb_h5_check_link(hid_t file, const char *path, const char *name)
{
    H5L_info_t link;
    if (H5Lexists(file, name, H5P_DEFAULT) <= 0 ||
        H5Lget_info(file, name, &link, H5P_DEFAULT) < 0 || link.type == H5L_TYPE_HARD ||
        link.type == H5L_TYPE_SOFT)
        return MB_OK;
    return refuse(path, name,
                  link.type == H5L_TYPE_EXTERNAL
                      ? "is an external link to another file"
                      : "is a link that only its own program can follow");
}

/* Filters come from plugins unless HDF5 was built with them. */
static bool is_built_in(H5Z_filter_t filter)
{
    return filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE ||
           filter == H5Z_FILTER_FLETCHER32 || filter == H5Z_FILTER_SZIP ||
           filter == H5Z_FILTER_NBIT || filter == H5Z_FILTER_SCALEOFFSET;
}

static mb_status_t check_filters(hid_t plist, const char *path, const char *name)
{
    char what[96];
    int n = H5Pget_nfilters(plist);
    for (int i = 0; i < n; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        H5Z_filter_t filter =
            H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        if (is_built_in(filter))
            continue;
        snprintf(what, sizeof(what), "is compressed by filter %d, which is not part of HDF5",
                 (int)filter);
        return refuse(path, name, what);
    }
    return MB_OK;
}

static bool is_elsewhere(hid_t file, hid_t dataset)
{
    H5O_info_t own, found;
    return H5Oget_info(file, &own) >= 0 && H5Oget_info(dataset, &found) >= 0 &&
           own.fileno != found.fileno;
}

mb_status_t mb_h5_check_storage(hid_t file, hid_t dataset, const char *path, const char *name)
{
    mb_status_t status = MB_OK;
    hid_t plist = H5Dget_create_plist(dataset);
    if (plist < 0)
        return refuse(path, name, "is of a storage that HDF5 cannot describe");
    if (is_elsewhere(file, dataset))
        status = refuse(path, name, "is reached by links that leave the file");
    else if (H5Pget_layout(plist) == H5D_VIRTUAL)
        status = refuse(path, name, "is a virtual dataset, made of other files");
    else if (H5Pget_external_count(plist) > 0)
        status = refuse(path, name, "has its numbers in other files");
    else
        status = check_filters(plist, path, name);
    H5Pclose(plist);
    return status;
}
