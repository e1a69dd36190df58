/* Products in TF32: operands are rounded to ten bits of mantissa and the sum is a float's, as the
 * hardware documents it. Without the mode the same product is of the numbers as they are. */
#include "cudasim/ops/bench.h"

#include "cudasim/convert.h"
#include "cudasim/ops/subject.h"

#include <cmath>

namespace
{

/* A product's operands on the host, row-major and without gaps. */
struct problem {
    int64_t m, n, k;
    std::vector<float> a, b;

    double at(int64_t i, int64_t j, bool rounded) const
    {
        double sum = 0;
        for (int64_t p = 0; p < k; p++) {
            float x = a[i * k + p], y = b[p * n + j];
            sum +=
                rounded ? (double)mb_cudasim::as_tf32(x) * mb_cudasim::as_tf32(y) : (double)x * y;
        }
        return sum;
    }
    double largest_error(const std::vector<float> &c, bool rounded) const
    {
        double worst = 0;
        for (int64_t i = 0; i < m * n; i++)
            worst = fmax(worst, fabs(c[i] - at(i / n, i % n, rounded)));
        return worst;
    }
};

/* A device in the mode or not, for one product. */
class machine
{
  public:
    explicit machine(bool tf32)
    {
        mb_device_options_t options = {};
        options.size = sizeof options;
        options.tf32 = tf32;
        good_ = subject_class()->open(&options, &device_) == MB_OK &&
                mb_exec_create(device_, &exec_) == MB_OK && mb_exec_allocate(&exec_) == MB_OK;
    }
    ~machine()
    {
        if (good_)
            mb_exec_destroy(&exec_);
        if (device_ != nullptr)
            mb_device_close(device_);
    }
    bool multiply(const problem &p, std::vector<float> *c)
    {
        mb_gemm_args_t args = {};
        args.m = p.m, args.n = args.ldb = args.ldc = p.n, args.k = args.lda = p.k;
        args.a = put(p.a), args.b = put(p.b), args.c = put(*c);
        bool done = args.c != nullptr &&
                    mb_exec_run_alone(&exec_, MB_OP_GEMM, &args, sizeof args) == MB_OK &&
                    mb_exec_copy(&exec_, c->data(), args.c, bytes(*c), MB_COPY_TO_HOST) == MB_OK &&
                    mb_exec_sync(&exec_) == MB_OK;
        for (void *memory : memory_)
            mb_device_free(device_, memory);
        return done;
    }

  private:
    static size_t bytes(const std::vector<float> &values)
    {
        return values.size() * sizeof(float);
    }
    void *put(const std::vector<float> &values)
    {
        void *memory = nullptr;
        if (!good_ || mb_device_alloc(device_, bytes(values), &memory) != MB_OK)
            return nullptr;
        memory_.push_back(memory);
        good_ =
            mb_exec_copy(&exec_, memory, values.data(), bytes(values), MB_COPY_TO_DEVICE) == MB_OK;
        return memory;
    }

    mb_device_t *device_ = nullptr;
    mb_exec_t exec_ = {};
    std::vector<void *> memory_;
    bool good_ = false;
};

/* Operands lie from 1/2 to 1, a quarter of TF32's last bit there (2^-11) above a number that it
 * has: rounding takes 2^-13 off each, and so at least 2^-13 off each product. The k roundings of a
 * sum err by EPSILON of at most k each; k^2 EPSILON is less than half of k 2^-13 for k < 1024, so
 * the two modes cannot be taken for each other. */
void tf32(bench &bench, mb_dtype_t)
{
    problem p = {bench.integer(1, 40), bench.integer(1, 40), bench.integer(64, 300), {}, {}};
    auto number = [&] { return (float)(ldexp((double)bench.integer(512, 1023), -10) + 0x1p-13); };
    for (int64_t i = 0; i < p.m * p.k; i++)
        p.a.push_back(number());
    for (int64_t i = 0; i < p.k * p.n; i++)
        p.b.push_back(number());
    for (bool mode : {true, false}) {
        std::vector<float> c((size_t)(p.m * p.n));
        bool done = machine(mode).multiply(p, &c);
        bench.describe("%lld x %lld x %lld, TF32 %d", (long long)p.m, (long long)p.n,
                       (long long)p.k, mode);
        double bound = EPSILON * (double)(p.k * p.k);
        bench.expect(done, "the product runs");
        bench.expect(p.largest_error(c, mode) <= bound, "the operands are rounded as they should");
        bench.expect(p.largest_error(c, !mode) > bound, "the mode shows");
    }
}

} // namespace

const test tf32_tests[] = {{"tf32", "products of rounded operands agree", false, 3, tf32}, {}};
