/* One operation on both devices: the CPU, which is the truth here, and the CUDA device, real or
 * over the simulation (subject.h).
 *
 * A test makes operands, fills the operation's arguments with where they stand on the CPU, and
 * calls run. That puts copies of the operands on the CUDA device, translates the pointers among the
 * arguments, plans, fills the workspace and what stands around the operands with 0xff, and runs;
 * then once more, on the simulation with the threads in another order. Both runs must give the same
 * bits, leave the operands that are only read and all that is around them alone, and agree with the
 * CPU within the tolerance. What an operation wrote is an input to the ones that follow. */
#ifndef MB_CUDASIM_OPS_BENCH_H
#define MB_CUDASIM_OPS_BENCH_H

extern "C" {
#include "device/device.h"
#include "device/operands.h"
}

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

constexpr double EPSILON = 0x1p-24; /* rounding of one float operation */

/* Rounding to TYPE, relative. */
double rounding_of(mb_dtype_t type);

/* What two float sums of COUNT products of independent numbers in [-1, 1] may be apart. A partial
 * sum after i products is about sqrt(i) / 3, seldom over four times that, and each rounding errs by
 * at most EPSILON of it in a random direction, so the errors of one side add to about
 * 4 EPSILON sqrt(sum i / 9) < EPSILON count; of both sides to 1.5 times that. Twice that leaves
 * room for the largest of many elements. */
double sum_bound(int64_t count);

/* How far elements may be from the CPU's, before both are rounded to the elements' type: of the
 * element itself, by itself, of the largest element. Nothing: the same bits. */
struct tolerance {
    double relative = 0, absolute = 0, of_largest = 0;
};

/* Where an operand stands on the CPU, for a member of any pointer type. */
struct place {
    void *pointer;

    template <typename T> operator T *() const
    {
        return static_cast<T *>(pointer);
    }
};

class bench
{
  public:
    explicit bench(const mb_device_class_t *subject);
    ~bench();
    bench(const bench &) = delete;
    bench &operator=(const bench &) = delete;

    /* Forgets all operands; random numbers begin anew from SEED. */
    void begin(uint64_t seed);
    /* Of the shape, for what is said when something differs. */
    void describe(const char *format, ...) MB_PRINTF(2, 3);
    /* For a test that runs devices of its own: GOOD is what was to be seen. */
    void expect(bool good, const char *what);
    int failures() const
    {
        return failures_;
    }

    double uniform(double low, double high);
    int64_t integer(int64_t low, int64_t high); /* both included */
    bool coin();
    bool one_in(int64_t n);
    template <typename T, size_t N> T one_of(const T (&values)[N])
    {
        return values[integer(0, N - 1)];
    }
    int64_t some_count();   /* of elements, 0 among them */
    int64_t some_columns(); /* at and around the widths that kernels change at */

    /* An operand that is only read, of numbers between LOW and HIGH or of VALUE(i). */
    place given(mb_dtype_t type, int64_t count, double low, double high);
    template <typename F> place given(mb_dtype_t type, int64_t count, F value)
    {
        return put(type, false, numbers(count, value));
    }
    /* Read and written. */
    place changed(mb_dtype_t type, int64_t count, double low, double high);
    template <typename F> place changed(mb_dtype_t type, int64_t count, F value)
    {
        return put(type, true, numbers(count, value));
    }
    /* Only written; every byte is 0xff before. */
    place written(mb_dtype_t type, int64_t count);
    /* Only read; as they are. */
    place bytes(const void *from, size_t count);
    /* A table of tensors whose operands were made before; they take part in a run like those that
     * the arguments point to. */
    place table(const mb_tensor_t *tensors, int64_t n);
    /* BYTE bytes into an operand. */
    static place behind(place operand, int64_t byte);

    /* Makes the operands of the operation's own type whose pointers are still NULL. */
    template <typename Args> void complete(mb_op_t op, Args *args, double low = -1, double high = 1)
    {
        complete_any(op, args, low, high);
    }
    /* A tolerance for this operand alone. */
    void allow(const void *operand, const tolerance &tolerance);

    /* False: something differed, and was said. */
    template <typename Args> bool run(mb_op_t op, const Args &args, const tolerance &tolerance)
    {
        static_assert(sizeof(Args) % sizeof(void *) == 0, "pointers are looked for word by word");
        return run_any(op, &args, sizeof args, tolerance);
    }

  private:
    struct twin; /* an operand on both devices */
    struct invocation;
    struct side {
        mb_device_t *device = nullptr;
        mb_exec_t exec = {};
    };

    template <typename F> std::vector<double> numbers(int64_t count, F value)
    {
        std::vector<double> all;
        all.reserve(static_cast<size_t>(count));
        for (int64_t i = 0; i < count; i++)
            all.push_back(static_cast<double>(value(i)));
        return all;
    }

    place put(mb_dtype_t type, bool is_written, const std::vector<double> &values);
    twin &add(mb_dtype_t type, int64_t count, bool is_written);
    twin *find(const void *pointer);
    void complete_any(mb_op_t op, void *args, double low, double high);
    bool run_any(mb_op_t op, const void *args, size_t bytes, const tolerance &tolerance);
    void translate(const void *from, size_t bytes, void *translated, std::vector<twin *> *found);
    void start(const invocation &call);
    void plan(const invocation &call);
    void compute(const invocation &call);
    void run_on_device(const invocation &call);
    void check_around(const invocation &call, const twin &operand);
    void compare(const invocation &call, const twin &operand);
    void fail(const invocation &call, const char *format, ...) MB_PRINTF(3, 4);

    side cpu_, cuda_;
    std::mt19937_64 random_;
    std::vector<std::unique_ptr<twin>> operands_;
    std::string description_;
    int failures_ = 0;
};

/* What main runs: SHAPE once for each random shape, in each type where the operation has one. */
struct test {
    const char *name;
    const char *what;
    bool typed;
    int cost; /* of a shape; of expensive ones there are fewer */
    void (*shape)(bench &bench, mb_dtype_t type);
};

/* Of the families; the last one has no name. */
extern const test axis_tests[], elementwise_tests[], row_tests[], norm_tests[], pool_tests[],
    loss_tests[], update_tests[], attention_tests[], conv_tests[], gemm_tests[], stored_tests[],
    tf32_tests[], of_sum_tests[], map_tests[], metric_tests[], recurrent_tests[], lstm_step_tests[],
    input_tests[];

#endif
