/* See bench.h. */
#include "cudasim/ops/bench.h"

#include "cudasim/ops/subject.h"

extern "C" {
#include "base/number.h"
}

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace
{

constexpr size_t AROUND = 256; /* bytes on either side that nobody may write */
constexpr unsigned char UNWRITTEN = 0xff;

typedef std::vector<unsigned char> bytes_t;

/* The devices themselves have tests of their own: without them there is nothing to do here. */
void require(mb_status_t status)
{
    if (status == MB_OK)
        return;
    printf("Bail out! %s\n", mb_error_get());
    exit(1);
}

template <typename T> void store_as(const std::vector<double> &values, void *to)
{
    T *elements = static_cast<T *>(to);
    for (size_t i = 0; i < values.size(); i++)
        elements[i] = static_cast<T>(values[i]);
}

void store(mb_dtype_t type, const std::vector<double> &values, void *to)
{
    if (type == MB_F64)
        return store_as<double>(values, to);
    if (type == MB_I32)
        return store_as<int32_t>(values, to);
    std::vector<float> floats(values.begin(), values.end());
    mb_number_encode(mb_number_of(type), 0, floats.data(), static_cast<int64_t>(floats.size()), to);
}

template <typename T> std::vector<double> load_as(size_t count, const void *from)
{
    const T *elements = static_cast<const T *>(from);
    return std::vector<double>(elements, elements + count);
}

std::vector<double> load(mb_dtype_t type, size_t count, const void *from)
{
    if (type == MB_F64)
        return load_as<double>(count, from);
    if (type == MB_I32)
        return load_as<int32_t>(count, from);
    if (type == MB_U8)
        return load_as<uint8_t>(count, from);
    std::vector<float> floats(count);
    mb_number_decode(mb_number_of(type), 0, from, static_cast<int64_t>(count), floats.data());
    return std::vector<double>(floats.begin(), floats.end());
}

double largest_of(const std::vector<double> &values)
{
    double largest = 0;
    for (double value : values)
        if (std::isfinite(value))
            largest = fmax(largest, fabs(value));
    return largest;
}

/* Between neighbours of TYPE around VALUE, at most: two sides that are hardly apart may be rounded
 * to either. */
double step_at(mb_dtype_t type, double value)
{
    double least = type == MB_F16 ? 0x1p-24 : 0x1p-133;
    return type == MB_BF16 || type == MB_F16 ? 2 * rounding_of(type) * fabs(value) + least : 0;
}

/* Any NaN is as good as another; zeros have signs. */
bool same(double a, double b)
{
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

bool all_unwritten(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != UNWRITTEN)
            return false;
    return true;
}

void copy(mb_exec_t *exec, void *to, const void *from, size_t bytes, mb_copy_kind_t kind)
{
    exec->planning = false;
    require(mb_exec_copy(exec, to, from, bytes, kind));
    require(mb_exec_sync(exec));
}

/* Memory of the CUDA device with AROUND bytes on both sides. */
unsigned char *take(mb_exec_t *exec, size_t bytes)
{
    void *memory = nullptr;
    require(mb_device_alloc(exec->device, bytes + 2 * AROUND, &memory));
    bytes_t unwritten(bytes + 2 * AROUND, UNWRITTEN);
    copy(exec, memory, unwritten.data(), unwritten.size(), MB_COPY_TO_DEVICE);
    return static_cast<unsigned char *>(memory) + AROUND;
}

void give_back(mb_exec_t *exec, unsigned char *memory)
{
    if (memory != nullptr)
        mb_device_free(exec->device, memory - AROUND);
}

/* With what is around it. */
bytes_t read_back(mb_exec_t *exec, const unsigned char *memory, size_t bytes)
{
    bytes_t all(bytes + 2 * AROUND);
    copy(exec, all.data(), memory - AROUND, all.size(), MB_COPY_TO_HOST);
    return all;
}

} // namespace

double rounding_of(mb_dtype_t type)
{
    return type == MB_BF16 ? 0x1p-8 : type == MB_F16 ? 0x1p-11 : EPSILON;
}

double sum_bound(int64_t count)
{
    return 3 * EPSILON * static_cast<double>(count);
}

struct bench::twin {
    mb_dtype_t type = MB_F32;
    int64_t count = 0;
    size_t bytes = 0;
    bool is_written = false, has_tolerance = false;
    bool is_table = false; /* of pointers to other operands */
    struct tolerance tolerance;
    void *cpu = nullptr;
    unsigned char *cuda = nullptr;
    bytes_t before, after; /* on the CUDA device: as it was given, and what the run left */
    int number = 0;        /* in the order in which they were made */

    const unsigned char *left() const
    {
        return after.data() + AROUND;
    }
};

struct bench::invocation {
    mb_op_t op;
    size_t bytes;
    const void *cpu_args, *cuda_args;
    struct tolerance tolerance;
    std::vector<twin *> operands;
};

/* ---- devices */

bench::bench(const mb_device_class_t *subject)
{
    mb_device_options_t options = {};
    options.size = sizeof options;
    options.threads = 1;
    options.emulate = true; /* narrow types too */
    require(mb_device_cpu.open(&options, &cpu_.device));
    require(subject->open(&options, &cuda_.device));
    require(mb_exec_create(cpu_.device, &cpu_.exec));
    require(mb_exec_create(cuda_.device, &cuda_.exec));
}

bench::~bench()
{
    begin(0);
    mb_exec_destroy(&cpu_.exec);
    mb_exec_destroy(&cuda_.exec);
    mb_device_close(cpu_.device);
    mb_device_close(cuda_.device);
}

void bench::begin(uint64_t seed)
{
    for (auto &operand : operands_) {
        mb_device_free(cpu_.device, operand->cpu);
        give_back(&cuda_.exec, operand->cuda);
    }
    operands_.clear();
    description_.clear();
    random_.seed(seed);
}

void bench::describe(const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    description_ = text;
}

/* ---- random numbers */

double bench::uniform(double low, double high)
{
    return low + (high - low) * static_cast<double>(random_() >> 11) * 0x1p-53;
}

int64_t bench::integer(int64_t low, int64_t high)
{
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
}

bool bench::coin()
{
    return random_() & 1;
}

bool bench::one_in(int64_t n)
{
    return integer(1, n) == 1;
}

int64_t bench::some_count()
{
    if (one_in(6))
        return integer(0, 9);
    return coin() ? integer(1, 3000) : 16 * integer(1, 500);
}

int64_t bench::some_columns()
{
    static const int64_t widths[] = {1,  2,  3,  7,  8,  9,   10,  16,  31,  32,
                                     33, 63, 64, 65, 96, 127, 128, 200, 257, 768};
    return coin() ? one_of(widths) : integer(1, 300);
}

/* ---- operands */

bench::twin &bench::add(mb_dtype_t type, int64_t count, bool is_written)
{
    operands_.push_back(std::make_unique<twin>());
    twin &made = *operands_.back();
    made.type = type;
    made.count = count;
    made.bytes = static_cast<size_t>(count) * mb_dtype_bytes(type);
    made.is_written = is_written;
    made.number = static_cast<int>(operands_.size());
    require(mb_device_alloc(cpu_.device, made.bytes, &made.cpu));
    memset(made.cpu, UNWRITTEN, made.bytes);
    made.cuda = take(&cuda_.exec, made.bytes);
    return made;
}

place bench::put(mb_dtype_t type, bool is_written, const std::vector<double> &values)
{
    twin &made = add(type, static_cast<int64_t>(values.size()), is_written);
    store(type, values, made.cpu);
    return {made.cpu};
}

place bench::given(mb_dtype_t type, int64_t count, double low, double high)
{
    return given(type, count, [=](int64_t) { return uniform(low, high); });
}

place bench::changed(mb_dtype_t type, int64_t count, double low, double high)
{
    return changed(type, count, [=](int64_t) { return uniform(low, high); });
}

place bench::written(mb_dtype_t type, int64_t count)
{
    return {add(type, count, true).cpu};
}

place bench::bytes(const void *from, size_t count)
{
    twin &made = add(MB_U8, static_cast<int64_t>(count), false);
    if (count > 0)
        memcpy(made.cpu, from, count);
    return {made.cpu};
}

place bench::table(const mb_tensor_t *tensors, int64_t n)
{
    place made = bytes(tensors, static_cast<size_t>(n) * sizeof *tensors);
    operands_.back()->is_table = true;
    return made;
}

place bench::behind(place operand, int64_t byte)
{
    return {static_cast<char *>(operand.pointer) + byte};
}

bench::twin *bench::find(const void *pointer)
{
    const char *at = static_cast<const char *>(pointer);
    for (auto &candidate : operands_) {
        const char *first = static_cast<const char *>(candidate->cpu);
        if (at == first || (at > first && at < first + candidate->bytes))
            return candidate.get();
    }
    return nullptr;
}

void bench::allow(const void *pointer, const tolerance &tolerance)
{
    twin *operand = find(pointer);
    operand->tolerance = tolerance;
    operand->has_tolerance = true;
}

void bench::complete_any(mb_op_t op, void *args, double low, double high)
{
    mb_operand_t operands[MB_MOST_OPERANDS];
    int count = mb_op_operands(op, args, operands);
    mb_dtype_t type = mb_op_type(op, args);
    for (int i = 0; i < count; i++) {
        const mb_operand_t &wanted = operands[i];
        void *pointer;
        memcpy(&pointer, static_cast<char *>(args) + wanted.at, sizeof pointer);
        if (pointer != nullptr)
            continue;
        if (wanted.use == MB_OPERAND_WRITTEN)
            pointer = written(type, wanted.count);
        else if (wanted.use == MB_OPERAND_BOTH)
            pointer = changed(type, wanted.count, low, high);
        else
            pointer = given(type, wanted.count, low, high);
        memcpy(static_cast<char *>(args) + wanted.at, &pointer, sizeof pointer);
    }
}

/* ---- running */

/* Adds to FOUND the operands that FROM points to, also through tables; their pointers are replaced
 * in TRANSLATED. */
void bench::translate(const void *from, size_t bytes, void *translated, std::vector<twin *> *found)
{
    memcpy(translated, from, bytes);
    for (size_t at = 0; at < bytes; at += sizeof(void *)) {
        char *pointer;
        memcpy(&pointer, static_cast<const char *>(from) + at, sizeof pointer);
        twin *operand = find(pointer);
        if (operand == nullptr)
            continue;
        void *there = operand->cuda + (pointer - static_cast<char *>(operand->cpu));
        memcpy(static_cast<char *>(translated) + at, &there, sizeof there);
        if (std::find(found->begin(), found->end(), operand) != found->end())
            continue;
        found->push_back(operand);
        const unsigned char *begin = static_cast<unsigned char *>(operand->cpu);
        operand->before.assign(begin, begin + operand->bytes);
        if (operand->is_table)
            translate(operand->cpu, operand->bytes, operand->before.data(), found);
    }
}

void bench::start(const invocation &call)
{
    for (twin *operand : call.operands)
        copy(&cuda_.exec, operand->cuda, operand->before.data(), operand->bytes, MB_COPY_TO_DEVICE);
}

void bench::plan(const invocation &call)
{
    cuda_.exec.workspace_needed = 0;
    cuda_.exec.planning = true;
    if (cuda_.device->class_->run(&cuda_.exec, call.op, call.cuda_args, call.bytes) != MB_OK)
        fail(call, "planning: %s", mb_error_get());
    cuda_.exec.planning = false;
}

/* In a workspace of what was planned, to the byte. */
void bench::compute(const invocation &call)
{
    size_t needed = cuda_.exec.workspace_needed;
    unsigned char *workspace = take(&cuda_.exec, needed);
    cuda_.exec.workspace = workspace;
    cuda_.exec.workspace_bytes = needed;
    if (cuda_.device->class_->run(&cuda_.exec, call.op, call.cuda_args, call.bytes) != MB_OK)
        fail(call, "%s", mb_error_get());
    if (mb_exec_sync(&cuda_.exec) != MB_OK)
        fail(call, "%s", mb_error_get());
    bytes_t all = read_back(&cuda_.exec, workspace, needed);
    if (!all_unwritten(all.data(), AROUND) || !all_unwritten(&all[AROUND + needed], AROUND))
        fail(call, "writes outside its workspace");
    cuda_.exec.workspace = nullptr;
    cuda_.exec.workspace_bytes = 0;
    give_back(&cuda_.exec, workspace);
}

void bench::run_on_device(const invocation &call)
{
    subject_reorder(random_());
    start(call);
    plan(call);
    compute(call);
    for (twin *operand : call.operands)
        operand->after = read_back(&cuda_.exec, operand->cuda, operand->bytes);
}

void bench::check_around(const invocation &call, const twin &operand)
{
    if (!all_unwritten(operand.after.data(), AROUND) ||
        !all_unwritten(operand.left() + operand.bytes, AROUND))
        fail(call, "writes outside operand %d", operand.number);
    if (!operand.is_written && !operand.before.empty() &&
        memcmp(operand.before.data(), operand.left(), operand.bytes) != 0)
        fail(call, "writes operand %d", operand.number);
}

void bench::compare(const invocation &call, const twin &operand)
{
    const struct tolerance &t = operand.has_tolerance ? operand.tolerance : call.tolerance;
    size_t count = static_cast<size_t>(operand.count), steps = 0;
    std::vector<double> want = load(operand.type, count, operand.cpu);
    std::vector<double> got = load(operand.type, count, operand.left());
    bool exact = t.relative == 0 && t.absolute == 0 && t.of_largest == 0;
    double everywhere = t.absolute + t.of_largest * largest_of(want);
    for (size_t i = 0; i < count; i++) {
        if (same(want[i], got[i]) || (!exact && want[i] == got[i]))
            continue;
        double apart = fabs(got[i] - want[i]), allowed = everywhere + t.relative * fabs(want[i]);
        steps += apart > allowed;
        if (!exact && apart <= allowed + step_at(operand.type, want[i]))
            continue;
        fail(call, "operand %d, element %zu of %zu: %.9g, on the CPU %.9g", operand.number, i,
             count, got[i], want[i]);
        return;
    }
    /* Sides that are 2^-13 of an element apart are rounded apart once in 16 (float16) or 128
     * elements; one that rounds otherwise than to nearest is apart in half of them. */
    if (steps > 8 + count / 8)
        fail(call, "operand %d: %zu of %zu elements are rounded otherwise", operand.number, steps,
             count);
}

void bench::fail(const invocation &call, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    failures_++;
    printf("# %s, %s: %s\n", mb_op_name(call.op), description_.c_str(), text);
}

void bench::expect(bool good, const char *what)
{
    if (good)
        return;
    failures_++;
    printf("# %s: not so: %s\n", description_.c_str(), what);
}

bool bench::run_any(mb_op_t op, const void *args, size_t bytes, const tolerance &tolerance)
{
    int before = failures_;
    std::vector<uint64_t> translated(bytes / sizeof(uint64_t));
    invocation call = {op, bytes, args, translated.data(), tolerance, {}};
    translate(args, bytes, translated.data(), &call.operands);
    require(mb_exec_run_alone(&cpu_.exec, op, args, bytes));
    run_on_device(call);
    std::vector<bytes_t> first;
    for (twin *operand : call.operands)
        first.push_back(operand->after);
    run_on_device(call);
    for (size_t i = 0; i < call.operands.size(); i++) {
        twin &operand = *call.operands[i];
        check_around(call, operand);
        if (operand.after != first[i])
            fail(call, "operand %d has other bits on a second run", operand.number);
        else if (operand.is_written)
            compare(call, operand);
    }
    for (twin *operand : call.operands)
        operand->is_written = operand->has_tolerance = false;
    return failures_ == before;
}
