/* The engine, a stream for each thread, and the table of kernels. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "device/cpu/dnnl/internal.h"
#include "device/cpu/hold.h"

mb_status_t mb_dnnl_refuse(dnnl_status_t status, const char *what)
{
    if (status == dnnl_unimplemented)
        return mb_error_set(MB_ERR_UNSUPPORTED, "oneDNN has no kernel for %s on this processor",
                            what);
    if (status == dnnl_out_of_memory)
        return mb_error_memory(what, 0);
    return mb_error_set(MB_ERR_DEVICE, "oneDNN refused %s (status %d)", what, (int)status);
}

int mb_dnnl_enter_one_thread(void)
{
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    return threads;
}

void mb_dnnl_leave_one_thread(int threads)
{
    omp_set_num_threads(threads);
}

dnnl_status_t mb_dnnl_attributes(bool accumulate, dnnl_primitive_attr_t *out)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status != dnnl_success)
        return status;
    status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    /* Otherwise the environment may choose products in bf16 (ONEDNN_DEFAULT_FPMATH_MODE). */
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_fpmath_mode(attributes, dnnl_fpmath_mode_strict);
    if (status == dnnl_success && accumulate) {
        dnnl_post_ops_t sum = NULL;
        status = dnnl_post_ops_create(&sum);
        if (status == dnnl_success)
            status = dnnl_post_ops_append_sum(sum, 1.0f);
        if (status == dnnl_success)
            status = dnnl_primitive_attr_set_post_ops(attributes, sum);
        dnnl_post_ops_destroy(sum);
    }
    if (status != dnnl_success) {
        dnnl_primitive_attr_destroy(attributes);
        return status;
    }
    *out = attributes;
    return dnnl_success;
}

static mb_status_t create_streams(mb_dnnl_t *dnnl)
{
    for (int thread = 0; thread < dnnl->threads; thread++) {
        dnnl_status_t status =
            dnnl_stream_create(&dnnl->stream[thread], dnnl->engine, dnnl_stream_default_flags);
        if (status != dnnl_success)
            return mb_dnnl_refuse(status, "a stream");
    }
    return MB_OK;
}

mb_status_t mb_dnnl_create(int threads, mb_dnnl_t **out)
{
    mb_status_t status;
    mb_dnnl_t *dnnl = calloc(1, sizeof *dnnl);
    if (dnnl == NULL)
        return mb_error_memory("oneDNN's context", sizeof *dnnl);
    dnnl->threads = threads;
    dnnl->capacity = 256;
    dnnl->stream = calloc((size_t)threads, sizeof(dnnl_stream_t));
    dnnl->table = calloc(dnnl->capacity, sizeof(mb_dnnl_kernel_t *));
    if (dnnl->stream == NULL || dnnl->table == NULL) {
        status = mb_error_memory("oneDNN's context", dnnl->capacity * sizeof(void *));
        goto err_destroy;
    }
    dnnl_status_t created = dnnl_engine_create(&dnnl->engine, dnnl_cpu, 0);
    if (created != dnnl_success) {
        status = mb_dnnl_refuse(created, "the CPU engine");
        goto err_destroy;
    }
    MB_TRY_GOTO(create_streams(dnnl), status, err_destroy);
    *out = dnnl;
    return MB_OK;

err_destroy:
    mb_dnnl_destroy(dnnl);
    return status;
}

static void destroy_kernel(mb_dnnl_kernel_t *kernel)
{
    size_t objects = (size_t)kernel->dnnl->threads * (size_t)(kernel->n_arguments + 1);
    for (size_t i = 0; kernel->memory != NULL && i < objects; i++)
        if (kernel->memory[i] != NULL)
            dnnl_memory_destroy(kernel->memory[i]);
    free(kernel->memory);
    if (kernel->primitive != NULL)
        dnnl_primitive_destroy(kernel->primitive);
    free(kernel);
}

void mb_dnnl_destroy(mb_dnnl_t *dnnl)
{
    if (dnnl == NULL)
        return;
    for (size_t i = 0; dnnl->table != NULL && i < dnnl->capacity; i++)
        if (dnnl->table[i] != NULL)
            destroy_kernel(dnnl->table[i]);
    free(dnnl->table);
    for (int thread = 0; dnnl->stream != NULL && thread < dnnl->threads; thread++)
        if (dnnl->stream[thread] != NULL)
            dnnl_stream_destroy(dnnl->stream[thread]);
    free(dnnl->stream);
    if (dnnl->engine != NULL)
        dnnl_engine_destroy(dnnl->engine);
    free(dnnl);
}

void mb_dnnl_describe(char *text, size_t capacity)
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, capacity, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}

void mb_dnnl_isa(char *text, size_t capacity)
{
    snprintf(text, capacity, "0x%x", (unsigned)dnnl_get_effective_cpu_isa());
}

static bool isa_includes(dnnl_cpu_isa_t wanted)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)wanted) == (unsigned)wanted;
}

bool mb_dnnl_has_exact_integers(void)
{
    return isa_includes(dnnl_cpu_isa_avx512_core_vnni);
}

bool mb_dnnl_has_bf16(void)
{
    return isa_includes(dnnl_cpu_isa_avx512_core_bf16);
}

bool mb_dnnl_has_avx2(void)
{
    return isa_includes(dnnl_cpu_isa_avx2);
}

bool mb_dnnl_has_avx512(void)
{
    return isa_includes(dnnl_cpu_isa_avx512_core);
}

static size_t hash_key(const mb_dnnl_key_t *key)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (int i = 0; i < MB_DNNL_KEY_WORDS; i++)
        hash = (hash ^ (uint64_t)key->word[i]) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash ^ hash >> 29);
}

static size_t slot_of(const mb_dnnl_t *dnnl, const mb_dnnl_key_t *key)
{
    size_t slot = hash_key(key) & (dnnl->capacity - 1);
    while (dnnl->table[slot] != NULL && memcmp(&dnnl->table[slot]->key, key, sizeof *key) != 0)
        slot = (slot + 1) & (dnnl->capacity - 1);
    return slot;
}

mb_dnnl_kernel_t *mb_dnnl_find(const mb_dnnl_t *dnnl, const mb_dnnl_key_t *key)
{
    return dnnl->table[slot_of(dnnl, key)];
}

static mb_status_t make_room(mb_dnnl_t *dnnl)
{
    if (2 * (dnnl->count + 1) <= dnnl->capacity)
        return MB_OK;
    mb_dnnl_kernel_t **old = dnnl->table;
    size_t old_capacity = dnnl->capacity;
    mb_dnnl_kernel_t **table = calloc(2 * old_capacity, sizeof(mb_dnnl_kernel_t *));
    if (table == NULL)
        return mb_error_memory("the table of kernels", 2 * old_capacity * sizeof(void *));
    dnnl->table = table;
    dnnl->capacity = 2 * old_capacity;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i] != NULL)
            table[slot_of(dnnl, &old[i]->key)] = old[i];
    free(old);
    return MB_OK;
}

static mb_status_t create_memory(mb_dnnl_kernel_t *kernel, const dnnl_memory_desc_t *const *memory,
                                 const dnnl_memory_desc_t *scratch)
{
    size_t columns = (size_t)kernel->n_arguments + 1;
    size_t objects = (size_t)kernel->dnnl->threads * columns;
    kernel->memory = calloc(objects, sizeof(dnnl_memory_t));
    if (kernel->memory == NULL)
        return mb_error_memory("a kernel's arguments", objects * sizeof(dnnl_memory_t));
    for (size_t i = 0; i < objects; i++) {
        size_t column = i % columns;
        const dnnl_memory_desc_t *descriptor = column + 1 == columns ? scratch : memory[column];
        dnnl_status_t status = dnnl_memory_create(&kernel->memory[i], descriptor,
                                                  kernel->dnnl->engine, DNNL_MEMORY_NONE);
        if (status != dnnl_success)
            return mb_dnnl_refuse(status, "a kernel's arguments");
    }
    return MB_OK;
}

static dnnl_status_t create_primitive(dnnl_primitive_t *out, dnnl_primitive_desc_t descriptor)
{
    int threads = mb_dnnl_enter_one_thread();
    dnnl_status_t status = dnnl_primitive_create(out, descriptor);
    mb_dnnl_leave_one_thread(threads);
    return status;
}

static mb_status_t fill_kernel(mb_dnnl_kernel_t *kernel, dnnl_primitive_desc_t descriptor,
                               const int *argument, const dnnl_memory_desc_t *const *memory)
{
    for (int i = 0; i < kernel->n_arguments; i++)
        kernel->argument[i] = argument[i];
    const dnnl_memory_desc_t *scratch =
        dnnl_primitive_desc_query_md(descriptor, dnnl_query_scratchpad_md, 0);
    kernel->scratch_bytes = dnnl_memory_desc_get_size(scratch);
    dnnl_status_t status = create_primitive(&kernel->primitive, descriptor);
    if (status != dnnl_success)
        return mb_dnnl_refuse(status, "a kernel");
    return create_memory(kernel, memory, scratch);
}

mb_status_t mb_dnnl_add(mb_dnnl_t *dnnl, const mb_dnnl_key_t *key, dnnl_primitive_desc_t descriptor,
                        int n_arguments, const int *argument,
                        const dnnl_memory_desc_t *const *memory, mb_dnnl_kernel_t **out)
{
    mb_status_t status;
    mb_dnnl_kernel_t *kernel = calloc(1, sizeof *kernel);
    if (kernel == NULL) {
        status = mb_error_memory("a kernel", sizeof *kernel);
        goto out;
    }
    kernel->key = *key;
    kernel->dnnl = dnnl;
    kernel->n_arguments = n_arguments;
    MB_TRY_GOTO(fill_kernel(kernel, descriptor, argument, memory), status, err_kernel);
    MB_TRY_GOTO(make_room(dnnl), status, err_kernel);
    dnnl->table[slot_of(dnnl, key)] = kernel;
    dnnl->count++;
    *out = kernel;
    goto out;

err_kernel:
    destroy_kernel(kernel);
out:
    dnnl_primitive_desc_destroy(descriptor);
    return status;
}

mb_status_t mb_dnnl_add_repack(mb_dnnl_t *dnnl, const mb_dnnl_key_t *key,
                               const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                               mb_dnnl_kernel_t **out)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_status_t status = mb_dnnl_attributes(false, &attributes);
    if (status == dnnl_success) {
        int threads = mb_dnnl_enter_one_thread();
        status = dnnl_reorder_primitive_desc_create(&descriptor, from, dnnl->engine, to,
                                                    dnnl->engine, attributes);
        mb_dnnl_leave_one_thread(threads);
        dnnl_primitive_attr_destroy(attributes);
    }
    if (status != dnnl_success)
        return mb_dnnl_refuse(status, "the order of weights");
    const int argument[] = {DNNL_ARG_FROM, DNNL_ARG_TO};
    const dnnl_memory_desc_t *memory[] = {from, to};
    return mb_dnnl_add(dnnl, key, descriptor, 2, argument, memory, out);
}

size_t mb_dnnl_scratch_bytes(const mb_dnnl_kernel_t *kernel)
{
    return kernel->scratch_bytes;
}

/* oneDNN's handles are not const; what a kernel only reads stays unwritten. */
static dnnl_status_t set_handle(dnnl_memory_t memory, const void *handle)
{
    return dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)handle);
}

void mb_dnnl_run(mb_dnnl_kernel_t *kernel, int thread, const void *const *arguments, void *scratch)
{
    int n = kernel->n_arguments;
    dnnl_memory_t *memory = kernel->memory + (size_t)thread * (size_t)(n + 1);
    dnnl_exec_arg_t list[MB_DNNL_MAX_ARGUMENTS + 1];
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < n && status == dnnl_success; i++) {
        status = set_handle(memory[i], arguments[i]);
        list[i] = (dnnl_exec_arg_t){kernel->argument[i], memory[i]};
    }
    if (status == dnnl_success)
        status = set_handle(memory[n], scratch);
    list[n] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, memory[n]};
    if (thread == 0)
        mb_hold_signals(); /* the job's end lets them through */
    if (status == dnnl_success)
        status =
            dnnl_primitive_execute(kernel->primitive, kernel->dnnl->stream[thread], n + 1, list);
    if (status != dnnl_success)
        atomic_store(&kernel->dnnl->failure, (int)status);
}

mb_status_t mb_dnnl_take_status(mb_dnnl_t *dnnl)
{
    int failure = atomic_exchange(&dnnl->failure, (int)dnnl_success);
    return failure == (int)dnnl_success ? MB_OK
                                        : mb_dnnl_refuse((dnnl_status_t)failure, "to run a kernel");
}
