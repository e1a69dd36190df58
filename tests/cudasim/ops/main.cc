/* Compares every operation of the CUDA device, real or over the simulated CUDA, with the CPU's:
 *
 *     test_ops [shapes=N] [seed=N] [only=NAME]...
 *
 * runs each test (or those that are named) over N random shapes, fewer of those that cost more, and
 * prints TAP. The shapes are functions of the seed and the test's name. Where there is no device
 * everything is skipped. */
#include "cudasim/ops/bench.h"
#include "cudasim/ops/subject.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace
{

struct options {
    int shapes = 30;
    uint64_t seed = 1;
    std::vector<const char *> only;
};

struct tally {
    int tests = 0, failed = 0;
};

const test *const families[] = {elementwise_tests, axis_tests, row_tests,    norm_tests,
                                pool_tests,        loss_tests, update_tests, attention_tests,
                                conv_tests,        gemm_tests, stored_tests, tf32_tests,
                                of_sum_tests,      map_tests,  metric_tests, recurrent_tests,
                                lstm_step_tests,   input_tests};

bool parse(const char *argument, options *options)
{
    if (strncmp(argument, "shapes=", 7) == 0)
        options->shapes = atoi(argument + 7);
    else if (strncmp(argument, "seed=", 5) == 0)
        options->seed = strtoull(argument + 5, nullptr, 10);
    else if (strncmp(argument, "only=", 5) == 0)
        options->only.push_back(argument + 5);
    else
        return false;
    return true;
}

/* FNV-1a over the name, so that a test has the same shapes by itself as among the others. */
uint64_t seed_of(const options &options, const test &test, mb_dtype_t type, int shape)
{
    uint64_t hash = 0xCBF29CE484222325u ^ options.seed;
    for (const char *c = test.name; *c != '\0'; c++)
        hash = (hash ^ static_cast<unsigned char>(*c)) * 0x100000001B3u;
    return (hash ^ static_cast<uint64_t>(type)) * 0x100000001B3u + static_cast<uint64_t>(shape);
}

void run_test(bench &bench, const options &options, const test &test, mb_dtype_t type, tally *tally)
{
    int shapes = options.shapes > test.cost ? options.shapes / test.cost : 1;
    int before = bench.failures();
    for (int i = 0; i < shapes && bench.failures() < before + 5; i++) {
        bench.begin(seed_of(options, test, type, i));
        test.shape(bench, type);
    }
    bool good = bench.failures() == before;
    tally->failed += !good;
    printf("%sok %d - %s with the CPU in %s over %d shape%s\n", good ? "" : "not ", ++tally->tests,
           test.what, mb_dtype_name(type), shapes, shapes == 1 ? "" : "s");
    fflush(stdout);
}

bool is_wanted(const options &options, const test &test)
{
    for (const char *name : options.only)
        if (strcmp(name, test.name) == 0)
            return true;
    return options.only.empty();
}

void run_family(bench &bench, const options &options, const test *tests, tally *tally)
{
    static const mb_dtype_t types[] = {MB_F32, MB_BF16, MB_F16};
    for (; tests->name != nullptr; tests++) {
        if (!is_wanted(options, *tests))
            continue;
        for (int i = 0; i < (tests->typed ? 3 : 1); i++)
            run_test(bench, options, *tests, types[i], tally);
    }
}

/* False: there is nothing to run on, which the exit code is for. */
bool find_device(const mb_device_class_t **subject, int *code)
{
    mb_inventory_t found = {};
    *subject = subject_class();
    *code = *subject == nullptr || (*subject)->inventory(&found) != MB_OK;
    if (*code != 0)
        printf("Bail out! %s\n", mb_error_get());
    else if (found.count == 0)
        printf("1..0 # SKIP no GPU: %s\n", found.absent);
    return found.count > 0;
}

int run_all(const mb_device_class_t *subject, const options &options)
{
    bench bench(subject);
    tally tally;
    for (const test *family : families)
        run_family(bench, options, family, &tally);
    printf("1..%d\n", tally.tests);
    return tally.failed != 0 || tally.tests == 0;
}

} // namespace

int main(int argc, char **argv)
{
    options options;
    for (int i = 1; i < argc; i++)
        if (!parse(argv[i], &options)) {
            fprintf(stderr, "usage: %s [shapes=N] [seed=N] [only=NAME]...\n", argv[0]);
            return 2;
        }
    const mb_device_class_t *subject;
    int code;
    return find_device(&subject, &code) ? run_all(subject, options) : code;
}
