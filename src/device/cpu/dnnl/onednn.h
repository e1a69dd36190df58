/* oneDNN behind a small wall: every call of it stands in this folder, so that another library can
 * serve where it is slow.
 *
 * A kernel is one primitive that was created for one thread, with a set of argument objects for
 * each thread of the device, so that tiles of different threads may run the same kernel at a time.
 * Kernels are kept by shape: the first call for a shape (while planning) creates, later ones look
 * up. */
#ifndef MB_DEVICE_CPU_DNNL_ONEDNN_H
#define MB_DEVICE_CPU_DNNL_ONEDNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct mb_dnnl mb_dnnl_t;
typedef struct mb_dnnl_kernel mb_dnnl_kernel_t;

mb_status_t mb_dnnl_create(int threads, mb_dnnl_t **out);
void mb_dnnl_destroy(mb_dnnl_t *dnnl);

/* "oneDNN 2.6.3"; the instruction set it has chosen, as its number. */
void mb_dnnl_describe(char *text, size_t capacity);
void mb_dnnl_isa(char *text, size_t capacity);
/* Whether products of U8S8 are exact: without VNNI oneDNN adds pairs of products in 16 bits, which
 * saturate silently. And whether the processor multiplies bf16 itself. Both follow
 * ONEDNN_MAX_CPU_ISA. */
bool mb_dnnl_has_exact_integers(void);
bool mb_dnnl_has_bf16(void);
/* Whether kernels of our own may use these instructions, too. */
bool mb_dnnl_has_avx2(void);
bool mb_dnnl_has_avx512(void);

/* Bytes of scratch memory that each thread running the kernel needs. */
size_t mb_dnnl_scratch_bytes(const mb_dnnl_kernel_t *kernel);

/* Runs on the calling thread, which is THREAD of the device. ARGUMENTS are in the order given where
 * the kernel is made. A failure is kept until mb_dnnl_take_status. */
void mb_dnnl_run(mb_dnnl_kernel_t *kernel, int thread, const void *const *arguments, void *scratch);
mb_status_t mb_dnnl_take_status(mb_dnnl_t *dnnl);

/* C[m,n] = A B (+ bias) (+ C). Arguments: a, b, c, bias. */
typedef enum {
    MB_DNNL_F32 = 0,
    MB_DNNL_BF16, /* A and B bf16, C and bias float */
    MB_DNNL_U8S8  /* A uint8, B int8, C int32, no bias */
} mb_dnnl_type_t;

typedef struct {
    mb_dnnl_type_t type;
    int64_t m, n, k, lda, ldb, ldc;
    bool transpose_a, transpose_b, accumulate, bias;
} mb_dnnl_matmul_t;
mb_status_t mb_dnnl_matmul(mb_dnnl_t *dnnl, const mb_dnnl_matmul_t *shape, mb_dnnl_kernel_t **out);

/* A kernel one of whose arguments is in an order of the kernel's own, and the one that brings it
 * there. */
typedef struct {
    mb_dnnl_kernel_t *kernel;
    mb_dnnl_kernel_t
        *repack; /* arguments: from, to. Backward weights: from packed; else to packed */
    size_t packed_bytes;
    /* Of a B of k x n that may be packed by hand: DEPTH rows to a word of 4 bytes, 64 columns side
     * by side, all rows of them (up to padded_k, with zeros), then the next 64 columns. Depth 0: it
     * has another order. */
    int64_t depth, k, n, padded_k, ldb;
} mb_dnnl_packed_t;
#define MB_DNNL_PACKED_COLUMNS 64

/* The same with B packed: several times as fast for small numbers, whose tile instructions oneDNN
 * uses on packed B alone, and where neither A nor C has gaps between its rows. */
mb_status_t mb_dnnl_packed_matmul(mb_dnnl_t *dnnl, const mb_dnnl_matmul_t *shape,
                                  mb_dnnl_packed_t *out);

/* A convolution over channels-last images or volumes. Weights are in the primitive's own order;
 * pack and unpack turn [kh,kw,ci/groups,co] into it and back. */
typedef enum {
    MB_DNNL_CONV_FORWARD,         /* x, packed w, y, bias */
    MB_DNNL_CONV_BACKWARD_INPUT,  /* dy, packed w, dx */
    MB_DNNL_CONV_BACKWARD_WEIGHTS /* x, dy, packed dw */
} mb_dnnl_conv_kind_t;

typedef struct {
    mb_dnnl_conv_kind_t kind;
    bool bias;
    int64_t samples, channels_in, channels_out, groups;
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad_before[2], pad_after[2];
    struct {
        int64_t in, out, kernel, stride, dilation, pad_before, pad_after;
    } depth; /* of volumes; kernel 0: there is none */
} mb_dnnl_conv_t;

mb_status_t mb_dnnl_conv(mb_dnnl_t *dnnl, const mb_dnnl_conv_t *shape, mb_dnnl_packed_t *out);
/* Whether two convolutions have their packed weights in one order. */
bool mb_dnnl_same_order(const mb_dnnl_packed_t *a, const mb_dnnl_packed_t *b);

#endif
