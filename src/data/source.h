/* A source of samples: how many there are, and the samples by index into a buffer of the caller's.
 *
 * A source is a struct of function pointers that begins with its size. Data may be larger than
 * memory; a source reads what it is asked for. One source has several fields (a model input or
 * output each), all with the same number of samples along their first axis. */
#ifndef MB_DATA_SOURCE_H
#define MB_DATA_SOURCE_H

#include "base/error.h"
#include "base/types.h"
#include "data/vocabulary.h"

typedef struct mb_source mb_source_t;

typedef struct {
    const char *name;  /* dataset name: "x", "y", a model input's or output's name, "tokens" */
    mb_shape_t shape;  /* of one sample; never open */
    mb_dtype_t stored; /* element type in the file; after scale and offset values are float */
    bool integral;     /* stored is an integer type and no scale or offset applies */
    const char *path;  /* the file that holds it, for messages; NULL: the source's */
    int64_t classes;   /* its integers are words of a vocabulary of so many; 0: they are not */
} mb_field_t;

typedef struct {
    size_t size;
    const char *kind; /* "hdf5", "idx", "arrays", "held", "npy", "table", "images", "joined",
                         "plugin" */
    void (*close)(mb_source_t *source);
    /* Reads COUNT samples whose indices are given into TO: float32, or int32 when as_int. Scale
     * and offset are applied. Checks: NaN or infinity in the data, an integer out of int32's range,
     * a fraction where integers are wanted: MB_ERR_DATA, naming file, dataset, sample. May be
     * called from any threads at once when thread_ok, else from the opener's only. */
    mb_status_t (*read)(mb_source_t *source, int field, const int64_t *indices, int64_t count,
                        bool as_int, void *to);
    bool thread_ok; /* read never enters HDF5 (Debian's is not thread-safe) */
} mb_source_class_t;

struct mb_source {
    const mb_source_class_t *class_;
    /* Says ahead what will be read next, so that it comes meanwhile; the very lists of a read, in
     * the order of the reads. NULL: nothing is gained by that. */
    mb_status_t (*expect)(mb_source_t *source, int field, const int64_t *indices, int64_t count);
    char *path; /* for messages */
    int64_t samples;
    int64_t first; /* of a slice: its first sample in the whole, for messages */
    bool by_class; /* samples come class by class, so that no part of them stands for all */
    int n_fields;
    mb_field_t *fields;
    mb_vocabularies_t words; /* what integers in the fields stand for */
    uint64_t digest; /* of names, shapes, types, sizes and up to 4 MiB of evenly spread contents:
                        tells one data set from another on resume */
};

/* What is said about data beside its name. All may be zero. */
typedef struct {
    const char *label;              /* a table's column of targets, by name or place */
    bool columns;                   /* a table without a model: a field a column */
    const mb_vocabularies_t *known; /* of the data that this data goes with: words must be among
                                       them and have their integers */
    int64_t image_size[3]; /* height, width, channels where no model tells; 0: the files' */
    int64_t image_cache; /* bytes of decoded images to keep for the next time they are asked for */
    void (*progress)(void *user, int64_t done, int64_t total); /* of opening; NULL: none */
    void *user;
} mb_source_form_t;

/* What the model wants of its data. No inputs: whatever there is. */
typedef struct {
    int n_inputs, n_outputs;
    const char *const *input_names;
    const char *const *output_names;
    const mb_shape_t *input_shapes; /* without the sample axis; may have open dimensions */
    mb_source_form_t form;
} mb_source_wants_t;

/* Opens the data that PATH names: a file or a folder, or several by lines and patterns
 * (data/paths.h), which are of one structure and joined in the order of their names. Tables are
 * known by their ending (csv.h), all else by what it contains.
 *
 * HDF5: one dataset per model input and output by name, or `x` and `y`; beside outputs also
 * `sample_weight`, of all of them, or `sample_weight_OUTPUT`, of one; `tokens` (1-D: a stream cut
 * into windows of the model's length T, window i = tokens [i T, i T + T], inputs its first T,
 * targets its last T; 2-D: a row of T + 1 a sample) gives the fields "x" (or the input's name) and
 * "y". scale_factor and add_offset attributes are obeyed.
 *
 * IDX, raw or gzip: images; the labels file is found beside it by the usual names (images-idx3 ->
 * labels-idx1), or PATH is "IMAGES,LABELS"; uint8 images are scaled by 1/255. A folder that holds
 * train-images-idx3-ubyte[.gz] and so on: "DIR" takes train-*, "DIR:test" t10k-*.
 *
 * NPY: one array is `x`, "X.npy,Y.npy" are `x` and `y`; the members of an NPZ and the NPY files of
 * a folder go by their names as HDF5's datasets do.
 *
 * Tables: the targets are the column form.label, or one of the output's name, or `y`; with one
 * input all other columns are its features in their order (shaped as the input where their number
 * fits), with several each input is the column of its name. Words become integers.
 *
 * A folder of folders: PNG and JPEG images by class, in the model's size. What form.image_cache
 * holds of them is decoded once.
 *
 * A trailing channel axis of 1 that the model wants and the data lacks is added. A model input
 * named `positions` that the data lacks gives 0..T-1. Not collective. */
mb_status_t mb_source_open(const char *path, const mb_source_wants_t *wants, mb_source_t **out);

/* Arrays of the caller's, not copied. Not collective. */
typedef struct {
    const char *name;
    mb_shape_t shape; /* of one sample */
    mb_dtype_t dtype; /* MB_F32, MB_F64, MB_I32, MB_I64, MB_U8 */
    const void *data;
    bool unseen; /* memory that the host does not see: nothing of it is looked at */
} mb_array_t;
mb_status_t mb_source_from_arrays(const mb_array_t *arrays, int n_arrays, int64_t samples,
                                  mb_source_t **out);

/* The arrays of such a source lie elsewhere from now on and have another number of samples: all
 * else is as it was, the digest too. DATA: one for each array, in their order. */
void mb_source_move_arrays(mb_source_t *source, const void *const *data, int64_t samples);

/* A contiguous run of another source's samples; closes nothing of it. For --val-split. */
mb_status_t mb_source_slice(mb_source_t *whole, int64_t first, int64_t count, mb_source_t **out);

void mb_source_close(mb_source_t *source);
bool mb_source_is_table(const mb_source_t *source);
/* MB_ERR_ARGUMENT: --label with data that is no table. */
mb_status_t mb_source_refuse_label(const char *path);
/* Index of a field by name, -1 if there is none. */
int mb_source_field(const mb_source_t *source, const char *name);
/* The field with the sample weights of an output, -1 if there is none. */
int mb_source_weights(const mb_source_t *source, const char *output);
enum { MB_WEIGHTS_NAME = 192 };
/* "sample_weight_OUTPUT" into NAME; returns it. */
const char *mb_source_weights_name(const char *output, char name[MB_WEIGHTS_NAME]);
#define MB_SAMPLE_WEIGHT "sample_weight"
/* Finds the field of every model input and output: by name, else "x" (the only input) and "y" (the
 * only output); wants->n_outputs may be 0 (prediction). Shapes are compared; an error names both
 * shapes. Fields are -1 where an input is to be filled with positions. */
mb_status_t mb_source_match(const mb_source_t *source, const mb_source_wants_t *wants,
                            int *input_fields, int *output_fields);

#endif
