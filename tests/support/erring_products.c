/* Preloaded: a rank whose products of matrices go wrong without a word, as those of a worn
 * processor or of a memory without a check do. On rank ERRING_RANK, from call ERRING_FROM of oneDNN
 * on, so many as ERRING_CALLS:
 *
 *     ERRING_WHAT=result    a bit of what the call has written is another
 *     ERRING_WHAT=nan       a number of it is NaN
 *     ERRING_WHAT=weights   a bit of the second factor is another, before the call, and stays so */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <dnnl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static long number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtol(text, NULL, 10);
}

static int is_due(void)
{
    static atomic_long calls;
    long call = atomic_fetch_add(&calls, 1) - number("ERRING_FROM", 0);
    return number("OMPI_COMM_WORLD_RANK", 0) == number("ERRING_RANK", 0) && call >= 0 &&
           call < number("ERRING_CALLS", 1);
}

static int wants(const char *what)
{
    const char *wanted = getenv("ERRING_WHAT");
    return wanted != NULL && strcmp(wanted, what) == 0;
}

static uint32_t *find(const dnnl_exec_arg_t *arguments, int n, int which)
{
    void *memory = NULL;
    for (int i = 0; i < n; i++) {
        if (arguments[i].arg == which)
            dnnl_memory_get_data_handle(arguments[i].memory, &memory);
    }
    return memory;
}

static void flip(uint32_t *word, uint32_t bits)
{
    if (word != NULL)
        *word ^= bits;
}

dnnl_status_t dnnl_primitive_execute(const_dnnl_primitive_t primitive, dnnl_stream_t stream, int n,
                                     const dnnl_exec_arg_t *arguments)
{
    dnnl_status_t (*real)(const_dnnl_primitive_t, dnnl_stream_t, int, const dnnl_exec_arg_t *);
    void *symbol = dlsym(RTLD_NEXT, "dnnl_primitive_execute");
    memcpy(&real, &symbol, sizeof real);
    int due = is_due();
    if (due && wants("weights"))
        flip(find(arguments, n, DNNL_ARG_WEIGHTS), UINT32_C(1) << 18);
    dnnl_status_t status = real(primitive, stream, n, arguments);
    uint32_t *result = find(arguments, n, DNNL_ARG_DST);
    if (due && wants("result"))
        flip(result, UINT32_C(1) << 18);
    if (due && wants("nan") && result != NULL)
        *result = UINT32_C(0x7FC00000);
    return status;
}
