/* The same bits on any layout: every split of 1 to 8 ranks into stages and groups of R = 4
 * replicas, all schedules in turn, forwards kept and computed again, the optimizer's state whole
 * and shared out, 1 and 2 threads, a batch that is even and one that is not, a stop in the middle.
 *
 * 8 ranks run all of it, on the first N of them while the others sleep; fewer run what fits into
 * them. Usage: test_layouts DIRECTORY DEVICE[:DTYPE][@TRANSPORT] EFFORT [MODEL...]; EFFORT: how
 * many of the combinations each split has, up to 8. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/layout.h"
#include "mpi/ranks.h"

static const int sizes[] = {1, 2, 3, 4, 5, 6, 8};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static layout_model_t models[] = {
    {.name = "mlp", .clip = "0.5", .micro_batch = 3, .even = 24, .uneven = 22, .samples = 53},
    /* Its divisors depend on labels and weights of the whole batch. */
    {.name = "mlp_weighed",
     .loss = "sparse_categorical_crossentropy:from_logits=true,ignore_class=2,"
             "reduction=mean_with_sample_weight",
     .is_weighed = true,
     .micro_batch = 3,
     .even = 24,
     .uneven = 22,
     .samples = 53},
    {.name = "cnn", .micro_batch = 2, .even = 16, .uneven = 21, .samples = 47},
    {.name = "cnn_unet", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    {.name = "cnn_mobile", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    {.name = "cnn_augmented", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    {.name = "cnn_norms", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    {.name = "gpt", .micro_batch = 1, .even = 8, .uneven = 6, .samples = 15},
    {.name = "shared",
     .calls_again = true,
     .micro_batch = 2,
     .even = 16,
     .uneven = 13,
     .samples = 29},
    {.name = "operators", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    {.name = "branches",
     .calls_again = true,
     .micro_batch = 2,
     .even = 16,
     .uneven = 13,
     .samples = 29},
    {.name = "recurrent", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    {.name = "masks", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    {.name = "recurrent_states", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    {.name = "recurrent_steps", .micro_batch = 2, .even = 16, .uneven = 13, .samples = 29},
    /* Its batch is the one that it has states for. */
    {.name = "recurrent_kept",
     .keeps_states = true,
     .micro_batch = 2,
     .even = 21,
     .uneven = 21,
     .samples = 42},
    {.name = "regularized", .micro_batch = 2, .even = 16, .uneven = 21, .samples = 47},
    /* Its first steps overflow and are left out. */
    {.name = "scaled",
     .micro_batch = 2,
     .even = 16,
     .uneven = 21,
     .samples = 47,
     .steps = 14,
     .is_narrow = true},
};
enum { N_MODELS = sizeof models / sizeof models[0] };

typedef struct {
    const char *schedule, *threads;
    bool even;
} variant_t;

static const variant_t variants[] = {
    {"1f1b", "1", false}, {"gpipe", "2", true}, {"1f1b", "2", true},   {"gpipe", "1", false},
    {"1f1b", "2", false}, {"gpipe", "1", true}, {"gpipe", "2", false}, {"1f1b", "1", true},
};
enum { ALL_VARIANTS = sizeof variants / sizeof variants[0] };

static int rank;
static const char *directory, *device, *dtype, *transport;
static int n_variants, n_sizes, failures;
static unsigned turn; /* of the splits; begins at MB_LAYOUTS_TURN */

static void report(bool good, const char *format, ...) MB_PRINTF(2, 3);
static void report(bool good, const char *format, ...)
{
    va_list args;
    if (rank != 0)
        return;
    va_start(args, format);
    printf("%s ", good ? "ok" : "not ok");
    vprintf(format, args);
    printf(" (%s%s%s%s%s%s)\n", device, dtype != NULL ? ", " : "", dtype != NULL ? dtype : "",
           transport != NULL ? ", " : "", transport != NULL ? transport : "",
           ranks_in_process() ? ", in one process" : "");
    fflush(stdout);
    va_end(args);
    failures += !good;
}

static layout_run_t run_of(const layout_model_t *model, const variant_t *variant, int stages)
{
    static char save[LAYOUT_PATH];
    snprintf(save, sizeof save, "%s/after.h5", directory);
    return (layout_run_t){.model = model,
                          .device = device,
                          .dtype = dtype,
                          .transport = transport,
                          .schedule = variant->schedule,
                          .threads = variant->threads,
                          .stages = stages,
                          .batch = variant->even ? model->even : model->uneven,
                          .save = save};
}

static bool same_losses(const layout_outcome_t *a, const layout_outcome_t *b)
{
    bool same = true;
    for (int s = 0; s < LAYOUT_MAX_STEPS; s++)
        same = same && (isnan(a->losses[s]) || memcmp(&a->losses[s], &b->losses[s], 8) == 0);
    return same;
}

/* Compares with one rank; says what differs. */
static bool holds(const char *what, mb_status_t status, const layout_outcome_t *found,
                  const layout_outcome_t *wanted)
{
    if (rank != 0)
        return true;
    bool losses = same_losses(found, wanted);
    bool good = status == MB_OK && losses && found->weights == wanted->weights &&
                found->full == wanted->full;
    if (!good)
        fprintf(stderr,
                "# %s on %s: %s losses, weights %016" PRIx64 " for %016" PRIx64
                ", with state %016" PRIx64 " for %016" PRIx64 "%s%s\n",
                what, device, losses ? "the same" : "other", found->weights, wanted->weights,
                found->full, wanted->full, status == MB_OK ? "" : ": ",
                status == MB_OK ? "" : mb_error_get());
    return good;
}

/* The test devices (support/) compute by the CPU's own operations and must give its bits. */
static const char *computing_device(void)
{
    return strcmp(device, "deferred") == 0 || strcmp(device, "strict") == 0 ? "cpu" : device;
}

/* The bits that all layouts must give: one rank, one stage. */
static layout_outcome_t reference(const layout_model_t *model, bool even)
{
    layout_outcome_t outcome = {.steps = 0};
    variant_t variant = {"1f1b", "1", even};
    layout_run_t run = run_of(model, &variant, 1);
    run.device = computing_device();
    if (layout_train(1, &run, &outcome) != MB_OK)
        report(false, "%s trains on one rank: %s", model->name, mb_error_get());
    ranks_meet();
    return outcome;
}

/* Ranks that share a core hand it over for every message, of which chunks make several times as
 * many: beyond these, stages have one. */
enum { MOST_FOR_CHUNKS = 4 };

/* The first variant of each split takes another schedule than that of the split before, where the
 * model can be cut into so many chunks. */
static const char *schedule_of(const layout_model_t *model, int variant, int ranks, int stages)
{
    static const char *const all[] = {"zb-v",          "interleaved", "1f1b", "zb-h1", "gpipe",
                                      "interleaved:3", "zb-h2",       "auto", "auto:2"};
    mb_schedule_choice_t choice;
    const char *name = all[turn % (sizeof all / sizeof all[0])];
    if (variant > 0)
        return variants[variant].schedule;
    mb_schedule_parse(name, &choice);
    int chunks = mb_schedule_chunks(&choice, stages);
    bool fits = chunks <= model->most_stages && (ranks <= MOST_FOR_CHUNKS || chunks == stages);
    return fits ? name : variants[0].schedule;
}

/* Every second split computes again: all (in two segments where a stage has all nodes), the first
 * layer of each class (a number stands behind the others' names), or all whose names end in another
 * letter than a Dense's. */
static const char *recompute_of(unsigned number, const char *schedule, int stages)
{
    static const char *const all[] = {"full", NULL, "*[!0-9]", NULL, "*[!e]", NULL};
    const char *patterns = all[number % (sizeof all / sizeof all[0])];
    bool whole = stages == 1 && (strcmp(schedule, "1f1b") == 0 || strcmp(schedule, "gpipe") == 0);
    return whole && patterns != NULL ? "full:2" : patterns;
}

static bool is_apart(const layout_run_t *run)
{
    return strcmp(run->device, "deferred") == 0;
}

/* Measuring takes longer than all else that a rank of a small model does: one in so many splits, as
 * many as 1 to 4 ranks have. */
enum { MEASURES = 10 };

static int check_split(const layout_model_t *model, int size_index, int stages,
                       const layout_outcome_t wanted[2])
{
    char what[128];
    int bad = 0;
    for (int v = 0; v < n_variants; v++) {
        layout_outcome_t outcome;
        layout_run_t run = run_of(model, &variants[v], stages);
        run.schedule = schedule_of(model, v, sizes[size_index], stages);
        run.recompute =
            v == 0 && !model->keeps_states ? recompute_of(turn, run.schedule, stages) : NULL;
        run.measures = v == 0 && turn % MEASURES == 4;
        run.zero = (turn + (unsigned)v) % 3 != 0;
        run.checks = v == 0 && turn % 3 == 1;
        run.offloads = is_apart(&run) && (turn + (unsigned)stages) % 2 != 0;
        snprintf(what, sizeof what, "%s, %d ranks, %d stages, %s, %s threads, %s batch, zero=%d",
                 model->name, sizes[size_index], stages, run.schedule, run.threads,
                 variants[v].even ? "even" : "uneven", run.zero);
        mb_status_t status = layout_train(sizes[size_index], &run, &outcome);
        bad += !holds(what, status, &outcome, &wanted[variants[v].even]);
    }
    return bad;
}

static void check_model(const layout_model_t *model)
{
    layout_outcome_t wanted[2] = {reference(model, false), reference(model, true)};
    for (int i = 0; i < n_sizes; i++) {
        int splits = 0, bad = 0;
        for (int stages = 1; stages <= sizes[i] && stages <= model->most_stages; stages++) {
            splits++;
            bad += check_split(model, i, stages, wanted);
            turn++;
            ranks_meet();
        }
        report(bad == 0, "%s has the bits of one rank on %d ranks, in %d splits", model->name,
               sizes[i], splits);
    }
}

/* Gradients can be shared out where a group has one micro-batch a step: a batch of less than a
 * micro-batch of each of four groups, in one stage and, where there are ranks for them, in two. */
static void check_sharing(const layout_model_t *model)
{
    layout_outcome_t wanted = {.steps = 0}, found;
    layout_run_t run = run_of(model, &variants[0], 1);
    int bad = 0, layouts = 0;
    run.batch = LAYOUT_REPLICAS * model->micro_batch - (model->micro_batch > 1);
    run.device = computing_device();
    if (layout_train(1, &run, &wanted) != MB_OK)
        report(false, "%s trains on one rank: %s", model->name, mb_error_get());
    ranks_meet();
    run.device = device;
    run.zero = 2;
    for (int stages = 1; LAYOUT_REPLICAS * stages <= sizes[n_sizes - 1] && stages <= 2; stages++) {
        run.stages = stages;
        run.checks = stages == 2;
        run.offloads = is_apart(&run) && stages == 2;
        mb_status_t status = layout_train(LAYOUT_REPLICAS * stages, &run, &found);
        bad += !holds("zero=2", status, &found, &wanted);
        layouts++;
        ranks_meet();
    }
    report(bad == 0,
           "%s has the bits of one rank where summed gradients are shared out, in %d layouts",
           model->name, layouts);
}

/* From one layout to another: sizes' indices, stages. */
typedef struct {
    int size_before, stages_before, size_after, stages_after;
} change_t;

static const change_t changes[] = {{0, 1, 6, 4}, {6, 2, 3, 4}, {4, 5, 0, 1},
                                   {5, 3, 1, 1}, {2, 1, 5, 2}, {3, 2, 6, 1}};
enum { N_CHANGES = sizeof changes / sizeof changes[0] };

static int lower(int a, int b)
{
    return a < b ? a : b;
}

/* Within the ranks that there are. */
static change_t change_of(int number)
{
    change_t c = changes[number];
    c.size_before = lower(c.size_before, n_sizes - 1);
    c.size_after = lower(c.size_after, n_sizes - 1);
    c.stages_before = lower(c.stages_before, sizes[c.size_before]);
    c.stages_after = lower(c.stages_after, sizes[c.size_after]);
    return c;
}

static mb_status_t start(const layout_model_t *model, const char *path, int change, int part,
                         layout_outcome_t *outcome)
{
    const change_t whole = change_of(change), *c = &whole;
    int size_index = part == 0 ? c->size_before : c->size_after;
    mb_status_t status = MB_OK;
    layout_run_t run =
        run_of(model, &variants[change % 2 == 0], part == 0 ? c->stages_before : c->stages_after);
    run.batch = model->uneven;
    run.run = path;
    run.stop = part == 0 ? 2 : 0;
    run.zero = (change + part) % 2 != 0;
    run.offloads = is_apart(&run) && change % 2 == part;
    status = layout_train(sizes[size_index], &run, outcome);
    ranks_meet();
    return status;
}

static void check_resume(const layout_model_t *model)
{
    layout_outcome_t wanted = reference(model, false), outcome = {.steps = 0};
    char path[LAYOUT_PATH], what[128];
    for (int c = 0; c < lower(N_CHANGES, n_sizes - 1); c++) {
        change_t change = change_of(c);
        snprintf(path, sizeof path, "%s/%s.%d.run", directory, model->name, c);
        snprintf(what, sizeof what, "%s, from %d ranks to %d", model->name,
                 sizes[change.size_before], sizes[change.size_after]);
        mb_status_t before = start(model, path, c, 0, &outcome);
        mb_status_t after = start(model, path, c, 1, &outcome);
        bool good = holds(what, before != MB_OK ? before : after, &outcome, &wanted);
        bool gone_on = outcome.first_step > 0 && outcome.steps == model->steps - outcome.first_step;
        report(good && gone_on, "%s stopped after step %d on %d ranks goes on with %d", model->name,
               (int)outcome.first_step, sizes[change.size_before], sizes[change.size_after]);
    }
}

/* Evaluation and prediction on 1 to 4 ranks, 1 to 3 stages. */
static void check_passes(const layout_model_t *model)
{
    double wanted[2] = {NAN, NAN};
    uint64_t wanted_digest = 0;
    int layouts = 0, bad_evaluations = 0, bad_predictions = 0;
    for (int i = 0; i < lower(4, n_sizes); i++) {
        for (int stages = 1; stages <= sizes[i] && stages <= 3; stages++) {
            double found[2] = {NAN, NAN};
            uint64_t digest = 0;
            layout_run_t run = run_of(model, &variants[stages % 2], stages);
            run.batch = model->uneven;
            mb_status_t status = layout_evaluate(sizes[i], &run, found);
            if (status == MB_OK)
                status = layout_predict(sizes[i], &run, &digest);
            if (rank == 0 && status != MB_OK)
                fprintf(stderr, "# %s, %d ranks, %d stages: %s\n", model->name, sizes[i], stages,
                        mb_error_get());
            if (layouts++ == 0) {
                memcpy(wanted, found, sizeof wanted);
                wanted_digest = digest;
            }
            bad_evaluations += status != MB_OK || memcmp(found, wanted, sizeof wanted) != 0 ||
                               (rank == 0 && isnan(found[0]));
            bad_predictions += status != MB_OK || digest != wanted_digest;
            ranks_meet();
        }
    }
    report(bad_evaluations == 0, "%s is evaluated to the same bits in %d layouts", model->name,
           layouts);
    report(bad_predictions == 0, "%s predicts the same bits in %d layouts", model->name, layouts);
}

static bool is_wanted(const char *model, int n, char **names)
{
    bool wanted = n == 0;
    for (int i = 0; i < n; i++)
        wanted = wanted || strcmp(model, names[i]) == 0;
    return wanted;
}

static void check_all(layout_model_t *model)
{
    if (layout_open(directory, model) == MB_OK) {
        check_model(model);
        if (!model->keeps_states && !model->calls_again && n_sizes > 3)
            check_sharing(model);
        check_resume(model);
        check_passes(model);
    } else {
        report(false, "%s opens: %s", model->name, mb_error_get());
    }
    layout_close(model);
}

static void set_up(void)
{
    const char *first = getenv("MB_LAYOUTS_TURN");
    turn = first == NULL ? 0 : (unsigned)strtoul(first, NULL, 10);
    for (int i = 0; i < N_SIZES && sizes[i] <= ranks_count(); i++)
        n_sizes++;
    for (int m = 0; m < N_MODELS; m++) {
        models[m].steps = models[m].steps > 0 ? models[m].steps : 4;
        if (rank == 0 && layout_write_data(directory, &models[m]) != MB_OK)
            report(false, "the data of %s: %s", models[m].name, mb_error_get());
    }
    ranks_meet();
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    directory = argv[1];
    char *way = strchr(argv[2], '@');
    if (way != NULL)
        *way++ = '\0';
    transport = way;
    device = strtok(argv[2], ":");
    dtype = strtok(NULL, ":");
    n_variants = (int)strtol(argv[3], NULL, 10);
    if (n_variants < 1 || n_variants > ALL_VARIANTS)
        return 2;
    ranks_begin(&argc, &argv);
    rank = ranks_own();
    set_up();
    for (int m = 0; m < N_MODELS; m++) {
        if (is_wanted(models[m].name, argc - 4, argv + 4))
            check_all(&models[m]);
    }
    return ranks_end(failures);
}
