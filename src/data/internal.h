/* What the sources share with each other. */
#ifndef MB_DATA_INTERNAL_H
#define MB_DATA_INTERNAL_H

#include "data/element.h"
#include "data/source.h"

/* The kinds; mb_source_open chooses by content. */
mb_status_t mb_source_open_hdf5(const char *path, const mb_source_wants_t *wants,
                                mb_source_t **out);
mb_status_t mb_source_open_idx(const char *path, const mb_source_wants_t *wants, mb_source_t **out);
/* An NPY file, "X.npy,Y.npy", a folder of NPY files, or an NPZ archive. */
mb_status_t mb_source_open_npy(const char *path, const mb_source_wants_t *wants, mb_source_t **out);
mb_status_t mb_source_open_npz(const char *path, const mb_source_wants_t *wants, mb_source_t **out);
bool mb_npy_in_folder(const char *path);
mb_status_t mb_source_open_table(char *const *paths, int n_paths, const mb_source_wants_t *wants,
                                 mb_source_t **out);
mb_status_t mb_source_open_images(const char *path, const mb_source_wants_t *wants,
                                  mb_source_t **out);
/* Sources of one structure as one; takes the parts over, with an error too. */
mb_status_t mb_source_join(mb_source_t **parts, int n_parts, mb_source_t **out);

/* The file of a field. */
const char *mb_source_path(const mb_source_t *source, int field);
/* "FILE: dataset 'x': sample 17: WHAT", MB_ERR_DATA. */
mb_status_t mb_source_fault(const mb_source_t *source, int field, int64_t sample, const char *what);
/* Every index lies inside the source, MB_ERR_ARGUMENT otherwise. */
mb_status_t mb_source_check_indices(const mb_source_t *source, const int64_t *indices,
                                    int64_t count);
/* The input may be filled with positions where the data lacks it. */
bool mb_source_is_positions(const mb_source_wants_t *wants, int input);
/* The one input that is not positions, which "x" serves whatever its name; -1 if there are more. */
int mb_source_only_input(const mb_source_wants_t *wants);
/* A source of KIND and BYTES bytes with its path and N_FIELDS zeroed fields; NULL without memory.
 * mb_source_release frees what it allocated. */
mb_source_t *mb_source_allocate(const mb_source_class_t *class_, size_t bytes, const char *path,
                                int n_fields);
void mb_source_release(mb_source_t *source);
/* Takes over what integers of the field of its name, or of a column of one, stand for. */
mb_status_t mb_source_take_words(mb_source_t *source, mb_vocabulary_t *words);
/* Marks those of N names that serve the model: each input and output by name, or x and y; all of
 * them where there is no model. */
mb_status_t mb_source_choose(const char *path, const char *const *names, int n,
                             const mb_source_wants_t *wants, bool *chosen);
/* Gives fields the trailing axis of 1 that the model wants and the data lacks. */
void mb_source_add_channel(mb_source_t *source, const mb_source_wants_t *wants);

/* The inputs' half of mb_source_match. Sources ask it before they read a first sample, so that a
 * damaged header's absurd sizes are refused by the model's shapes. */
mb_status_t mb_source_check_inputs(const mb_source_t *source, const mb_source_wants_t *wants);

/* Mixes WORD into a digest. */
uint64_t mb_digest_add(uint64_t digest, uint64_t word);
/* A digest of what is known without contents: names, shapes, types, scales, sizes. */
uint64_t mb_digest_field(uint64_t digest, const mb_field_t *field, const mb_element_t *element,
                         int64_t samples);
#define MB_DIGEST_BYTES (INT64_C(4) << 20)

#endif
