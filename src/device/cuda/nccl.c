/* The link of link.h by NCCL. The library is opened when a link is first wanted, so that a rank
 * alone, or a machine without it, does without: loading it costs some 200 MB. Its communicator does
 * not block: every call returns at once, and poll asks how far it has come. A build without nccl.h
 * has no link. */
#ifdef MB_HAVE_NCCL
#define _GNU_SOURCE
#include "device/cuda/internal.h"

#include <dlfcn.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Static_assert(sizeof(ncclUniqueId) == MB_LINK_ID_BYTES, "NCCL's names of groups");

typedef struct {
    mb_link_t base;
    int device;
    ncclComm_t comm;
} link_t;

#define NCCL_CALLS(X)                                                                              \
    X(ncclGetVersion)                                                                              \
    X(ncclGetErrorString)                                                                          \
    X(ncclGetLastError)                                                                            \
    X(ncclGetUniqueId)                                                                             \
    X(ncclCommInitRankConfig)                                                                      \
    X(ncclCommGetAsyncError)                                                                       \
    X(ncclCommFinalize)                                                                            \
    X(ncclCommDestroy)                                                                             \
    X(ncclCommAbort)                                                                               \
    X(ncclGroupStart)                                                                              \
    X(ncclGroupEnd)                                                                                \
    X(ncclSend)                                                                                    \
    X(ncclRecv)                                                                                    \
    X(ncclAllReduce)

/* Filled once, when the first link of the process is asked for. */
static struct {
    bool open;
#define DECLARE(name) __typeof__(name) *name;
    NCCL_CALLS(DECLARE)
#undef DECLARE
} nccl;

#ifdef MB_CUDASIM

static mb_status_t load(void)
{
#define TAKE(name) nccl.name = name;
    NCCL_CALLS(TAKE)
#undef TAKE
    nccl.open = true;
    return MB_OK;
}

#else

static mb_status_t find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL
               ? MB_OK
               : mb_error_set(MB_ERR_UNSUPPORTED, "libnccl.so.2 is too old: it lacks %s", name);
}

static mb_status_t load(void)
{
    if (nccl.open)
        return MB_OK;
    void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return mb_error_set(MB_ERR_UNSUPPORTED, "NCCL cannot be loaded: %s", dlerror());
#define TAKE(name) MB_TRY(find(library, #name, &nccl.name));
    NCCL_CALLS(TAKE)
#undef TAKE
    nccl.open = true;
    return MB_OK;
}

#endif

static mb_status_t check(const link_t *link, ncclResult_t code, const char *what)
{
    if (code == ncclSuccess || code == ncclInProgress)
        return MB_OK;
    const char *more = nccl.ncclGetLastError(link == NULL ? NULL : link->comm);
    bool says = more != NULL && more[0] != '\0';
    return mb_error_set(MB_ERR_DEVICE, "NCCL, %s: %s%s%s", what, nccl.ncclGetErrorString(code),
                        says ? ": " : "", says ? more : "");
}

static mb_status_t nccl_describe(char *text, size_t capacity)
{
    int version = 0;
    MB_TRY(load());
    MB_TRY(check(NULL, nccl.ncclGetVersion(&version), "asking for its version"));
    snprintf(text, capacity, "NCCL %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    return MB_OK;
}

static mb_status_t nccl_identify(char id[MB_LINK_ID_BYTES])
{
    ncclUniqueId name;
    MB_TRY(load());
    MB_TRY(check(NULL, nccl.ncclGetUniqueId(&name), "naming a group of ranks"));
    memcpy(id, &name, MB_LINK_ID_BYTES);
    return MB_OK;
}

static mb_status_t nccl_open(mb_device_t *device, const char id[MB_LINK_ID_BYTES], int ranks,
                             int rank, mb_link_t **out)
{
    ncclUniqueId name;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    MB_TRY(load());
    link_t *link = calloc(1, sizeof *link);
    if (link == NULL)
        return mb_error_memory("a link", sizeof *link);
    link->base.class_ = &mb_link_nccl;
    link->device = ((mb_cuda_t *)device)->index;
    memcpy(&name, id, MB_LINK_ID_BYTES);
    config.blocking = 0;
    mb_status_t status = mb_cuda_check(cudaSetDevice(link->device), "choosing the device");
    if (status == MB_OK)
        status = check(NULL, nccl.ncclCommInitRankConfig(&link->comm, ranks, name, rank, &config),
                       "joining the ranks");
    if (status != MB_OK) {
        free(link);
        return status;
    }
    *out = &link->base;
    return MB_OK;
}

static link_t *link_of(mb_link_t *link)
{
    return (link_t *)link;
}

static mb_status_t nccl_poll(mb_link_t *base, bool *ready)
{
    link_t *link = link_of(base);
    ncclResult_t state = ncclSuccess;
    MB_TRY(check(link, nccl.ncclCommGetAsyncError(link->comm, &state), "asking how it stands"));
    *ready = state != ncclInProgress;
    return check(link, state, "moving messages");
}

static mb_status_t nccl_group_begin(mb_link_t *base)
{
    MB_TRY(mb_cuda_check(cudaSetDevice(link_of(base)->device), "choosing the device"));
    return check(link_of(base), nccl.ncclGroupStart(), "beginning a group of messages");
}

static mb_status_t nccl_group_end(mb_link_t *base)
{
    return check(link_of(base), nccl.ncclGroupEnd(), "handing messages over");
}

static cudaStream_t stream_of(mb_stream_t *stream)
{
    return ((mb_cuda_stream_t *)stream)->stream;
}

/* A group that is left open would hold up what this thread does next, the abort too. */
static mb_status_t check_in_group(const link_t *link, ncclResult_t code, const char *what)
{
    mb_status_t status = check(link, code, what);
    if (status != MB_OK)
        nccl.ncclGroupEnd();
    return status;
}

static mb_status_t nccl_send(mb_link_t *base, const void *buffer, size_t bytes, int peer,
                             mb_stream_t *stream)
{
    link_t *link = link_of(base);
    return check_in_group(
        link, nccl.ncclSend(buffer, bytes, ncclInt8, peer, link->comm, stream_of(stream)),
        "sending");
}

static mb_status_t nccl_receive(mb_link_t *base, void *buffer, size_t bytes, int peer,
                                mb_stream_t *stream)
{
    link_t *link = link_of(base);
    return check_in_group(
        link, nccl.ncclRecv(buffer, bytes, ncclInt8, peer, link->comm, stream_of(stream)),
        "receiving");
}

static mb_status_t nccl_sum(mb_link_t *base, void *buffer, int64_t count, bool wide,
                            mb_stream_t *stream)
{
    link_t *link = link_of(base);
    MB_TRY(mb_cuda_check(cudaSetDevice(link->device), "choosing the device"));
    return check(link,
                 nccl.ncclAllReduce(buffer, buffer, (size_t)count, wide ? ncclFloat64 : ncclFloat32,
                                    ncclSum, link->comm, stream_of(stream)),
                 "summing over ranks");
}

enum { CLOSE_MILLISECONDS = 5000 };

/* The ranks end together, but not for ever. */
static bool is_flushed(link_t *link)
{
    bool ready = false;
    if (check(link, nccl.ncclCommFinalize(link->comm), "ending") != MB_OK)
        return false;
    for (int i = 0; i < CLOSE_MILLISECONDS && !ready; i++) {
        if (nccl_poll(&link->base, &ready) != MB_OK)
            return false;
        if (!ready)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return ready;
}

static void nccl_close(mb_link_t *base, bool abort)
{
    link_t *link = link_of(base);
    cudaSetDevice(link->device);
    if (!abort && is_flushed(link))
        nccl.ncclCommDestroy(link->comm);
    else
        nccl.ncclCommAbort(link->comm);
    free(link);
}

const mb_link_class_t mb_link_nccl = {.size = sizeof(mb_link_class_t),
                                      .describe = nccl_describe,
                                      .identify = nccl_identify,
                                      .open = nccl_open,
                                      .poll = nccl_poll,
                                      .group_begin = nccl_group_begin,
                                      .group_end = nccl_group_end,
                                      .send = nccl_send,
                                      .receive = nccl_receive,
                                      .sum = nccl_sum,
                                      .close = nccl_close};

#endif
