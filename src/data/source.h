/* A source of samples: how many there are, and the samples by index into a buffer of the caller's.
 *
 * A source is a struct of function pointers that begins with its size. Data may be larger than
 * memory; a source reads what it is asked for. One source has several fields (a model input or
 * output each), all with the same number of samples along their first axis. */
#ifndef MB_DATA_SOURCE_H
#define MB_DATA_SOURCE_H

#include "base/error.h"
#include "base/types.h"

typedef struct mb_source mb_source_t;

typedef struct {
    const char *name;  /* dataset name: "x", "y", a model input's or output's name, "tokens" */
    mb_shape_t shape;  /* of one sample; never open */
    mb_dtype_t stored; /* element type in the file; after scale and offset values are float */
    bool integral;     /* stored is an integer type and no scale or offset applies */
    const char *path;  /* the file that holds it, for messages; NULL: the source's */
} mb_field_t;

typedef struct {
    size_t size;
    const char *kind; /* "hdf5", "idx", "arrays" */
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
    char *path; /* for messages */
    int64_t samples;
    int64_t first; /* of a slice: its first sample in the whole, for messages */
    int n_fields;
    mb_field_t *fields;
    uint64_t digest; /* of names, shapes, types, sizes and up to 4 MiB of evenly spread contents:
                        tells one data set from another on resume */
};

/* What the model wants of its data. */
typedef struct {
    int n_inputs, n_outputs;
    const char *const *input_names;
    const char *const *output_names;
    const mb_shape_t *input_shapes; /* without the sample axis; may have open dimensions */
} mb_source_wants_t;

/* Opens PATH by what it contains. HDF5: one dataset per model input and output by name, or `x` and
 * `y`; `tokens` (1-D: a stream cut into windows of the model's length T, window i = tokens
 * [i T, i T + T], inputs its first T, targets its last T; 2-D: a row of T + 1 a sample) gives
 * the fields "x" (or the input's name) and "y". scale_factor and add_offset attributes are
 * obeyed. An IDX file, raw or gzip: images; its labels file is found beside it by the usual
 * names (images-idx3 -> labels-idx1), or PATH is "IMAGES,LABELS"; IDX uint8 images are scaled by
 * 1/255. PATH may be a folder that holds train-images-idx3-ubyte[.gz] and so on: "DIR" takes
 * train-*, "DIR:test" t10k-*. A trailing channel axis of 1 that the model wants and the data lacks
 * is added. A model input named `positions` that the data lacks gives 0..T-1.
 * Not collective. */
mb_status_t mb_source_open(const char *path, const mb_source_wants_t *wants, mb_source_t **out);

/* Arrays of the caller's, not copied. Not collective. */
typedef struct {
    const char *name;
    mb_shape_t shape; /* of one sample */
    mb_dtype_t dtype; /* MB_F32, MB_F64, MB_I32, MB_I64, MB_U8 */
    const void *data;
} mb_array_t;
mb_status_t mb_source_from_arrays(const mb_array_t *arrays, int n_arrays, int64_t samples,
                                  mb_source_t **out);

/* A contiguous run of another source's samples; closes nothing of it. For --val-split. */
mb_status_t mb_source_slice(mb_source_t *whole, int64_t first, int64_t count, mb_source_t **out);

void mb_source_close(mb_source_t *source);
/* Index of a field by name, -1 if there is none. */
int mb_source_field(const mb_source_t *source, const char *name);
/* Finds the field of every model input and output: by name, else "x" (the only input) and "y" (the
 * only output); wants->n_outputs may be 0 (prediction). Shapes are compared; an error names both
 * shapes. Fields are -1 where an input is to be filled with positions. */
mb_status_t mb_source_match(const mb_source_t *source, const mb_source_wants_t *wants,
                            int *input_fields, int *output_fields);

#endif
