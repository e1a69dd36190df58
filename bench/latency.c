/* One sample a call through a small MLP: the predictor of the library, its products alone, and ONNX
 * Runtime on the same weights by its C API, all by one thread, in one run. Prints the median and
 * the 99th percentile of the calls of each, in microseconds. See latency.sh, which makes the files.
 *
 * Usage: latency MODEL.h5 MODEL.onnx LIBONNXRUNTIME.so CALLS INPUT WIDTH... OUTPUT
 *
 * ONNX Runtime's functions are found by their places in its table of functions (OrtApi of
 * onnxruntime_c_api.h), which only ever grows at its end. */
#include <dlfcn.h>
#include <math.h>
#include <mb/mb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/device.h"

enum { MOST_WIDTHS = 8, WARM = 1000 };

static int widths, width[MOST_WIDTHS], calls;
static float x[4096], y[4096], y_of_onnx[4096];
static double *seconds;

static void die(const char *what)
{
    fprintf(stderr, "latency: %s\n", what);
    exit(1);
}

static void check(mb_status_t status)
{
    if (status != MB_OK)
        die(mb_error_message());
}

static void next_sample(int call)
{
    for (int i = 0; i < width[0]; i++)
        x[i] = (float)((call * 7 + i * 13) % 31) / 31.0f - 0.5f;
}

static int by_size(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double measure(const char *name, void (*call)(void *), void *user)
{
    for (int i = -WARM; i < calls; i++) {
        next_sample(i + WARM);
        double begun = mb_time_seconds();
        call(user);
        if (i >= 0)
            seconds[i] = mb_time_seconds() - begun;
    }
    qsort(seconds, (size_t)calls, sizeof *seconds, by_size);
    printf("%-24s %8.2f %8.2f\n", name, seconds[calls / 2] * 1e6,
           seconds[(int)(0.99 * calls)] * 1e6);
    return seconds[calls / 2];
}

/* ---- the predictor */

static mb_context_t *context;

static mb_predictor_t *open_predictor(const char *path)
{
    mb_predictor_t *predictor;
    int64_t shape[2] = {1, width[0]};
    check(mb_context_create(MPI_COMM_WORLD, &context));
    check(mb_predictor_create(context, path, &predictor));
    check(mb_predictor_set(predictor, "independent", "yes"));
    check(mb_predictor_set(predictor, "threads", "1"));
    check(mb_predictor_set(predictor, "batch", "1"));
    check(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, x));
    check(mb_predictor_set_output(predictor, "y", width[widths - 1], y));
    check(mb_predictor_start(predictor));
    return predictor;
}

static void predict(void *predictor)
{
    check(mb_predictor_run(predictor));
}

/* As where the samples lie elsewhere each time. */
static void predict_elsewhere(void *predictor)
{
    int64_t shape[2] = {1, width[0]};
    check(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, x));
    check(mb_predictor_run(predictor));
}

/* ---- its products alone: the same operations on the same shapes, one behind the other */

typedef struct {
    mb_device_t *device;
    mb_exec_t exec;
    mb_gemm_args_t product[MOST_WIDTHS];
} products_t;

static float *numbers(products_t *p, int count)
{
    void *memory;
    check(mb_device_alloc(p->device, (size_t)count * sizeof(float), &memory));
    for (int i = 0; i < count; i++)
        ((float *)memory)[i] = 0.01f * (float)(i % 17 - 8);
    return memory;
}

static void run_products(void *user)
{
    products_t *p = user;
    for (int i = 0; i + 1 < widths; i++)
        check(mb_run_gemm(&p->exec, &p->product[i]));
}

static void open_products(products_t *p)
{
    mb_device_options_t options = {.size = sizeof options, .threads = 1};
    check(mb_device_open("cpu", &options, &p->device));
    check(mb_exec_create(p->device, &p->exec));
    const float *from = numbers(p, width[0]);
    for (int i = 0; i + 1 < widths; i++) {
        p->product[i] = (mb_gemm_args_t){.type = MB_F32,
                                         .m = 1,
                                         .n = width[i + 1],
                                         .k = width[i],
                                         .lda = width[i],
                                         .ldb = width[i + 1],
                                         .ldc = width[i + 1],
                                         .a = from,
                                         .b = numbers(p, width[i] * width[i + 1]),
                                         .bias = numbers(p, width[i + 1]),
                                         .c = numbers(p, width[i + 1]),
                                         .act = i + 2 < widths ? MB_ACT_RELU : MB_ACT_LINEAR};
        from = p->product[i].c;
    }
    run_products(p); /* planning */
    check(mb_exec_allocate(&p->exec));
}

/* ---- ONNX Runtime */

enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_GRAPH_OPTIMIZATION_LEVEL = 23,
    SET_INTRA_OP_NUM_THREADS = 24,
    SET_INTER_OP_NUM_THREADS = 25,
    CREATE_TENSOR_WITH_DATA = 49,
    CREATE_CPU_MEMORY_INFO = 69
};
enum {
    LOG_ERRORS = 3,
    ALL_OPTIMIZATIONS = 99,
    FLOATS = 1,
    ARENA_ALLOCATOR = 1,
    DEFAULT_MEMORY = 0
};

typedef void (*function_t)(void);
typedef struct {
    const function_t *(*get_api)(uint32_t version);
    const char *(*version)(void);
} ort_base_t;

typedef void *(*run_t)(void *session, const void *options, const char *const *input_names,
                       const void *const *inputs, size_t n_inputs, const char *const *output_names,
                       size_t n_outputs, void **outputs);

static struct {
    const function_t *api;
    void *session, *input, *output;
    run_t run;
} onnx;

static void ort(void *status)
{
    typedef const char *(*message_t)(const void *);
    if (status != NULL)
        die(((message_t)onnx.api[GET_ERROR_MESSAGE])(status));
}

static void *tensor_of(void *info, float *data, int count)
{
    typedef void *(*create_t)(const void *, void *, size_t, const int64_t *, size_t, int, void **);
    int64_t shape[2] = {1, count};
    void *value;
    ort(((create_t)onnx.api[CREATE_TENSOR_WITH_DATA])(info, data, (size_t)count * sizeof(float),
                                                      shape, 2, FLOATS, &value));
    return value;
}

static void *open_options(void)
{
    typedef void *(*create_t)(void **);
    typedef void *(*set_t)(void *, int);
    void *options;
    ort(((create_t)onnx.api[CREATE_SESSION_OPTIONS])(&options));
    ort(((set_t)onnx.api[SET_INTRA_OP_NUM_THREADS])(options, 1));
    ort(((set_t)onnx.api[SET_INTER_OP_NUM_THREADS])(options, 1));
    ort(((set_t)onnx.api[SET_GRAPH_OPTIMIZATION_LEVEL])(options, ALL_OPTIMIZATIONS));
    return options;
}

static const char *open_onnx(const char *library, const char *model)
{
    typedef const ort_base_t *(*base_t)(void);
    typedef void *(*env_t)(int, const char *, void **);
    typedef void *(*session_t)(const void *, const char *, const void *, void **);
    typedef void *(*info_t)(int, int, void **);
    void *env, *info, *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    union {
        void *symbol;
        base_t base;
    } entry = {.symbol = handle == NULL ? NULL : dlsym(handle, "OrtGetApiBase")};
    if (entry.symbol == NULL)
        die(dlerror());
    onnx.api = entry.base()->get_api(1);
    if (onnx.api == NULL)
        die("ONNX Runtime has no version 1 of its functions");
    ort(((env_t)onnx.api[CREATE_ENV])(LOG_ERRORS, "latency", &env));
    ort(((session_t)onnx.api[CREATE_SESSION])(env, model, open_options(), &onnx.session));
    ort(((info_t)onnx.api[CREATE_CPU_MEMORY_INFO])(ARENA_ALLOCATOR, DEFAULT_MEMORY, &info));
    onnx.input = tensor_of(info, x, width[0]);
    onnx.output = tensor_of(info, y_of_onnx, width[widths - 1]);
    onnx.run = (run_t)onnx.api[RUN];
    return entry.base()->version();
}

/* Input and output stay tensors over the program's memory, as cheap as it can be. */
static void run_onnx(void *user)
{
    static const char *const inputs[] = {"x"}, *const outputs[] = {"y"};
    const void *input = onnx.input;
    void *output = onnx.output;
    (void)user;
    ort(onnx.run(onnx.session, NULL, inputs, &input, 1, outputs, 1, &output));
}

/* Both have predicted the same sample. */
static void compare(mb_predictor_t *predictor)
{
    next_sample(5);
    predict(predictor);
    run_onnx(NULL);
    for (int i = 0; i < width[widths - 1]; i++) {
        if (fabsf(y[i] - y_of_onnx[i]) > 1e-4f * (1.0f + fabsf(y[i])))
            die("the two predict different things");
    }
}

int main(int argc, char **argv)
{
    products_t products;
    MPI_Init(&argc, &argv);
    if (argc < 7 || argc - 5 > MOST_WIDTHS)
        die("usage: latency MODEL.h5 MODEL.onnx LIBONNXRUNTIME.so CALLS INPUT WIDTH... OUTPUT");
    calls = atoi(argv[4]);
    widths = argc - 5;
    for (int i = 0; i < widths; i++)
        width[i] = atoi(argv[5 + i]);
    seconds = calloc((size_t)calls, sizeof *seconds);
    mb_predictor_t *predictor = open_predictor(argv[1]);
    open_products(&products);
    printf("ONNX Runtime %s\n", open_onnx(argv[3], argv[2]));
    compare(predictor);
    printf("%-24s %8s %8s   us a call\n", "", "median", "99 %");
    double kernels = measure("products alone", run_products, &products);
    double run = measure("mb_predictor_run", predict, predictor);
    measure("... samples elsewhere", predict_elsewhere, predictor);
    double theirs = measure("ONNX Runtime", run_onnx, NULL);
    printf("beyond the products: %.2f us; ONNX Runtime takes %.2f times as long\n",
           (run - kernels) * 1e6, theirs / run);
    check(mb_predictor_destroy(predictor));
    check(mb_context_destroy(context));
    MPI_Finalize();
    return 0;
}
