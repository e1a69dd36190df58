/* Einstein's sums: which axis of each operand a letter names, and the contraction that this is for
 * given tensors (contract.h). An ellipsis stands for letters that are not in the equation. */
#ifndef MB_MODEL_LAYERS_EINSUM_H
#define MB_MODEL_LAYERS_EINSUM_H

#include "model/layers/contract.h"

#define MB_EINSUM_AXES (MB_MAX_RANK + 1) /* the samples and a tensor's */
#define MB_EINSUM_OPERANDS 2

typedef struct {
    int rank;
    int label[MB_EINSUM_AXES];
} mb_subscripts_t;

typedef struct {
    int n_operands;
    mb_subscripts_t operands[MB_EINSUM_OPERANDS], result;
} mb_einsum_t;

/* Reads "ab,bc->ac" for operands of so many axes; without an arrow the result has the letters that
 * stand once, in their order. MB_ERR_ARGUMENT says, behind WHERE, what is wrong. */
mb_status_t mb_einsum_read(const char *equation, const char *where, int n_operands,
                           const int *ranks, mb_einsum_t *out);

/* Whether the subscripts have the label. */
bool mb_subscripts_have(const mb_subscripts_t *subscripts, int label);
/* "axis 'b'", or an axis of the ellipsis. Returns BUFFER. */
#define MB_EINSUM_TEXT 40
const char *mb_einsum_axis_text(int label, char buffer[MB_EINSUM_TEXT]);

/* A tensor as the contraction sees it: the size of each axis its subscripts name. */
typedef struct {
    const mb_subscripts_t *subscripts;
    int64_t dim[MB_EINSUM_AXES];
} mb_einsum_tensor_t;

/* c = a b; B may be NULL. All sizes are known and agree. */
mb_contraction_t mb_einsum_contraction(const mb_einsum_tensor_t *a, const mb_einsum_tensor_t *b,
                                       const mb_einsum_tensor_t *c);

#endif
