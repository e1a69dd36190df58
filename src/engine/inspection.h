/* What is seen of a file: the graph's layers where this build understands them, the file's own
 * otherwise. */
#ifndef MB_ENGINE_INSPECTION_H
#define MB_ENGINE_INSPECTION_H

#include <jansson.h>
#include "model/graph.h"
#include "store/model_file.h"

typedef struct {
    const char *name, *class_name, *output; /* "?" where unknown */
    int64_t parameters;
} mb_layer_line_t;

/* Of weights or of moments together. */
typedef struct {
    int64_t elements, bytes;
    int64_t plain_bytes; /* as float32 */
} mb_storage_t;

typedef struct {
    mb_arena_t *arena;
    mb_model_file_t *file;
    mb_graph_t *graph; /* NULL: not understood */
    bool bound;        /* shapes are known */
    const char *name, *optimizer;
    int64_t parameters, trainable;
    mb_storage_t weights, moments;
    int n_layers;
    mb_layer_line_t *layers;
    char problem[512]; /* why shapes are unknown; "": they are known */
} mb_inspection_t;

/* Free it also after an error. */
mb_status_t mb_inspect(const char *path, mb_inspection_t *out);
void mb_inspection_free(mb_inspection_t *seen);
/* A new reference. */
json_t *mb_inspection_json(const mb_inspection_t *seen);

#endif
