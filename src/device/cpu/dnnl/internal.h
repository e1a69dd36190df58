/* What the files of this folder share. */
#ifndef MB_DEVICE_CPU_DNNL_INTERNAL_H
#define MB_DEVICE_CPU_DNNL_INTERNAL_H

#include <dnnl.h>
#include <stdatomic.h>
#include "device/cpu/dnnl/onednn.h"

#define MB_DNNL_MAX_ARGUMENTS 4
#define MB_DNNL_KEY_WORDS 28

/* What a kernel is looked up by: its kind and its numbers. */
typedef struct {
    int64_t word[MB_DNNL_KEY_WORDS];
} mb_dnnl_key_t;

struct mb_dnnl_kernel {
    mb_dnnl_key_t key;
    mb_dnnl_t *dnnl;
    dnnl_primitive_t primitive;
    int n_arguments;
    int argument[MB_DNNL_MAX_ARGUMENTS]; /* DNNL_ARG_... */
    dnnl_memory_t *memory;               /* [threads][n_arguments + 1], the last is scratch */
    size_t scratch_bytes;
    mb_dnnl_packed_t packed;  /* of one with a packed argument: itself and its repacking */
    dnnl_memory_desc_t order; /* of a convolution: of its packed weights */
};

struct mb_dnnl {
    int threads;
    dnnl_engine_t engine;
    dnnl_stream_t *stream; /* [threads] */
    atomic_int failure;    /* first dnnl_status_t that a kernel returned */
    /* An open hash table; capacity is a power of two. */
    mb_dnnl_kernel_t **table;
    size_t capacity, count;
};

mb_dnnl_kernel_t *mb_dnnl_find(const mb_dnnl_t *dnnl, const mb_dnnl_key_t *key);

/* Creates the primitive of DESCRIPTOR (which it takes over) for one thread, with its argument
 * objects, and puts the kernel into the table. MEMORY[i] describes ARGUMENT[i]. */
mb_status_t mb_dnnl_add(mb_dnnl_t *dnnl, const mb_dnnl_key_t *key, dnnl_primitive_desc_t descriptor,
                        int n_arguments, const int *argument,
                        const dnnl_memory_desc_t *const *memory, mb_dnnl_kernel_t **out);

/* The same for a change of order. */
mb_status_t mb_dnnl_add_repack(mb_dnnl_t *dnnl, const mb_dnnl_key_t *key,
                               const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                               mb_dnnl_kernel_t **out);

/* A message for a refusal of oneDNN's while WHAT was made. */
mb_status_t mb_dnnl_refuse(dnnl_status_t status, const char *what);

/* oneDNN asks OpenMP for the number of threads when it makes a primitive. */
int mb_dnnl_enter_one_thread(void);
void mb_dnnl_leave_one_thread(int threads);

/* Attributes: scratch memory given by the caller, and C += where ACCUMULATE. */
dnnl_status_t mb_dnnl_attributes(bool accumulate, dnnl_primitive_attr_t *out);

#endif
