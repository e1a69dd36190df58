/* Times each operation of a GPT-2 training step on the CUDA device, at that model's shapes, beside
 * what bounds it: the bytes it must move over the memory's bandwidth, or its products over the
 * processors' peak, whichever takes longer.
 *
 *     kernels [samples=N] [length=N] [width=N] [heads=N] [vocabulary=N] [repeat=N] [tflops=X]
 * [gbps=X]
 *
 * prints one JSON object. The runs of an operation follow one another on a stream with an event
 * between every two; the median of what lies between events counts. Without tflops= products have
 * no bound; the bandwidth is the device's clock and bus unless given. Numbers are random: products
 * of zeros take less power, so they are faster. */
#include "cudasim/ops/subject.h"
#include "device/cuda/internal.h"

extern "C" {
#include "base/number.h"
#include "device/table.h"
}

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace
{

struct options {
    int64_t samples = 64, length = 1024, width = 768, heads = 12, vocabulary = 50257, repeat = 50;
    double tflops = 0, gbps = 0;

    int64_t rows() const
    {
        return samples * length;
    }
};

void require(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "kernels: %s\n", mb_error_get());
    exit(1);
}

void require(cudaError_t code)
{
    if (code == cudaSuccess)
        return;
    fprintf(stderr, "kernels: %s\n", cudaGetErrorString(code));
    exit(1);
}

/* ---- operands */

/* Device memory of one operation, and the bytes that it must at least move. */
class operands
{
  public:
    explicit operands(mb_exec_t *exec) : exec_(exec)
    {
    }
    ~operands()
    {
        for (void *memory : taken_)
            mb_device_free(exec_->device, memory);
    }
    operands(const operands &) = delete;
    operands &operator=(const operands &) = delete;

    template <typename T = void>
    T *read(mb_dtype_t type, int64_t count, double low = -1, double high = 1)
    {
        moved_ += bytes_of(type, count);
        return static_cast<T *>(filled(type, count, low, high));
    }
    template <typename T = void> T *written(mb_dtype_t type, int64_t count)
    {
        return read<T>(type, count);
    }
    template <typename T = void>
    T *changed(mb_dtype_t type, int64_t count, double low = -1, double high = 1)
    {
        moved_ += bytes_of(type, count);
        return read<T>(type, count, low, high);
    }
    double moved() const
    {
        return moved_;
    }
    /* Rows of a table, of which only those that are named are read. */
    void *unmoved(mb_dtype_t type, int64_t count)
    {
        return filled(type, count, -1, 1);
    }
    void move(double bytes)
    {
        moved_ += bytes;
    }

  private:
    static double bytes_of(mb_dtype_t type, int64_t count)
    {
        return static_cast<double>(count) * static_cast<double>(mb_dtype_bytes(type));
    }

    void copy(void *to, const void *from, size_t bytes, mb_copy_kind_t kind)
    {
        require(mb_exec_copy(exec_, to, from, bytes, kind));
    }

    /* One block of random numbers, over and over: there is no need for billions of different ones.
     */
    void *filled(mb_dtype_t type, int64_t count, double low, double high)
    {
        const int64_t most = int64_t(1) << 20;
        size_t size = mb_dtype_bytes(type), bytes = static_cast<size_t>(count) * size;
        std::vector<unsigned char> block = numbers(type, std::min(count, most), low, high);
        void *memory = nullptr;
        require(mb_device_alloc(exec_->device, bytes, &memory));
        taken_.push_back(memory);
        char *to = static_cast<char *>(memory);
        exec_->planning = false; /* which would put off the copies */
        copy(to, block.data(), block.size(), MB_COPY_TO_DEVICE);
        for (size_t at = block.size(); at < bytes; at += block.size())
            copy(to + at, to, std::min(block.size(), bytes - at), MB_COPY_ON_DEVICE);
        require(mb_exec_sync(exec_));
        return memory;
    }

    std::vector<unsigned char> numbers(mb_dtype_t type, int64_t count, double low, double high)
    {
        std::uniform_real_distribution<float> drawn(static_cast<float>(low),
                                                    static_cast<float>(high));
        std::vector<unsigned char> block(static_cast<size_t>(count) * mb_dtype_bytes(type));
        std::vector<float> values(static_cast<size_t>(count));
        for (float &value : values)
            value = drawn(random_);
        if (type == MB_I32)
            std::copy(values.begin(), values.end(), reinterpret_cast<int32_t *>(block.data()));
        else if (type == MB_F64)
            std::copy(values.begin(), values.end(), reinterpret_cast<double *>(block.data()));
        else
            mb_number_encode(type == MB_BF16 ? MB_NUMBER_BF16 : MB_NUMBER_F32, 0, values.data(),
                             count, block.data());
        return block;
    }

    mb_exec_t *exec_;
    std::vector<void *> taken_;
    double moved_ = 0;
    std::mt19937 random_;
};

/* ---- timing */

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

class stopwatch
{
  public:
    stopwatch(mb_exec_t *exec, const options &options) : exec_(exec), options_(options)
    {
    }

    /* One line of JSON. */
    template <typename Args>
    void time(const char *what, mb_op_t op, const Args &args, double bytes, double flops = 0)
    {
        double seconds = median(seconds_of(op, &args, sizeof args));
        double bound = std::max(ratio(bytes, options_.gbps * 1e9), bound_of(flops));
        printf("%s\n  {\"operation\": \"%s\", \"of\": \"%s\", \"microseconds\": %.3f, "
               "\"bytes\": %.0f, \"flops\": %.0f, \"gbps\": %.1f, \"tflops\": %.2f",
               first_ ? "" : ",", mb_op_name(op), what, seconds * 1e6, bytes, flops,
               ratio(bytes, seconds) * 1e-9, ratio(flops, seconds) * 1e-12);
        if (bound > 0 && !(flops > 0 && options_.tflops <= 0))
            printf(", \"bound_microseconds\": %.3f, \"of_bound\": %.4f", bound * 1e6,
                   ratio(bound, seconds));
        printf("}");
        fflush(stdout);
        first_ = false;
    }

  private:
    static double ratio(double a, double b)
    {
        return b > 0 ? a / b : 0;
    }
    double bound_of(double flops) const
    {
        return ratio(flops, options_.tflops * 1e12);
    }

    void run(mb_op_t op, const void *args, size_t bytes)
    {
        require(exec_->device->class_->run(exec_, op, args, bytes));
    }

    /* Plans, and warms up once. */
    void prepare(mb_op_t op, const void *args, size_t bytes)
    {
        exec_->planning = true;
        run(op, args, bytes);
        require(mb_exec_allocate(exec_));
        run(op, args, bytes);
        require(mb_exec_sync(exec_));
    }

    std::vector<double> seconds_of(mb_op_t op, const void *args, size_t bytes)
    {
        cudaStream_t stream = reinterpret_cast<mb_cuda_stream_t *>(exec_->stream)->stream;
        std::vector<cudaEvent_t> events(static_cast<size_t>(options_.repeat) + 1);
        std::vector<double> seconds;
        prepare(op, args, bytes);
        for (cudaEvent_t &event : events)
            require(cudaEventCreate(&event));
        require(cudaEventRecord(events[0], stream));
        for (size_t i = 1; i < events.size(); i++) {
            run(op, args, bytes);
            require(cudaEventRecord(events[i], stream));
        }
        require(mb_exec_sync(exec_));
        for (size_t i = 1; i < events.size(); i++) {
            float milliseconds = 0;
            require(cudaEventElapsedTime(&milliseconds, events[i - 1], events[i]));
            seconds.push_back(milliseconds * 1e-3);
        }
        for (cudaEvent_t event : events)
            require(cudaEventDestroy(event));
        return seconds;
    }

    mb_exec_t *exec_;
    const options &options_;
    bool first_ = true;
};

/* ---- the operations */

struct bench {
    mb_exec_t *exec;
    const options &of;
    stopwatch timer;
};

struct product {
    const char *what;
    int64_t m, n, k;
    bool transpose_a, transpose_b, wide, bias;
};

void time_product(bench &b, const product &p)
{
    operands memory(b.exec);
    mb_dtype_t type_of_c = p.wide ? MB_F32 : MB_BF16;
    mb_gemm_args_t args = {};
    args.type = MB_BF16;
    args.wide = p.wide;
    args.m = p.m;
    args.n = p.n;
    args.k = p.k;
    args.transpose_a = p.transpose_a;
    args.transpose_b = p.transpose_b;
    args.lda = p.transpose_a ? p.m : p.k;
    args.ldb = p.transpose_b ? p.k : p.n;
    args.ldc = p.n;
    args.a = memory.read(MB_BF16, p.m * p.k);
    args.b = memory.read(MB_BF16, p.k * p.n);
    args.c = memory.written(type_of_c, p.m * p.n);
    if (p.bias)
        args.bias = memory.read(type_of_c, p.n);
    double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * (double)p.k;
    b.timer.time(p.what, MB_OP_GEMM, args, memory.moved(), flops);
}

/* A dense layer: forward, gradient of its input, gradient of its weights. */
void time_dense(bench &b, const char *name, int64_t in, int64_t out, bool bias)
{
    int64_t rows = b.of.rows();
    std::string layer = std::string(name) + " ";
    time_product(b, {(layer + "forward").c_str(), rows, out, in, false, false, false, bias});
    time_product(b, {(layer + "input").c_str(), rows, in, out, false, true, false, false});
    time_product(b, {(layer + "weights").c_str(), in, out, rows, true, false, true, false});
}

template <typename Args> Args attention_shape(const options &of)
{
    Args args = {};
    args.type = MB_BF16;
    args.samples = of.samples;
    args.heads = of.heads;
    args.tq = args.tk = of.length;
    args.d = args.dv = of.width / of.heads;
    args.scale = static_cast<float>(1 / sqrt(static_cast<double>(args.d)));
    args.causal = true;
    return args;
}

/* Half of two products under the mask; backward there are five. */
void time_attention(bench &b)
{
    operands memory(b.exec);
    int64_t count = b.of.rows() * b.of.width;
    auto forward = attention_shape<mb_attention_forward_args_t>(b.of);
    forward.q = memory.read(MB_BF16, count);
    forward.k = memory.read(MB_BF16, count);
    forward.v = memory.read(MB_BF16, count);
    forward.out = memory.written(MB_BF16, count);
    forward.log_sum = memory.written<float>(MB_F32, b.of.rows() * b.of.heads);
    double flops = 2.0 * static_cast<double>(count) * static_cast<double>(b.of.length);
    b.timer.time("causal", MB_OP_ATTENTION_FORWARD, forward, memory.moved(), flops);
    auto backward = attention_shape<mb_attention_backward_args_t>(b.of);
    backward.q = forward.q;
    backward.k = forward.k;
    backward.v = forward.v;
    backward.out = forward.out;
    backward.log_sum = forward.log_sum;
    backward.dout = memory.read(MB_BF16, count);
    backward.dq = memory.written(MB_BF16, count);
    backward.dk = memory.written(MB_BF16, count);
    backward.dv_ = memory.written(MB_BF16, count);
    b.timer.time("causal", MB_OP_ATTENTION_BACKWARD, backward, memory.moved(), 2.5 * flops);
}

template <typename Args> Args rows_shape(const options &of)
{
    Args args = {};
    args.type = MB_BF16;
    args.rows = of.rows();
    args.columns = of.width;
    return args;
}

void time_layernorm_forward(bench &b)
{
    operands memory(b.exec);
    auto args = rows_shape<mb_layernorm_forward_args_t>(b.of);
    args.epsilon = 1e-5f;
    args.x = memory.read(MB_BF16, args.rows * args.columns);
    args.gamma = memory.read<float>(MB_F32, args.columns);
    args.beta = memory.read<float>(MB_F32, args.columns);
    args.y = memory.written(MB_BF16, args.rows * args.columns);
    args.mean = memory.written<float>(MB_F32, args.rows);
    args.rstd = memory.written<float>(MB_F32, args.rows);
    b.timer.time("rows of the width", MB_OP_LAYERNORM_FORWARD, args, memory.moved());
    args.adds = true;
    args.residual = memory.read(MB_BF16, args.rows * args.columns);
    args.sum = memory.written(MB_BF16, args.rows * args.columns);
    b.timer.time("of a sum", MB_OP_LAYERNORM_FORWARD, args, memory.moved());
}

template <typename Args> Args layernorm_gradient(bench &b, operands &memory)
{
    auto args = rows_shape<Args>(b.of);
    args.x = memory.read(MB_BF16, args.rows * args.columns);
    args.dy = memory.read(MB_BF16, args.rows * args.columns);
    args.mean = memory.read<float>(MB_F32, args.rows);
    args.rstd = memory.read<float>(MB_F32, args.rows, 0.5, 1);
    return args;
}

void time_layernorm_backward(bench &b)
{
    operands memory(b.exec), others(b.exec);
    auto input = layernorm_gradient<mb_layernorm_backward_input_args_t>(b, memory);
    input.gamma = memory.read<float>(MB_F32, input.columns);
    input.dx = memory.written(MB_BF16, input.rows * input.columns);
    b.timer.time("rows of the width", MB_OP_LAYERNORM_BACKWARD_INPUT, input, memory.moved());
    auto weights = layernorm_gradient<mb_layernorm_backward_weights_args_t>(b, others);
    weights.dgamma = others.written<float>(MB_F32, weights.columns);
    weights.dbeta = others.written<float>(MB_F32, weights.columns);
    b.timer.time("rows of the width", MB_OP_LAYERNORM_BACKWARD_WEIGHTS, weights, others.moved());
}

void time_gelu(bench &b)
{
    operands memory(b.exec), others(b.exec);
    mb_act_forward_args_t forward = {};
    forward.type = MB_BF16;
    forward.act = MB_ACT_GELU;
    forward.count = b.of.rows() * 4 * b.of.width;
    forward.x = memory.read(MB_BF16, forward.count);
    forward.y = memory.written(MB_BF16, forward.count);
    b.timer.time("gelu", MB_OP_ACT_FORWARD, forward, memory.moved());
    mb_act_backward_args_t backward = {};
    backward.type = MB_BF16;
    backward.act = MB_ACT_GELU;
    backward.count = forward.count;
    backward.x = others.read(MB_BF16, backward.count);
    backward.dy = others.read(MB_BF16, backward.count);
    backward.dx = others.written(MB_BF16, backward.count);
    b.timer.time("gelu", MB_OP_ACT_BACKWARD, backward, others.moved());
}

void time_add(bench &b)
{
    operands memory(b.exec);
    mb_add_args_t args = {};
    args.type = MB_BF16;
    args.count = b.of.rows() * b.of.width;
    args.a = memory.read(MB_BF16, args.count);
    args.b = memory.read(MB_BF16, args.count);
    args.y = memory.written(MB_BF16, args.count);
    b.timer.time("residual", MB_OP_ADD, args, memory.moved());
}

void time_dropout(bench &b)
{
    operands memory(b.exec);
    mb_dropout_args_t args = {};
    args.type = MB_BF16;
    args.samples = b.of.samples;
    args.elements = b.of.length * b.of.width;
    args.rate = 0.1f;
    args.x = memory.read(MB_BF16, args.samples * args.elements);
    args.y = memory.written(MB_BF16, args.samples * args.elements);
    b.timer.time("residual", MB_OP_DROPOUT, args, memory.moved());
}

void time_column_sum(bench &b)
{
    operands memory(b.exec);
    mb_column_sum_args_t args = {};
    args.type = MB_BF16;
    args.rows = b.of.rows();
    args.columns = 4 * b.of.width;
    args.a = memory.read(MB_BF16, args.rows * args.columns);
    args.sum = memory.written<float>(MB_F32, args.columns);
    b.timer.time("gradient of a bias", MB_OP_COLUMN_SUM, args, memory.moved());
}

/* The table's rows are read, and its gradient is written, at least once each. */
void time_embedding(bench &b)
{
    operands memory(b.exec), others(b.exec);
    double most = static_cast<double>(b.of.vocabulary) - 0.5;
    int64_t count = b.of.rows() * b.of.width, table = b.of.vocabulary * b.of.width;
    mb_embedding_forward_args_t forward = {};
    forward.type = MB_BF16;
    forward.count = b.of.rows();
    forward.vocabulary = b.of.vocabulary;
    forward.width = b.of.width;
    forward.ids = memory.read<int32_t>(MB_I32, forward.count, 0, most);
    forward.table = static_cast<float *>(memory.unmoved(MB_F32, table));
    forward.y = memory.written(MB_BF16, count);
    memory.move(4.0 * static_cast<double>(std::min(table, count)));
    b.timer.time("tokens", MB_OP_EMBEDDING_FORWARD, forward, memory.moved());
    mb_embedding_backward_args_t backward = {};
    backward.type = MB_BF16;
    backward.count = forward.count;
    backward.vocabulary = forward.vocabulary;
    backward.width = forward.width;
    backward.ids = others.read<int32_t>(MB_I32, backward.count, 0, most);
    backward.dy = others.read(MB_BF16, count);
    backward.dtable = others.written<float>(MB_F32, table);
    b.timer.time("tokens", MB_OP_EMBEDDING_BACKWARD, backward, others.moved());
}

void time_loss(bench &b)
{
    operands memory(b.exec);
    mb_loss_args_t args = {};
    args.type = MB_BF16;
    args.kind = MB_LOSS_SPARSE_SOFTMAX;
    args.rows = args.valid = b.of.rows();
    args.columns = b.of.vocabulary;
    args.scale = 1 / static_cast<float>(args.rows);
    args.x = memory.read(MB_BF16, args.rows * args.columns);
    args.labels = memory.read(MB_I32, args.rows, 0, static_cast<double>(args.columns) - 0.5);
    args.dx = memory.written(MB_BF16, args.rows * args.columns);
    args.sum = memory.changed<double>(MB_F64, 1);
    b.timer.time("vocabulary", MB_OP_LOSS, args, memory.moved());
}

void time_accuracy(bench &b)
{
    operands memory(b.exec);
    mb_accuracy_args_t args = {};
    args.type = MB_BF16;
    args.rows = args.valid = b.of.rows();
    args.columns = b.of.vocabulary;
    args.sparse = true;
    args.x = memory.read(MB_BF16, args.rows * args.columns);
    args.labels = memory.read(MB_I32, args.rows, 0, static_cast<double>(args.columns) - 0.5);
    args.count = memory.changed<double>(MB_F64, 1);
    b.timer.time("vocabulary", MB_OP_ACCURACY, args, memory.moved());
}

/* A table of the vocabulary is the model's largest parameter. */
void time_adam(bench &b)
{
    operands memory(b.exec);
    mb_update_args_t args = {};
    mb_tensor_t tensor = {};
    tensor.count = b.of.vocabulary * b.of.width;
    tensor.weight_decay = 0.01f;
    tensor.w = memory.changed<float>(MB_F32, tensor.count);
    tensor.g = memory.read<float>(MB_F32, tensor.count);
    tensor.s0 = memory.changed<float>(MB_F32, tensor.count);
    tensor.s1 = memory.changed<float>(MB_F32, tensor.count, 0, 1);
    args.rule = MB_RULE_ADAM;
    args.lr = args.alpha = 1e-5f;
    args.epsilon = 1e-7f;
    args.beta1 = 0.9;
    args.beta2 = 0.999;
    require(mb_table_create(b.exec, &tensor, 1, &args.table));
    b.timer.time("adamw", MB_OP_UPDATE, args, memory.moved());
    mb_table_destroy(b.exec->device, &args.table);
}

void time_convert(bench &b)
{
    operands memory(b.exec);
    mb_convert_args_t args = {};
    args.type = MB_BF16;
    args.from = MB_F32;
    args.count = b.of.vocabulary * b.of.width;
    args.x = memory.read(MB_F32, args.count);
    args.y = memory.written(MB_BF16, args.count);
    b.timer.time("weights", MB_OP_CONVERT, args, memory.moved());
}

void time_norm(bench &b)
{
    operands memory(b.exec);
    mb_sum_args_t args = {};
    args.count = b.of.vocabulary * b.of.width;
    args.x = memory.read(MB_F32, args.count);
    args.out = memory.written<double>(MB_F64, 1);
    b.timer.time("norm of a gradient", MB_OP_SUM, args, memory.moved());
}

void time_all(bench &b)
{
    int64_t width = b.of.width;
    time_dense(b, "projection", width, width, true);
    time_dense(b, "fc", width, 4 * width, true);
    time_dense(b, "out", 4 * width, width, true);
    time_dense(b, "head", width, b.of.vocabulary, false);
    time_attention(b);
    time_layernorm_forward(b);
    time_layernorm_backward(b);
    time_gelu(b);
    time_add(b);
    time_dropout(b);
    time_column_sum(b);
    time_embedding(b);
    time_loss(b);
    time_accuracy(b);
    time_adam(b);
    time_convert(b);
    time_norm(b);
}

/* ---- the program */

bool take(const char *argument, const char *key, int64_t *value)
{
    size_t length = strlen(key);
    if (strncmp(argument, key, length) != 0 || argument[length] != '=')
        return false;
    char *end;
    *value = strtoll(argument + length + 1, &end, 10);
    return *end == '\0' && *value > 0;
}

bool take(const char *argument, const char *key, double *value)
{
    size_t length = strlen(key);
    if (strncmp(argument, key, length) != 0 || argument[length] != '=')
        return false;
    char *end;
    *value = strtod(argument + length + 1, &end);
    return *end == '\0' && *value >= 0;
}

bool parse(const char *argument, options *of)
{
    return take(argument, "samples", &of->samples) || take(argument, "length", &of->length) ||
           take(argument, "width", &of->width) || take(argument, "heads", &of->heads) ||
           take(argument, "vocabulary", &of->vocabulary) || take(argument, "repeat", &of->repeat) ||
           take(argument, "tflops", &of->tflops) || take(argument, "gbps", &of->gbps);
}

/* Two transfers a clock. */
double bandwidth_of_device()
{
    int kilohertz = 0, bits = 0;
    require(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, 0));
    require(cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, 0));
    return 2e3 * kilohertz * bits / 8 * 1e-9;
}

void print_begin(const mb_device_class_t *subject, const mb_card_t &card, const options &of)
{
    bool simulated = strcmp(subject->name, "cuda") != 0;
    printf("{\"device\": \"%s\", \"simulated\": %s, \"rows\": %lld, \"width\": %lld, "
           "\"repeat\": %lld, \"peak_gbps\": %.1f, \"peak_tflops\": %.1f, \"kernels\": [",
           card.name, simulated ? "true" : "false", (long long)of.rows(), (long long)of.width,
           (long long)of.repeat, of.gbps, of.tflops);
}

mb_card_t find_card(const mb_device_class_t *subject)
{
    mb_inventory_t found = {};
    require(subject->inventory(&found));
    if (found.count > 0)
        return found.cards[0];
    fprintf(stderr, "kernels: no GPU: %s\n", found.absent);
    exit(77);
}

} // namespace

int main(int argc, char **argv)
{
    options of;
    for (int i = 1; i < argc; i++)
        if (!parse(argv[i], &of)) {
            fprintf(stderr, "kernels: '%s' is not understood; see kernels.cc\n", argv[i]);
            return 2;
        }
    if (of.width % of.heads != 0) {
        fprintf(stderr, "kernels: the width is no multiple of the heads\n");
        return 2;
    }
    const mb_device_class_t *subject = subject_class();
    require(subject == nullptr ? MB_ERR_DEVICE : MB_OK);
    mb_card_t card = find_card(subject);
    mb_device_options_t options = {};
    options.size = sizeof options;
    mb_device_t *device = nullptr;
    mb_exec_t exec = {};
    require(subject->open(&options, &device));
    require(mb_exec_create(device, &exec));
    require(cudaSetDevice(0));
    of.gbps = of.gbps > 0 ? of.gbps : bandwidth_of_device();
    print_begin(subject, card, of);
    bench bench = {&exec, of, stopwatch(&exec, of)};
    time_all(bench);
    printf("\n]}\n");
    mb_exec_destroy(&exec);
    mb_device_close(device);
    return 0;
}
