/* Convolutions over channels-last images and volumes: the primitive chooses the order of its
 * weights, and a reorder turns Keras' [kh,kw,ci/groups,co] into it. The forward descriptor is the
 * hint that oneDNN wants for the backward ones. */
#include <stdio.h>
#include <string.h>
#include "device/cpu/dnnl/internal.h"

typedef struct {
    dnnl_memory_desc_t x, y, bias;
    dnnl_memory_desc_t any;   /* weights in the order that the primitive likes */
    dnnl_memory_desc_t plain; /* weights as Keras stores them */
    dnnl_dims_t stride, dilation, before, after;
} geometry_t;

static mb_dnnl_key_t key_of(const mb_dnnl_conv_t *s)
{
    return (mb_dnnl_key_t){{2,
                            (int64_t)s->kind,
                            s->bias,
                            s->samples,
                            s->channels_in,
                            s->channels_out,
                            s->groups,
                            s->in[0],
                            s->in[1],
                            s->out[0],
                            s->out[1],
                            s->kernel[0],
                            s->kernel[1],
                            s->stride[0],
                            s->stride[1],
                            s->dilation[0],
                            s->dilation[1],
                            s->pad_before[0],
                            s->pad_before[1],
                            s->pad_after[0],
                            s->pad_after[1],
                            s->depth.in,
                            s->depth.out,
                            s->depth.kernel,
                            s->depth.stride,
                            s->depth.dilation,
                            s->depth.pad_before,
                            s->depth.pad_after}};
}

/* Spatial dimensions of images or volumes in a row, the depth first. Their number. */
static int put_spatial(const mb_dnnl_conv_t *s, const int64_t of_image[2], int64_t of_depth,
                       dnnl_dim_t *to)
{
    int volume = s->depth.kernel > 0;
    to[0] = of_depth;
    to[volume] = of_image[0];
    to[volume + 1] = of_image[1];
    return 2 + volume;
}

static dnnl_status_t describe_weights(const mb_dnnl_conv_t *s, geometry_t *g)
{
    int64_t co = s->channels_out / s->groups, ci = s->channels_in / s->groups;
    dnnl_dims_t grouped = {s->groups, co, ci}, strides = {co, 1, s->channels_out};
    int last = 3 + put_spatial(s, s->kernel, s->depth.kernel, grouped + 3);
    int64_t step = ci * s->channels_out;
    for (int i = last - 1; i >= 3; step *= grouped[i], i--)
        strides[i] = step;
    /* Without groups the first dimension is left out. */
    int skip = s->groups == 1 ? 1 : 0;
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&g->any, last - skip, grouped + skip,
                                                        dnnl_f32, dnnl_format_tag_any);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&g->plain, last - skip, grouped + skip, dnnl_f32,
                                                  strides + skip);
    return status;
}

static void describe_moves(const mb_dnnl_conv_t *s, geometry_t *g)
{
    int n = put_spatial(s, s->stride, s->depth.stride, g->stride);
    put_spatial(s, s->dilation, s->depth.dilation, g->dilation);
    put_spatial(s, s->pad_before, s->depth.pad_before, g->before);
    put_spatial(s, s->pad_after, s->depth.pad_after, g->after);
    for (int i = 0; i < n; i++)
        g->dilation[i]--; /* oneDNN counts the gaps */
}

static dnnl_status_t describe(const mb_dnnl_conv_t *s, geometry_t *g)
{
    dnnl_dims_t x = {s->samples, s->channels_in}, y = {s->samples, s->channels_out};
    const dnnl_dims_t bias = {s->channels_out};
    int n = 2 + put_spatial(s, s->in, s->depth.in, x + 2);
    dnnl_format_tag_t order = n == 5 ? dnnl_ndhwc : dnnl_nhwc;
    put_spatial(s, s->out, s->depth.out, y + 2);
    describe_moves(s, g);
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&g->x, n, x, dnnl_f32, order);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&g->y, n, y, dnnl_f32, order);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&g->bias, 1, bias, dnnl_f32, dnnl_x);
    if (status == dnnl_success)
        status = describe_weights(s, g);
    return status;
}

static dnnl_status_t init_operation(const mb_dnnl_conv_t *s, const geometry_t *g,
                                    mb_dnnl_conv_kind_t kind, dnnl_convolution_desc_t *out)
{
    switch (kind) {
    case MB_DNNL_CONV_BACKWARD_INPUT:
        return dnnl_dilated_convolution_backward_data_desc_init(out, dnnl_convolution_direct, &g->x,
                                                                &g->any, &g->y, g->stride,
                                                                g->dilation, g->before, g->after);
    case MB_DNNL_CONV_BACKWARD_WEIGHTS:
        return dnnl_dilated_convolution_backward_weights_desc_init(
            out, dnnl_convolution_direct, &g->x, &g->any, NULL, &g->y, g->stride, g->dilation,
            g->before, g->after);
    case MB_DNNL_CONV_FORWARD:
        break;
    }
    return dnnl_dilated_convolution_forward_desc_init(
        out, dnnl_forward_training, dnnl_convolution_direct, &g->x, &g->any,
        s->bias ? &g->bias : NULL, &g->y, g->stride, g->dilation, g->before, g->after);
}

/* oneDNN 2.6.3's jit_1x1 for AVX2 gives wrong gradients of a strided 1x1 kernel's weights where
 * less than a block of 8 channels is read and rows are left over (3 channels of 8 x 8, stride 2).
 */
static bool is_wrong(const mb_dnnl_conv_t *s, const_dnnl_primitive_desc_t descriptor)
{
    const char *name = "";
    bool strided = s->stride[0] > 1 || s->stride[1] > 1 || s->depth.stride > 1;
    if (s->kind != MB_DNNL_CONV_BACKWARD_WEIGHTS || !strided || s->channels_in % 8 == 0)
        return false;
    dnnl_primitive_desc_query(descriptor, dnnl_query_impl_info_str, 0, &name);
    return strncmp(name, "jit_1x1", strlen("jit_1x1")) == 0;
}

/* The first of oneDNN's implementations, in its order, that is right. */
static dnnl_status_t choose(const mb_dnnl_t *dnnl, const mb_dnnl_conv_t *s,
                            const dnnl_convolution_desc_t *operation,
                            const_dnnl_primitive_attr_t attributes,
                            const_dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *out)
{
    dnnl_primitive_desc_iterator_t at = NULL;
    dnnl_status_t status =
        dnnl_primitive_desc_iterator_create(&at, operation, attributes, dnnl->engine, forward);
    for (; status == dnnl_success; status = dnnl_primitive_desc_iterator_next(at)) {
        *out = dnnl_primitive_desc_iterator_fetch(at);
        if (*out == NULL || !is_wrong(s, *out))
            break;
        dnnl_primitive_desc_destroy(*out);
        *out = NULL;
    }
    if (at != NULL)
        dnnl_primitive_desc_iterator_destroy(at);
    return status == dnnl_success && *out == NULL ? dnnl_out_of_memory : status;
}

static dnnl_status_t create_descriptor(const mb_dnnl_t *dnnl, const mb_dnnl_conv_t *s,
                                       const geometry_t *g, dnnl_primitive_desc_t *out)
{
    dnnl_convolution_desc_t operation;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t forward = NULL;
    dnnl_status_t status = mb_dnnl_attributes(false, &attributes);
    if (status == dnnl_success)
        status = init_operation(s, g, MB_DNNL_CONV_FORWARD, &operation);
    int threads = mb_dnnl_enter_one_thread();
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&forward, &operation, attributes, dnnl->engine, NULL);
    if (status == dnnl_success && s->kind == MB_DNNL_CONV_FORWARD) {
        *out = forward;
        forward = NULL;
    } else if (status == dnnl_success) {
        status = init_operation(s, g, s->kind, &operation);
        if (status == dnnl_success)
            status = choose(dnnl, s, &operation, attributes, forward, out);
    }
    mb_dnnl_leave_one_thread(threads);
    if (forward != NULL)
        dnnl_primitive_desc_destroy(forward);
    if (attributes != NULL)
        dnnl_primitive_attr_destroy(attributes);
    return status;
}

static mb_status_t add_repack(mb_dnnl_t *dnnl, const mb_dnnl_conv_t *s, const geometry_t *g,
                              const dnnl_memory_desc_t *packed, mb_dnnl_kernel_t **out)
{
    mb_dnnl_key_t key = key_of(s);
    key.word[0] = 3;
    const dnnl_memory_desc_t *from = &g->plain, *to = packed;
    if (s->kind == MB_DNNL_CONV_BACKWARD_WEIGHTS) {
        from = packed;
        to = &g->plain;
    }
    return mb_dnnl_add_repack(dnnl, &key, from, to, out);
}

static const dnnl_memory_desc_t *packed_weights(dnnl_primitive_desc_t descriptor,
                                                mb_dnnl_conv_kind_t kind)
{
    return kind == MB_DNNL_CONV_BACKWARD_WEIGHTS
               ? dnnl_primitive_desc_query_md(descriptor, dnnl_query_diff_weights_md, 0)
               : dnnl_primitive_desc_query_md(descriptor, dnnl_query_weights_md, 0);
}

static mb_status_t add_conv(mb_dnnl_t *dnnl, const mb_dnnl_conv_t *s, const geometry_t *g,
                            dnnl_primitive_desc_t descriptor, mb_dnnl_kernel_t **out)
{
    static const int arguments[][4] = {
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS},
        {DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC, 0},
        {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS, 0},
    };
    const dnnl_memory_desc_t *packed = packed_weights(descriptor, s->kind);
    dnnl_memory_desc_t weights = *packed;
    const dnnl_memory_desc_t *memory[3][4] = {
        {&g->x, &weights, &g->y, &g->bias},
        {&g->y, &weights, &g->x, NULL},
        {&g->x, &g->y, &weights, NULL},
    };
    mb_dnnl_key_t key = key_of(s);
    int n = s->kind == MB_DNNL_CONV_FORWARD && s->bias ? 4 : 3;
    mb_dnnl_kernel_t *kernel = NULL;
    MB_TRY(mb_dnnl_add(dnnl, &key, descriptor, n, arguments[s->kind], memory[s->kind], &kernel));
    kernel->packed.kernel = kernel;
    kernel->packed.packed_bytes = dnnl_memory_desc_get_size(&weights);
    kernel->order = weights;
    MB_TRY(add_repack(dnnl, s, g, &weights, &kernel->packed.repack));
    *out = kernel;
    return MB_OK;
}

mb_status_t mb_dnnl_conv(mb_dnnl_t *dnnl, const mb_dnnl_conv_t *shape, mb_dnnl_packed_t *out)
{
    mb_dnnl_key_t key = key_of(shape);
    mb_dnnl_kernel_t *kernel = mb_dnnl_find(dnnl, &key);
    if (kernel == NULL) {
        geometry_t geometry;
        dnnl_primitive_desc_t descriptor = NULL;
        memset(&geometry, 0, sizeof geometry);
        dnnl_status_t status = describe(shape, &geometry);
        if (status == dnnl_success)
            status = create_descriptor(dnnl, shape, &geometry, &descriptor);
        if (status != dnnl_success)
            return mb_dnnl_refuse(status, "a convolution of this shape");
        MB_TRY(add_conv(dnnl, shape, &geometry, descriptor, &kernel));
    }
    *out = kernel->packed;
    return MB_OK;
}

bool mb_dnnl_same_order(const mb_dnnl_packed_t *a, const mb_dnnl_packed_t *b)
{
    return dnnl_memory_desc_equal(&a->kernel->order, &b->kernel->order) != 0;
}
