/* Quantized files give the same bits on any layout: evaluated and predicted from on 1 to 4 ranks in
 * 1 to 3 stages, in batches that are quantized themselves and in some that are too small for it, on
 * the CPU and on a device that keeps its memory apart.
 *
 * 4 ranks run all of it, on the first N of them.
 * Usage: test_stored DIRECTORY DEVICE NAME...; NAME: a fixture, a hyphen, and what it was made
 * into.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/ops.h"
#include "mpi/layout.h"
#include "mpi/ranks.h"

enum { RANKS = 4, MOST_STAGES = 3, SAMPLES = 113, LARGE = 20, SMALL = 3 };

_Static_assert(LARGE >= MB_INTEGER_ROWS && SMALL < MB_INTEGER_ROWS, "one on either side");

/* What a layout gave: loss and accuracy, and digests of the predictions. */
typedef struct {
    double numbers[2];
    uint64_t large, small;
} found_t;

static int rank, failures;
static const char *directory, *device;

static mb_status_t pass(int size, layout_model_t *model, int stages, const char *where,
                        found_t *found)
{
    layout_run_t run = {.model = model,
                        .device = where,
                        .schedule = "1f1b",
                        .threads = stages % 2 == 0 ? "2" : "1",
                        .stages = stages,
                        .batch = LARGE,
                        .free = true};
    MB_TRY(layout_evaluate(size, &run, found->numbers));
    model->micro_batch = LARGE;
    MB_TRY(layout_predict(size, &run, &found->large));
    model->micro_batch = SMALL;
    return layout_predict(size, &run, &found->small);
}

/* Rank 0 takes part in every layout and compares. */
static bool holds(const layout_model_t *model, int size, int stages, mb_status_t status,
                  const found_t *found, const found_t *wanted)
{
    if (rank != 0)
        return status == MB_OK;
    if (status == MB_OK && memcmp(found, wanted, sizeof *found) == 0 && !isnan(found->numbers[0]))
        return true;
    fprintf(stderr,
            "# %s, %d ranks, %d stages on %s: loss %.17g for %.17g, predictions %016" PRIx64
            " for %016" PRIx64 ", small batches %016" PRIx64 " for %016" PRIx64 "%s%s\n",
            model->name, size, stages, device, found->numbers[0], wanted->numbers[0], found->large,
            wanted->large, found->small, wanted->small, status == MB_OK ? "" : ": ",
            status == MB_OK ? "" : mb_error_get());
    return false;
}

static void check(layout_model_t *model)
{
    found_t wanted = {.large = 0};
    int layouts = 0, bad = pass(1, model, 1, "cpu", &wanted) != MB_OK;
    ranks_meet();
    for (int size = 1; size <= RANKS; size++) {
        for (int stages = 1; stages <= size && stages <= MOST_STAGES; stages++) {
            found_t found = {.large = 0};
            if (stages > model->most_stages)
                continue;
            mb_status_t status = pass(size, model, stages, device, &found);
            bad += !holds(model, size, stages, status, &found, &wanted);
            layouts++;
            ranks_meet();
        }
    }
    failures += bad > 0;
    if (rank == 0)
        printf("%s %s gives the same bits in %d layouts (%s)\n", bad == 0 ? "ok" : "not ok",
               model->name, layouts, device);
    fflush(stdout);
}

static void check_file(const char *name)
{
    const char *source = getenv("MB_SRCDIR");
    layout_model_t model = {.name = name, .samples = SAMPLES};
    snprintf(model.path, sizeof model.path, "%s/%s.h5", directory, name);
    snprintf(model.data, sizeof model.data, "%s/tests/fixtures/%.*s.ref.h5",
             source == NULL ? "." : source, (int)strcspn(name, "-"), name);
    if (layout_open(directory, &model) == MB_OK) {
        check(&model);
    } else {
        failures++;
        if (rank == 0)
            printf("not ok %s opens: %s\n", name, mb_error_get());
    }
    layout_close(&model);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    directory = argv[1];
    device = argv[2];
    ranks_begin(&argc, &argv);
    rank = ranks_own();
    for (int i = 3; i < argc; i++)
        check_file(argv[i]);
    return ranks_end(failures);
}
