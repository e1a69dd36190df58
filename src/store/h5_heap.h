/* Texts of variable length, which lie in HDF5's global heap, without HDF5's reader of it.
 *
 *     attribute: { length, address of a collection, index }  a reference, for each text
 *     collection: "GCOL" version size | { index, count, size, bytes } ... | free space
 *
 * HDF5 1.10 trusts what a reference says and follows it out of its memory when a byte of the file
 * is damaged (H5HG_read). The references come through a conversion of ours that leaves them as they
 * are; the collections are read from the file with every bound checked. Format: HDF5 File Format
 * Specification 3.0, III.E and IV.B. */
#ifndef MB_STORE_H5_HEAP_H
#define MB_STORE_H5_HEAP_H

#include "store/h5.h"

typedef struct {
    const mb_h5_reader_t *reader;
    int file;
    int64_t start; /* of the HDF5 file in what is open */
    int64_t base;  /* what addresses count from */
    size_t address_bytes, size_bytes;
    uint64_t address; /* of the collection at hand */
    unsigned char *collection;
    size_t bytes;
    uint64_t given; /* bytes of all texts so far: no more than the file has */
} mb_h5_heap_t;

/* Close it whatever open returns. */
mb_status_t mb_h5_heap_open(const mb_h5_reader_t *reader, mb_h5_heap_t *heap);
void mb_h5_heap_close(mb_h5_heap_t *heap);
size_t mb_h5_heap_reference_bytes(const mb_h5_heap_t *heap);

/* The references of an attribute of COUNT variable-length strings into REFERENCES. False: HDF5
 * cannot read the attribute, and its error stack says why. */
bool mb_h5_heap_references(const mb_h5_heap_t *heap, hid_t attribute, hid_t type,
                           unsigned char *references);
/* The text a reference stands for, in the reader's arena. Of what is wrong the message says only
 * WHAT, which the caller names: "attribute 'model_config' of '/'". */
mb_status_t mb_h5_heap_text(mb_h5_heap_t *heap, const unsigned char *reference, const char *what,
                            const char **text);

#endif
