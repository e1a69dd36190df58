/* The vocabularies of a data file: /vocabulary/NAME, characters [words, longest word], padded by
 * zeros, in the order of the integers that the words stand for. */
#ifndef MB_DATA_HDF5_WORDS_H
#define MB_DATA_HDF5_WORDS_H

#include "data/vocabulary.h"

#include <hdf5.h>

/* All that the file has. Only the caller's thread may come here. */
mb_status_t mb_hdf5_words_read(hid_t file, const char *path, mb_vocabularies_t *out);
/* The same of a file by name. */
mb_status_t mb_hdf5_words_of(const char *path, mb_vocabularies_t *out);

#endif
