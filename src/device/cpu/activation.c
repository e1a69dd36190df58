/* Activation functions and their derivatives, element by element. The functions are Keras'
 * (keras/src/activations). */
#include "device/cpu/activation.h"

#include <math.h>
#include <string.h>
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

#define SELU_ALPHA 1.6732632423543772f
#define SELU_SCALE 1.0507009873554805f
#define SQRT_HALF 0.70710678118654752f
#define INV_SQRT_2PI 0.39894228040143268f
#define SQRT_2_OVER_PI 0.79788456080286536f

typedef struct {
    float p0, p1, p2;
} parameters_t;

#define P const parameters_t *p
#define UNUSED (void)p

static inline float relu(float x, P)
{
    UNUSED;
    return x > 0.0f || x != x ? x : 0.0f;
}
static inline float relu_general(float x, P)
{
    float low = x > p->p2 ? x : p->p0 * (x - p->p2);
    return x >= p->p1 ? p->p1 : low;
}
static inline float act_tanh(float x, P)
{
    UNUSED;
    return mb_v_tanh(x);
}
static inline float sigmoid(float x, P)
{
    UNUSED;
    return mb_v_sigmoid(x);
}
static inline float gelu(float x, P)
{
    UNUSED;
    return x * 0.5f * (1.0f + mb_v_erf(x * SQRT_HALF));
}
static inline float gelu_tanh(float x, P)
{
    UNUSED;
    return 0.5f * x * (1.0f + mb_v_tanh(SQRT_2_OVER_PI * (x + 0.044715f * x * x * x)));
}
static inline float silu(float x, P)
{
    UNUSED;
    return x / (1.0f + mb_v_exp(-x));
}
static inline float elu(float x, P)
{
    float negative = p->p0 * mb_v_expm1(x > 0.0f ? 0.0f : x);
    return x > 0.0f ? x : negative;
}
static inline float selu(float x, P)
{
    UNUSED;
    float negative = SELU_ALPHA * mb_v_expm1(x > 0.0f ? 0.0f : x);
    return SELU_SCALE * (x > 0.0f ? x : negative);
}
static inline float softplus(float x, P)
{
    UNUSED;
    return (x > 0.0f ? x : 0.0f) + mb_v_log1p(mb_v_exp(-mb_v_abs(x)));
}
static inline float softsign(float x, P)
{
    UNUSED;
    return x / (1.0f + mb_v_abs(x));
}
static inline float exponential(float x, P)
{
    UNUSED;
    return mb_v_exp(x);
}
static inline float hard_sigmoid(float x, P)
{
    float y = p->p0 * x + 0.5f;
    return y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y;
}
static inline float hard_silu(float x, P)
{
    UNUSED;
    float gate = x * (1.0f / 6.0f) + 0.5f;
    return x * (gate < 0.0f ? 0.0f : gate > 1.0f ? 1.0f : gate);
}
static inline float hard_tanh(float x, P)
{
    UNUSED;
    return x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
}
static inline float celu(float x, P)
{
    float negative = p->p0 * mb_v_expm1((x > 0.0f ? 0.0f : x) / p->p0);
    return x > 0.0f ? x : negative;
}
static inline float squareplus(float x, P)
{
    return 0.5f * (x + sqrtf(x * x + p->p0));
}
static inline float sparse_plus(float x, P)
{
    UNUSED;
    float between = 0.25f * (x + 1.0f) * (x + 1.0f);
    return x >= 1.0f ? x : x <= -1.0f ? 0.0f : between;
}
/* tanh(log(1 + e^x)) = n / (n + d) with n = e^2x + 2 e^x and d = 2, or both times e^-2x. */
typedef struct {
    float n, d, sigmoid;
} mish_t;
static inline mish_t mish_of(float x)
{
    float e = mb_v_exp(-mb_v_abs(x)), s = 1.0f / (1.0f + e);
    float n = x > 0.0f ? 1.0f + 2.0f * e : e * (e + 2.0f);
    return (mish_t){n, x > 0.0f ? 2.0f * e * e : 2.0f, x > 0.0f ? s : e * s};
}
static inline float mish(float x, P)
{
    UNUSED;
    mish_t m = mish_of(x);
    return x * (m.n / (m.n + m.d));
}
static inline float log_sigmoid(float x, P)
{
    return -softplus(-x, p);
}
static inline float tanh_shrink(float x, P)
{
    UNUSED;
    return x - mb_v_tanh(x);
}
static inline float soft_shrink(float x, P)
{
    return x > p->p0 ? x - p->p0 : x < -p->p0 ? x + p->p0 : x != x ? x : 0.0f;
}
static inline float hard_shrink(float x, P)
{
    return mb_v_abs(x) > p->p0 || x != x ? x : 0.0f;
}
static inline float threshold(float x, P)
{
    return x > p->p0 || x != x ? x : p->p1;
}

/* Derivatives from the input x or the result y, whichever the name says. */
static inline float relu_from_y(float y, P)
{
    UNUSED;
    return y > 0.0f ? 1.0f : 0.0f;
}
/* Where two pieces meet there is no derivative. Keras takes the slope at 0 for leaky_relu (but on
 * JAX 1), and 0 at any other threshold, as its sum of two relus has none there; at 6 none, which is
 * relu6, and at any other maximum half of it. Points like these are not rare: 0 follows from zeros
 * and biases that are not trained yet. */
static inline float relu_general_from_x(float x, P)
{
    float at_threshold = p->p2 == 0.0f && p->p1 == INFINITY ? p->p0 : 0.0f;
    float at_maximum = p->p2 == 0.0f && p->p1 == 6.0f ? 0.0f : 0.5f;
    float low = x > p->p2 ? 1.0f : x == p->p2 ? at_threshold : p->p0;
    return x > p->p1 ? 0.0f : x == p->p1 ? at_maximum : low;
}
static inline float tanh_from_y(float y, P)
{
    UNUSED;
    return 1.0f - y * y;
}
static inline float sigmoid_from_y(float y, P)
{
    UNUSED;
    return y * (1.0f - y);
}
static inline float gelu_from_x(float x, P)
{
    UNUSED;
    float phi = INV_SQRT_2PI * mb_v_exp(-0.5f * x * x);
    return 0.5f * (1.0f + mb_v_erf(x * SQRT_HALF)) + x * phi;
}
static inline float gelu_tanh_from_x(float x, P)
{
    UNUSED;
    float t = mb_v_tanh(SQRT_2_OVER_PI * (x + 0.044715f * x * x * x));
    float inner = SQRT_2_OVER_PI * (1.0f + 3.0f * 0.044715f * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}
static inline float silu_from_x(float x, P)
{
    UNUSED;
    float s = mb_v_sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}
static inline float elu_from_x(float x, P)
{
    float negative = p->p0 * mb_v_exp(x > 0.0f ? 0.0f : x);
    return x > 0.0f ? 1.0f : negative;
}
static inline float selu_from_x(float x, P)
{
    UNUSED;
    float negative = SELU_ALPHA * mb_v_exp(x > 0.0f ? 0.0f : x);
    return SELU_SCALE * (x > 0.0f ? 1.0f : negative);
}
static inline float softplus_from_x(float x, P)
{
    UNUSED;
    return mb_v_sigmoid(x);
}
static inline float softsign_from_x(float x, P)
{
    UNUSED;
    float d = 1.0f + mb_v_abs(x);
    return 1.0f / (d * d);
}
static inline float exponential_from_y(float y, P)
{
    UNUSED;
    return y;
}
static inline float hard_sigmoid_from_y(float y, P)
{
    return y > 0.0f && y < 1.0f ? p->p0 : 0.0f;
}
static inline float hard_silu_from_x(float x, P)
{
    UNUSED;
    float between = x * (1.0f / 3.0f) + 0.5f;
    return x >= 3.0f ? 1.0f : x <= -3.0f ? 0.0f : between;
}
static inline float hard_tanh_from_x(float x, P)
{
    UNUSED;
    return mb_v_abs(x) <= 1.0f ? 1.0f : 0.0f;
}
static inline float celu_from_x(float x, P)
{
    float negative = mb_v_exp((x > 0.0f ? 0.0f : x) / p->p0);
    return x > 0.0f ? 1.0f : negative;
}
static inline float squareplus_from_x(float x, P)
{
    return 0.5f + 0.5f * x / sqrtf(x * x + p->p0);
}
static inline float sparse_plus_from_x(float x, P)
{
    UNUSED;
    float between = 0.5f * (x + 1.0f);
    return x >= 1.0f ? 1.0f : x <= -1.0f ? 0.0f : between;
}
/* t + x sigmoid(x) (1 - t^2), where 1 - t^2 = d (2 n + d) / (n + d)^2 loses nothing. */
static inline float mish_from_x(float x, P)
{
    UNUSED;
    mish_t m = mish_of(x);
    float whole = m.n + m.d;
    return m.n / whole + x * m.sigmoid * (m.d * (m.n + whole) / (whole * whole));
}
static inline float log_sigmoid_from_x(float x, P)
{
    UNUSED;
    return mb_v_sigmoid(-x);
}
static inline float tanh_shrink_from_x(float x, P)
{
    UNUSED;
    float t = mb_v_tanh(x);
    return t * t;
}
static inline float shrink_from_x(float x, P)
{
    return mb_v_abs(x) > p->p0 ? 1.0f : 0.0f;
}
static inline float threshold_from_x(float x, P)
{
    return x > p->p0 ? 1.0f : 0.0f;
}

typedef void (*forward_fn_t)(const float *x, float *y, const mb_cpu_runs_t *runs, P);
typedef void (*backward_fn_t)(const float *value, const float *dy, float *dx, int64_t count, P);

/* In place is allowed: an element is read before it is written. */
#define FORWARD(name)                                                                              \
    MB_MULTIVERSION                                                                                \
    static void name##_forward(const float *x, float *y, const mb_cpu_runs_t *runs, P)             \
    {                                                                                              \
        for (int64_t row = 0; row < runs->rows; row++) {                                           \
            int64_t from = runs->first + row * runs->ld, to = from + runs->columns;                \
            _Pragma("omp simd") for (int64_t i = from; i < to; i++) y[i] = name(x[i], p);          \
        }                                                                                          \
    }
#define BACKWARD(name)                                                                             \
    MB_MULTIVERSION                                                                                \
    static void name##_backward(const float *value, const float *dy, float *dx, int64_t count, P)  \
    {                                                                                              \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) dx[i] = dy[i] * name(value[i], p); \
    }

FORWARD(relu)
FORWARD(relu_general)
FORWARD(act_tanh)
FORWARD(sigmoid)
FORWARD(gelu)
FORWARD(gelu_tanh)
FORWARD(silu)
FORWARD(elu)
FORWARD(selu)
FORWARD(softplus)
FORWARD(softsign)
FORWARD(exponential)
FORWARD(hard_sigmoid)
FORWARD(hard_silu)
FORWARD(hard_tanh)
FORWARD(celu)
FORWARD(squareplus)
FORWARD(sparse_plus)
FORWARD(mish)
FORWARD(log_sigmoid)
FORWARD(tanh_shrink)
FORWARD(soft_shrink)
FORWARD(hard_shrink)
FORWARD(threshold)
BACKWARD(relu_from_y)
BACKWARD(relu_general_from_x)
BACKWARD(tanh_from_y)
BACKWARD(sigmoid_from_y)
BACKWARD(gelu_from_x)
BACKWARD(gelu_tanh_from_x)
BACKWARD(silu_from_x)
BACKWARD(elu_from_x)
BACKWARD(selu_from_x)
BACKWARD(softplus_from_x)
BACKWARD(softsign_from_x)
BACKWARD(exponential_from_y)
BACKWARD(hard_sigmoid_from_y)
BACKWARD(hard_silu_from_x)
BACKWARD(hard_tanh_from_x)
BACKWARD(celu_from_x)
BACKWARD(squareplus_from_x)
BACKWARD(sparse_plus_from_x)
BACKWARD(mish_from_x)
BACKWARD(log_sigmoid_from_x)
BACKWARD(tanh_shrink_from_x)
BACKWARD(threshold_from_x)
BACKWARD(shrink_from_x)

static const struct {
    forward_fn_t forward;
    backward_fn_t backward;
} functions[MB_ACT_COUNT] = {
    [MB_ACT_RELU] = {relu_forward, relu_from_y_backward},
    [MB_ACT_RELU_GENERAL] = {relu_general_forward, relu_general_from_x_backward},
    [MB_ACT_TANH] = {act_tanh_forward, tanh_from_y_backward},
    [MB_ACT_SIGMOID] = {sigmoid_forward, sigmoid_from_y_backward},
    [MB_ACT_GELU] = {gelu_forward, gelu_from_x_backward},
    [MB_ACT_GELU_TANH] = {gelu_tanh_forward, gelu_tanh_from_x_backward},
    [MB_ACT_SILU] = {silu_forward, silu_from_x_backward},
    [MB_ACT_ELU] = {elu_forward, elu_from_x_backward},
    [MB_ACT_SELU] = {selu_forward, selu_from_x_backward},
    [MB_ACT_SOFTPLUS] = {softplus_forward, softplus_from_x_backward},
    [MB_ACT_SOFTSIGN] = {softsign_forward, softsign_from_x_backward},
    [MB_ACT_EXPONENTIAL] = {exponential_forward, exponential_from_y_backward},
    [MB_ACT_HARD_SIGMOID] = {hard_sigmoid_forward, hard_sigmoid_from_y_backward},
    [MB_ACT_HARD_SILU] = {hard_silu_forward, hard_silu_from_x_backward},
    [MB_ACT_HARD_TANH] = {hard_tanh_forward, hard_tanh_from_x_backward},
    [MB_ACT_CELU] = {celu_forward, celu_from_x_backward},
    [MB_ACT_SQUAREPLUS] = {squareplus_forward, squareplus_from_x_backward},
    [MB_ACT_SPARSE_PLUS] = {sparse_plus_forward, sparse_plus_from_x_backward},
    [MB_ACT_MISH] = {mish_forward, mish_from_x_backward},
    [MB_ACT_LOG_SIGMOID] = {log_sigmoid_forward, log_sigmoid_from_x_backward},
    [MB_ACT_TANH_SHRINK] = {tanh_shrink_forward, tanh_shrink_from_x_backward},
    [MB_ACT_SOFT_SHRINK] = {soft_shrink_forward, shrink_from_x_backward},
    [MB_ACT_HARD_SHRINK] = {hard_shrink_forward, shrink_from_x_backward},
    [MB_ACT_THRESHOLD] = {threshold_forward, threshold_from_x_backward},
};

void mb_cpu_activate(const mb_act_forward_args_t *a, mb_cpu_runs_t runs)
{
    const parameters_t parameters = {a->p0, a->p1, a->p2};
    functions[a->act].forward(a->x, a->y, &runs, &parameters);
}

void mb_cpu_act_run(const mb_function_t *f, const float *x, float *y, int64_t count)
{
    const parameters_t parameters = {f->p0, f->p1, f->p2};
    const mb_cpu_runs_t run = {0, 1, count, 0};
    if (f->act != MB_ACT_LINEAR)
        functions[f->act].forward(x, y, &run, &parameters);
    else if (x != y)
        memcpy(y, x, sizeof(float) * (size_t)count);
}

void mb_cpu_act_run_back(const mb_function_t *f, const float *kept, float *d, int64_t count)
{
    const parameters_t parameters = {f->p0, f->p1, f->p2};
    if (f->act != MB_ACT_LINEAR)
        functions[f->act].backward(kept, d, d, count, &parameters);
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_act_forward_args_t *a = context;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, a->count);
    mb_cpu_activate(a, (mb_cpu_runs_t){s.begin, 1, s.end - s.begin, 0});
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_act_backward_args_t *a = context;
    const parameters_t parameters = {a->p0, a->p1, a->p2};
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, a->count);
    const float *value = mb_act_from_value(a->act) ? a->y : a->x;
    functions[a->act].backward(value + s.begin, mb_in(a->dy) + s.begin, mb_out(a->dx) + s.begin,
                               s.end - s.begin, &parameters);
}

/* The identity is a copy, or nothing at all in place. */
static mb_status_t copy(mb_exec_t *exec, int64_t count, const float *from, float *to)
{
    if (from == to)
        return MB_OK;
    mb_copy_rows_args_t rows = {MB_F32, 1, count, count, count, from, to};
    return mb_cpu_copy_rows(exec, &rows);
}

mb_status_t mb_cpu_act_forward(mb_exec_t *exec, const mb_act_forward_args_t *args)
{
    MB_CPU_CHECK(MB_OP_ACT_FORWARD, args->count >= 0, "negative count");
    MB_CPU_CHECK(MB_OP_ACT_FORWARD, (unsigned)args->act < MB_ACT_COUNT, "unknown function");
    if (exec->planning)
        return MB_OK;
    if (args->act == MB_ACT_LINEAR)
        return copy(exec, args->count, args->x, args->y);
    mb_act_forward_args_t act = *args;
    mb_cpu_tiles(exec, mb_ceil_div(args->count, MB_CPU_BLOCK), forward_tile, &act);
    return MB_OK;
}

mb_status_t mb_cpu_act_backward(mb_exec_t *exec, const mb_act_backward_args_t *args)
{
    MB_CPU_CHECK(MB_OP_ACT_BACKWARD, args->count >= 0, "negative count");
    MB_CPU_CHECK(MB_OP_ACT_BACKWARD, (unsigned)args->act < MB_ACT_COUNT, "unknown function");
    if (exec->planning)
        return MB_OK;
    if (args->act == MB_ACT_LINEAR)
        return copy(exec, args->count, args->dy, args->dx);
    const float *value = mb_act_from_value(args->act) ? args->y : args->x;
    MB_CPU_CHECK(MB_OP_ACT_BACKWARD, value != NULL || args->count == 0,
                 "the value that the derivative needs is missing");
    mb_act_backward_args_t act = *args;
    mb_cpu_tiles(exec, mb_ceil_div(args->count, MB_CPU_BLOCK), backward_tile, &act);
    return MB_OK;
}
