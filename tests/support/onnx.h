/* ONNX node test vectors: a reader of the few protobuf fields that they use. A vector is a folder
 * with model.onnx, which holds one node, and its inputs and outputs as tensors. */
#ifndef MB_TESTS_SUPPORT_ONNX_H
#define MB_TESTS_SUPPORT_ONNX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ONNX_NODES "/usr/share/libonnx-testdata/data/node"
#define ONNX_MOST_RANK 8
#define ONNX_MOST_TENSORS 12
#define ONNX_MOST_ATTRIBUTES 12

typedef struct {
    int rank;
    int64_t dim[ONNX_MOST_RANK];
    int64_t count;
    double *value; /* every element type used here fits */
} onnx_tensor_t;

typedef struct {
    char name[48];
    double number; /* of a float or an integer */
    char text[32];
    int n_integers;
    int64_t integer[ONNX_MOST_RANK * 2];
} onnx_attribute_t;

typedef struct {
    char operation[48];
    int n_nodes;
    int n_attributes;
    onnx_attribute_t attribute[ONNX_MOST_ATTRIBUTES];
    int n_inputs, n_outputs;
    onnx_tensor_t input[ONNX_MOST_TENSORS], output[ONNX_MOST_TENSORS];
} onnx_vector_t;

/* True where the package is installed. */
bool onnx_is_there(void);
/* Reads ONNX_NODES/NAME; false when there is no such vector or it cannot be read. */
bool onnx_load(const char *name, onnx_vector_t *vector);
void onnx_free(onnx_vector_t *vector);

/* NULL when absent. */
const onnx_attribute_t *onnx_attribute(const onnx_vector_t *vector, const char *name);
double onnx_number(const onnx_vector_t *vector, const char *name, double otherwise);

#endif
