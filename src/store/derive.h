/* A new HDF5 file made of another model file's tables: which of its tensors go along, under what
 * names, from where their values come and what they are stored as.
 *
 * With all weights under their names it is a model. Otherwise it has no model_config and holds
 * weights, or moments, alone: `mbrun --weights` and Keras' load_weights(by_name=True) read it. */
#ifndef MB_STORE_DERIVE_H
#define MB_STORE_DERIVE_H

#include "store/checkpoint.h"

typedef struct {
    const char *from, *to; /* whole components of a path */
} mb_renaming_t;

/* The values of a tensor of the file, as float32. */
typedef mb_status_t (*mb_derive_read_t)(void *user, const mb_stored_tensor_t *tensor,
                                        float *values);

typedef struct {
    const mb_model_file_t *file; /* arranged: with layers */
    bool weights, moments;
    int n_only, n_except; /* patterns of labels (labels.h), of layers, or of moments' weights */
    const char *const *only, *const *except;
    int n_renamings;
    const mb_renaming_t *renamings;
    const mb_format_t *format; /* of what has rows and columns, a float format; NULL: float32 */
    mb_derive_read_t read;     /* NULL: the file's own values */
    void *user;
} mb_derivation_t;

typedef struct {
    int weights, moments; /* that went along */
    bool is_model;
} mb_derived_t;

/* TO is replaced as a whole. MB_ERR_ARGUMENT: a pattern or a renaming that applies to nothing, two
 * layers of one name, nothing left. Not collective. */
mb_status_t mb_derive(const mb_derivation_t *how, const char *to, mb_derived_t *derived);

/* derive_names.c: whether a tensor goes along, and its name; both mark in USED (only, except, then
 * renamings) what applied. */
bool mb_derive_takes(const mb_derivation_t *how, const char *label, const char *part, bool *used);
const char *mb_derive_name(const mb_derivation_t *how, mb_arena_t *arena, const char *name,
                           bool *used);

#endif
