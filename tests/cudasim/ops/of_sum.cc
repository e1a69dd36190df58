/* A layer normalization that adds has the bits of an addition and a normalization of its result on
 * every device. The CPU's are held down by tests/unit/test_op_norm; here both ways run on the CUDA
 * device, and what they wrote is compared. */
#include "cudasim/ops/bench.h"

#include "base/number.h"
#include "cudasim/ops/subject.h"

#include <cstring>

namespace
{

struct shape {
    mb_dtype_t type;
    int64_t rows, columns;
    bool rms, gamma, beta;

    int64_t count() const
    {
        return rows * columns;
    }
};

using bytes_t = std::vector<unsigned char>;

/* A device and the operands on it. */
class machine
{
  public:
    machine()
    {
        mb_device_options_t options = {};
        options.size = sizeof options;
        good_ = subject_class()->open(&options, &device_) == MB_OK &&
                mb_exec_create(device_, &exec_) == MB_OK && mb_exec_allocate(&exec_) == MB_OK;
    }
    ~machine()
    {
        for (void *memory : memory_)
            mb_device_free(device_, memory);
        mb_exec_destroy(&exec_);
        if (device_ != nullptr)
            mb_device_close(device_);
    }
    bool good() const
    {
        return good_;
    }
    place put(const bytes_t &bytes)
    {
        void *memory = nullptr;
        good_ = good_ && mb_device_alloc(device_, bytes.size(), &memory) == MB_OK;
        if (!good_)
            return {nullptr};
        memory_.push_back(memory);
        good_ =
            mb_exec_copy(&exec_, memory, bytes.data(), bytes.size(), MB_COPY_TO_DEVICE) == MB_OK &&
            mb_exec_sync(&exec_) == MB_OK;
        return {memory};
    }
    place unwritten(size_t bytes)
    {
        return put(bytes_t(bytes, 0xff));
    }
    bytes_t left(const void *memory, size_t bytes)
    {
        bytes_t host(bytes);
        good_ = good_ &&
                mb_exec_copy(&exec_, host.data(), memory, bytes, MB_COPY_TO_HOST) == MB_OK &&
                mb_exec_sync(&exec_) == MB_OK;
        return host;
    }
    template <typename Args> void run(mb_op_t op, const Args &args)
    {
        good_ = good_ && mb_exec_run_alone(&exec_, op, &args, sizeof args) == MB_OK;
    }

  private:
    mb_device_t *device_ = nullptr;
    mb_exec_t exec_ = {};
    std::vector<void *> memory_;
    bool good_ = false;
};

size_t bytes_of(mb_dtype_t type, int64_t count)
{
    return static_cast<size_t>(count) * mb_dtype_bytes(type);
}

place given(bench &bench, machine &device, mb_dtype_t type, int64_t count)
{
    std::vector<float> values;
    for (int64_t i = 0; i < count; i++)
        values.push_back(static_cast<float>(bench.uniform(-2, 3)));
    bytes_t bytes(bytes_of(type, count));
    mb_number_encode(mb_number_of(type), 0, values.data(), count, bytes.data());
    return device.put(bytes);
}

void give_places(machine &device, const shape &s, mb_layernorm_forward_args_t *args)
{
    args->sum = device.unwritten(bytes_of(s.type, s.count()));
    args->y = device.unwritten(bytes_of(s.type, s.count()));
    args->mean = device.unwritten(bytes_of(MB_F32, s.rows));
    args->rstd = device.unwritten(bytes_of(MB_F32, s.rows));
}

mb_layernorm_forward_args_t in_one(bench &bench, machine &device, const shape &s)
{
    mb_layernorm_forward_args_t args = {};
    args.type = s.type;
    args.rows = s.rows;
    args.columns = s.columns;
    args.rms = s.rms;
    args.adds = true;
    args.epsilon = 1e-3f;
    args.x = given(bench, device, s.type, s.count());
    args.residual = given(bench, device, s.type, s.count());
    if (s.gamma)
        args.gamma = given(bench, device, MB_F32, s.columns);
    if (s.beta)
        args.beta = given(bench, device, MB_F32, s.columns);
    give_places(device, s, &args);
    return args;
}

void run_in_two(machine &device, const shape &s, mb_layernorm_forward_args_t args)
{
    mb_add_args_t add = {};
    add.type = s.type;
    add.count = s.count();
    add.a = args.x;
    add.b = args.residual;
    add.y = args.sum;
    args.adds = false;
    args.x = args.sum;
    args.residual = nullptr;
    args.sum = nullptr;
    device.run(MB_OP_ADD, add);
    device.run(MB_OP_LAYERNORM_FORWARD, args);
}

bool same(machine &device, const void *a, const void *b, size_t bytes)
{
    return device.left(a, bytes) == device.left(b, bytes);
}

shape some_shape(bench &bench, mb_dtype_t type)
{
    shape s = {type,         bench.integer(1, 40), bench.some_columns(),
               bench.coin(), bench.coin(),         bench.coin()};
    if (bench.one_in(8)) {
        s.rows = bench.integer(1, 3);
        s.columns = bench.coin() ? bench.integer(2049, 4000) : bench.integer(8193, 9000);
    }
    return s;
}

void of_sum(bench &bench, mb_dtype_t type)
{
    shape s = some_shape(bench, type);
    machine device;
    mb_layernorm_forward_args_t one = in_one(bench, device, s), two = one;
    give_places(device, s, &two);
    device.run(MB_OP_LAYERNORM_FORWARD, one);
    run_in_two(device, s, two);
    size_t elements = bytes_of(type, s.count()), statistics = bytes_of(MB_F32, s.rows);
    bench.describe("%lld x %lld, rms %d", (long long)s.rows, (long long)s.columns, s.rms);
    bench.expect(same(device, one.sum, two.sum, elements), "the sum has the addition's bits");
    bench.expect(same(device, one.y, two.y, elements), "y has the normalization's bits");
    bench.expect(same(device, one.mean, two.mean, statistics), "the mean has the same bits");
    bench.expect(same(device, one.rstd, two.rstd, statistics), "1 / deviation has the same bits");
    bench.expect(device.good(), "the operations run");
}

} // namespace

const test of_sum_tests[] = {
    {"of_sum", "a normalized sum agrees with two operations as", true, 2, of_sum}, {}};
