/* Contractions of two tensors, c (+)= the sum of a b over the axes that c has not: products of
 * matrices where the axes lie so, or where copies do whose axes are in order, and otherwise one
 * function of strided operands (MAP, ops.h). Which follows from the shapes alone. */
#ifndef MB_MODEL_LAYERS_CONTRACT_H
#define MB_MODEL_LAYERS_CONTRACT_H

#include "model/layers/view.h"

#define MB_CONTRACT_LABELS                                                                         \
    MB_LAYER_VIEW_AXES /* the axes that two operands of MB_MAX_RANK and samples may have */
enum { MB_CONTRACT_A, MB_CONTRACT_B, MB_CONTRACT_C, MB_CONTRACT_OPERANDS };

/* Axes by label. An axis that two of an operand's own share runs along its diagonal. */
typedef struct {
    mb_dtype_t type;
    bool wide;  /* c is float32: gradients of weights */
    bool alone; /* there is no b, which is as if it were 1 */
    int n;
    int64_t dim[MB_CONTRACT_LABELS];
    bool has[MB_CONTRACT_OPERANDS][MB_CONTRACT_LABELS];
    int64_t stride[MB_CONTRACT_OPERANDS][MB_CONTRACT_LABELS]; /* 0 where it has no such axis */
    int64_t elements[MB_CONTRACT_OPERANDS];                   /* of the whole tensor */
    bool diagonal[MB_CONTRACT_OPERANDS];
} mb_contraction_t;

/* The same with the operands at places A, B and C: the gradient of one of them from the others. */
mb_contraction_t mb_contraction_turned(const mb_contraction_t *contraction, int a, int b, int c);

/* One product of matrices without copies: x [rows, in] of the samples, a kernel [in, out], and what
 * they give [rows, out]. */
bool mb_contraction_is_linear(const mb_contraction_t *contraction, mb_linear_t *out);

/* What it writes beside c while it computes. */
size_t mb_contraction_bytes(const mb_contraction_t *contraction);
mb_status_t mb_contract(const mb_run_t *run, const mb_contraction_t *contraction, const void *a,
                        const void *b, void *c, bool accumulate, void *scratch);

#endif
