/* How well the operations of a model's steps would share out over many threads: mbrun with its
 * team's jobs timed tile by tile, all by one thread. `bench/tiles train MODEL.h5 --data D --threads
 * 64 --steps 3 ...` is such a run: attention's tiles are those for so many threads, and all others
 * those for any number. Behind it stands a line for each job of an operation (products by their
 * sizes): its share of the time of all tiles, and its balance on 2 to 64 threads, which is the time
 * that its tiles take together over threads times the time until the last one is done. Whoever is
 * free takes the next tile, as in the team. Of each tile the shortest time counts, so that a busy
 * machine does not. `by count` is the balance on 64 threads if all tiles took the same. `alone` is
 * what an operation does in front of the job, by one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "device/cpu/team.h"
#include "device/device.h"

enum { MOST = 512, LABEL = 48, SIZES = 6, MOST_THREADS = 64 };

static const int team_sizes[SIZES] = {2, 4, 8, 16, 32, MOST_THREADS};

typedef struct {
    char label[LABEL];
    void (*compute)(void *context, int64_t tile, int thread);
    double *least; /* seconds of each tile */
    int64_t tiles, jobs;
    double alone;
} entry_t;

static entry_t entries[MOST];
static int n_entries;
static char now[LABEL]; /* the operation */
static double left;     /* when its last job ended, or it began */

static void *required(void *memory)
{
    if (memory == NULL)
        exit(1);
    return memory;
}

static entry_t *entry_of(const mb_team_job_t *job)
{
    for (int i = 0; i < n_entries; i++)
        if (entries[i].compute == job->compute && entries[i].tiles == job->tiles &&
            strcmp(entries[i].label, now) == 0)
            return &entries[i];
    if (n_entries == MOST)
        exit(1);
    entry_t *e = &entries[n_entries++];
    strcpy(e->label, now);
    e->compute = job->compute;
    e->tiles = job->tiles;
    e->alone = 1e9;
    e->least = required(calloc((size_t)job->tiles + 1, sizeof(double)));
    for (int64_t i = 0; i < job->tiles; i++)
        e->least[i] = 1e9;
    return e;
}

/* The device asks for an operation's type when it is to run one. */
mb_dtype_t __real_mb_op_type(mb_op_t op, const void *args);
mb_dtype_t __wrap_mb_op_type(mb_op_t op, const void *args);
mb_dtype_t __wrap_mb_op_type(mb_op_t op, const void *args)
{
    const mb_gemm_args_t *gemm = args;
    if (op == MB_OP_GEMM)
        snprintf(now, sizeof now, "gemm %lld %lld %lld %c%c", (long long)gemm->m,
                 (long long)gemm->n, (long long)gemm->k, gemm->transpose_a ? 't' : '-',
                 gemm->transpose_b ? 't' : '-');
    else
        snprintf(now, sizeof now, "%s", mb_op_name(op));
    left = mb_time_seconds();
    return __real_mb_op_type(op, args);
}

typedef struct {
    const mb_team_job_t *job;
    entry_t *entry;
} timed_t;

static double less(double a, double b)
{
    return a < b ? a : b;
}

/* The only tile of a job: all those of the one that it stands for. */
static void time_tiles(void *context, int64_t only, int thread)
{
    const timed_t *t = context;
    (void)only;
    for (int64_t tile = 0; tile < t->job->tiles; tile++) {
        double begun = mb_time_seconds();
        t->job->compute(t->job->context, tile, thread);
        t->entry->least[tile] = less(t->entry->least[tile], mb_time_seconds() - begun);
    }
}

/* When the last of THREADS is done. */
static double last_of(const double *seconds, int64_t tiles, int threads)
{
    double busy[MOST_THREADS] = {0}, last = 0;
    for (int64_t i = 0; i < tiles; i++) {
        int first = 0;
        for (int t = 1; t < threads; t++)
            first = busy[t] < busy[first] ? t : first;
        busy[first] += seconds[i];
        last = busy[first] > last ? busy[first] : last;
    }
    return last;
}

void __real_mb_team_run(mb_team_t *team, const mb_team_job_t *job);
void __wrap_mb_team_run(mb_team_t *team, const mb_team_job_t *job);
void __wrap_mb_team_run(mb_team_t *team, const mb_team_job_t *job)
{
    mb_team_job_t with_times = *job;
    timed_t timed = {job, entry_of(job)};
    with_times.tiles = 1;
    timed.entry->alone = less(timed.entry->alone, mb_time_seconds() - left);
    timed.entry->jobs++;
    with_times.compute = time_tiles;
    with_times.context = &timed;
    __real_mb_team_run(team, &with_times);
    left = mb_time_seconds();
}

static double seconds_of(const entry_t *e)
{
    double sum = 0;
    for (int64_t i = 0; i < e->tiles; i++)
        sum += e->least[i];
    return sum;
}

static int by_seconds(const void *a, const void *b)
{
    double x = seconds_of(a) * (double)((const entry_t *)a)->jobs;
    double y = seconds_of(b) * (double)((const entry_t *)b)->jobs;
    return (x < y) - (x > y);
}

/* LAST[s] gets the time of all threads of the team until the last one is done. */
static void print_entry(const entry_t *e, double whole, double last[SIZES])
{
    double seconds = seconds_of(e);
    printf("%-32s %6.2f %% %6lld jobs %9.1f us %5lld tiles  alone %5.1f us  balance", e->label,
           100.0 * seconds * (double)e->jobs / whole, (long long)e->jobs, 1e6 * seconds,
           (long long)e->tiles, 1e6 * e->alone);
    for (int s = 0; s < SIZES; s++) {
        double taken = team_sizes[s] * last_of(e->least, e->tiles, team_sizes[s]);
        printf(" %d: %3.0f", team_sizes[s], 100.0 * seconds / taken);
        last[s] += taken * (double)e->jobs;
    }
    int64_t rounds = (e->tiles + MOST_THREADS - 1) / MOST_THREADS;
    printf(" by count %3.0f\n", 100.0 * (double)e->tiles / (double)(MOST_THREADS * rounds));
}

__attribute__((destructor)) static void print_all(void)
{
    double whole = 0, last[SIZES] = {0};
    for (int i = 0; i < n_entries; i++)
        whole += seconds_of(&entries[i]) * (double)entries[i].jobs;
    qsort(entries, (size_t)n_entries, sizeof *entries, by_seconds);
    for (int i = 0; i < n_entries; i++)
        print_entry(&entries[i], whole, last);
    printf("all of them, %.1f ms: balance", 1e3 * whole);
    for (int s = 0; s < SIZES && n_entries > 0; s++)
        printf(" %d: %3.0f", team_sizes[s], 100.0 * whole / last[s]);
    printf("\n");
}
