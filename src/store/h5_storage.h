/* Whether a dataset's numbers lie in its own file, in a form that HDF5 reads by itself. What is
 * elsewhere, or needs a plugin, is refused by name: a model or a data file is one file. */
#ifndef MB_STORE_H5_STORAGE_H
#define MB_STORE_H5_STORAGE_H

#include <hdf5.h>
#include "base/error.h"

/* A link of FILE to the outside: external, or of a kind that a program made up. MB_OK where there
 * is no such link. */
mb_status_t mb_h5_check_link(hid_t file, const char *path, const char *name);
/* External storage, virtual datasets, filters that are not built in, or an object that the links of
 * NAME led to in another file than FILE. */
mb_status_t mb_h5_check_storage(hid_t file, hid_t dataset, const char *path, const char *name);

#endif
