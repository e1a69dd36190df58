/* The device: memory, streams and events, and a table of operations.
 *
 * A device is a struct of function pointers that begins with its size. Everything is asynchronous
 * in shape: an operation is put on a stream and has happened when an event recorded behind it is
 * done. On the CPU that is at once; tests/support has a device that keeps its memory apart and runs
 * operations later on a worker thread, so that code that leans on the CPU's habits fails.
 *
 * An operation is an entry of MB_OP_LIST (ops.h) and a struct of arguments that is copied when the
 * operation is put on the stream. Its pointers are device memory, aligned to 64 bytes unless said
 * otherwise, and given by the caller; an operation allocates nothing.
 *
 * Plan time: with exec->planning set, running an operation checks its arguments (pointers are not
 * followed and may be NULL, but an optional one that will be given should not be), creates what it
 * needs for these shapes (a oneDNN primitive), raises exec->workspace_needed, and computes nothing.
 * The engine walks its whole step once that way, so an operation or shape that the device lacks is
 * an error before the first step, and the step itself allocates nothing.
 *
 * The same bits for any number of threads: work is cut into tiles of a size fixed by shape alone,
 * each computed by one thread, partial sums combined in tile order. */
#ifndef MB_DEVICE_DEVICE_H
#define MB_DEVICE_DEVICE_H

#include "base/error.h"
#include "base/types.h"
#include "device/ops.h"

typedef struct mb_device mb_device_t;
typedef struct mb_stream mb_stream_t;
typedef struct mb_event mb_event_t;
typedef struct mb_recording mb_recording_t;
typedef struct mb_link_class mb_link_class_t; /* link.h */

typedef struct {
    size_t size;
    int threads;      /* CPU: threads of this rank, 0 for the OpenMP default */
    const int *cores; /* CPU: a core of its own for each of so many threads; NULL: none */
    int index;        /* which device of this machine; the CPU ignores it */
    bool emulate; /* CPU: bfloat16 and float16 also where the processor does not multiply them */
    bool tf32;    /* products of float32 tensors on tensor cores: operands rounded to TF32 */
    /* Reached by kernels at tile boundaries on the thread that called run, so that messages move
     * while kernels compute. NULL: none. Set later with mb_device_set_progress. */
    void (*progress)(void *user);
    void *progress_user;
} mb_device_options_t;

typedef enum { MB_COPY_TO_DEVICE, MB_COPY_TO_HOST, MB_COPY_ON_DEVICE } mb_copy_kind_t;

/* Where and how an operation runs. One per stream. */
typedef struct mb_exec {
    mb_device_t *device;
    mb_stream_t *stream;
    bool planning;
    void *workspace; /* device memory shared by all operations of the stream, one after the other */
    size_t workspace_bytes;
    size_t workspace_needed; /* raised while planning */
    bool draws;              /* an operation so far drew random numbers */
    mb_event_t *idle;        /* for mb_exec_sync */
    const char *layer;       /* whose operations run, for reports of failures; NULL: none's */
    /* Waits until an event is done, with an ear for what else may end the wait: a stream may hang
     * on another rank's. NULL: the host just waits. */
    mb_status_t (*await)(void *user, mb_event_t *event);
    void *await_user;
    struct mb_account *account; /* account.h; NULL: nobody asks where the time goes */
} mb_exec_t;

/* The cards of this machine that a device class can open, found without opening one. */
#define MB_MOST_CARDS 16
typedef struct {
    char name[128], bus[32]; /* "NVIDIA H200", its PCI address */
    int major, minor;        /* compute capability */
    uint64_t memory_bytes;
    uint32_t reaches; /* bit i: its kernels read card i's memory without the host */
} mb_card_t;

typedef struct {
    int driver, runtime; /* versions as CUDA writes them: 1000 major + 10 minor; driver 0: none */
    char built[128];     /* what the class was compiled with and for */
    char absent[192];    /* why there is no card; empty where there is one */
    int count;
    mb_card_t cards[MB_MOST_CARDS];
} mb_inventory_t;

typedef struct mb_device_class {
    size_t size;
    const char *name; /* "cpu", "cuda" */

    /* How many there are to choose from by index; 0 where none can be used, and then mb_error_get
     * says why. NULL: one. */
    int (*count)(void);
    /* Which piece of hardware number INDEX is, within its machine: a PCI address. NULL: none. */
    void (*identity)(int index, char *text, size_t capacity);
    mb_status_t (*open)(const mb_device_options_t *options, mb_device_t **out);
    void (*close)(mb_device_t *device);
    /* One line for people: "CPU: 2 threads, AVX-512, oneDNN 2.6.3". */
    void (*describe)(mb_device_t *device, char *text, size_t capacity);
    /* What the bits depend on: instruction set and library versions; ranks compare it. */
    void (*signature)(mb_device_t *device, char *text, size_t capacity);
    void (*set_progress)(mb_device_t *device, void (*progress)(void *), void *user);
    /* Messages from device to device without the host; NULL: none. */
    const mb_link_class_t *link;

    /* Memory. Contents are undefined after alloc. host_visible: the host may read and write it
     * after synchronizing (MPI may then be given its pointers). */
    bool (*host_visible)(mb_device_t *device);
    mb_status_t (*alloc)(mb_device_t *device, size_t bytes, void **out);
    void (*free)(mb_device_t *device, void *memory);
    /* Host memory that copies run from and to beside the host (pinned). NULL: any is as good. */
    mb_status_t (*host_alloc)(mb_device_t *device, size_t bytes, void **out);
    void (*host_free)(mb_device_t *device, void *memory);

    mb_status_t (*stream_create)(mb_device_t *device, mb_stream_t **out);
    void (*stream_destroy)(mb_stream_t *stream);
    /* Waits for all work on the stream; returns the first error of an operation since the last
     * synchronization. */
    mb_status_t (*stream_sync)(mb_stream_t *stream);
    /* In stream order. Host memory must stay untouched until the copy is done. */
    mb_status_t (*copy)(mb_stream_t *stream, void *to, const void *from, size_t bytes,
                        mb_copy_kind_t kind);

    mb_status_t (*event_create)(mb_device_t *device, mb_event_t **out);
    void (*event_destroy)(mb_event_t *event);
    mb_status_t (*event_record)(mb_event_t *event, mb_stream_t *stream);
    mb_status_t (*event_query)(mb_event_t *event, bool *done);
    mb_status_t (*stream_wait_event)(mb_stream_t *stream, mb_event_t *event);

    /* What is put on a stream between record_begin and record_end does not run but is kept, with
     * its arguments as they are, to be put there again and again for the price of one call (a CUDA
     * graph). record_end gives NULL where something in between failed. NULL: no such thing. */
    mb_status_t (*record_begin)(mb_stream_t *stream);
    mb_status_t (*record_end)(mb_stream_t *stream, mb_recording_t **out);
    mb_status_t (*replay)(mb_recording_t *recording, mb_stream_t *stream);
    void (*recording_destroy)(mb_recording_t *recording);

    bool (*has_op)(mb_device_t *device, mb_op_t op);
    /* ARGS points to the operation's struct of ARGS_BYTES bytes; see mb_run_<op> in ops.h. */
    mb_status_t (*run)(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes);

    /* NULL: the class has no cards to list. That there is none is no error. */
    mb_status_t (*inventory)(mb_inventory_t *out);
} mb_device_class_t;

/* Every device begins with this. */
struct mb_device {
    const mb_device_class_t *class_;
};
struct mb_stream {
    mb_device_t *device;
};
struct mb_event {
    mb_device_t *device;
};

extern const mb_device_class_t mb_device_cpu;

/* Device classes by name: the built-in ones. NAME == NULL gives the default. MB_ERR_UNSUPPORTED
 * names those there are. */
mb_status_t mb_device_open(const char *name, const mb_device_options_t *options, mb_device_t **out);
void mb_device_close(mb_device_t *device);
/* The class of that name by itself. */
mb_status_t mb_device_class_find(const char *name, const mb_device_class_t **out);
/* The cards of class NAME. Errors: there is no such class, its plugin does not load, or a card
 * cannot be asked. */
mb_status_t mb_device_inventory(const char *name, mb_inventory_t *out);
/* Lets tests add a device class; not thread-safe, before any open. */
mb_status_t mb_device_register(const mb_device_class_t *device_class);

/* Devices of class NAME that can be seen from this process. 0: none can be used, and mb_error_get
 * says why; -1: there is no such class, in this build or beside it. */
int mb_device_count(const char *name);
/* "" where it has no address of its own, or is not there. */
void mb_device_identity(const char *name, int index, char *text, size_t capacity);

/* A stream with its exec; the workspace is allocated after planning by mb_exec_allocate. */
mb_status_t mb_exec_create(mb_device_t *device, mb_exec_t *exec);
mb_status_t mb_exec_allocate(mb_exec_t *exec); /* workspace_needed bytes; ends planning */
void mb_exec_destroy(mb_exec_t *exec);

/* Helpers that forward to the class. */
mb_status_t mb_device_alloc(mb_device_t *device, size_t bytes, void **out);
void mb_device_free(mb_device_t *device, void *memory);
mb_status_t mb_device_host_alloc(mb_device_t *device, size_t bytes, void **out);
void mb_device_host_free(mb_device_t *device, void *memory);
mb_status_t mb_exec_copy(mb_exec_t *exec, void *to, const void *from, size_t bytes,
                         mb_copy_kind_t kind); /* nothing while planning; host memory: any */
/* Waits for all work of the stream; errors as stream_sync's, and of the exec's own wait. */
mb_status_t mb_exec_sync(mb_exec_t *exec);
/* Waits for one event of the exec's device. */
mb_status_t mb_exec_await(mb_exec_t *exec, mb_event_t *event);
/* Plans one operation by itself and puts it on the stream: for what belongs to no step and is not
 * worth a walk (moments set to zero, a calibration's products). May allocate. */
mb_status_t mb_exec_run_alone(mb_exec_t *exec, mb_op_t op, const void *args, size_t args_bytes);

#endif
