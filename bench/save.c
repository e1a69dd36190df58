/* What a checkpoint costs. Two parts, each one line of JSON:
 *
 *     mpirun -np N bench/save steps MODEL DATA FOLDER KEY=VALUE...
 *         seconds of each step of a run with these settings (steps, checkpoint-every,
 * checkpoint-mode ...), and what mb_training_save_times tells. The first step and the last are left
 * out. mpirun -np N bench/save writes MODEL DATA FOLDER ROUNDS KEY=VALUE... seconds of a
 * checkpoint, written while the ranks wait, and of plain writes of as many bytes by as many
 * processes, both with fsync, by turns
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/trainer.h"

enum { MOST_STEPS = 100000 };

typedef struct {
    mb_comm_t *comm;
    mb_settings_t *settings;
    mb_training_t *training;
    int steps;
    double before, seconds[MOST_STEPS];
} bench_t;

static void must(mb_status_t status)
{
    if (status == MB_OK)
        return;
    fprintf(stderr, "save: %s\n", mb_error_get());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void must_do(bool done, const char *what)
{
    if (done)
        return;
    perror(what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void on_step(void *user, const mb_step_report_t *report)
{
    bench_t *b = user;
    double now = mb_time_seconds();
    (void)report;
    if (b->before > 0 && b->steps < MOST_STEPS)
        b->seconds[b->steps++] = now - b->before;
    b->before = now;
}

static void set(bench_t *b, const char *key, const char *value)
{
    must(mb_settings_set(b->settings, key, value, MB_FROM_USER));
}

static void open_training(bench_t *b, char **words, int n, const char *run)
{
    const mb_comm_options_t options = {.deadline_seconds = 600};
    must(mb_comm_create(MPI_COMM_WORLD, &options, &b->comm));
    must(mb_settings_create(&b->settings));
    set(b, "data", words[1]);
    set(b, "run", run);
    for (int i = 3; i < n; i++) {
        char *value = strchr(words[i], '=');
        must_do(value != NULL, words[i]);
        *value = '\0';
        set(b, words[i], value + 1);
    }
    const mb_training_options_t training = {.comm = b->comm,
                                            .model = words[0],
                                            .settings = b->settings,
                                            .restart = true,
                                            .events = {.user = b, .step = on_step}};
    must(mb_training_create(&training, &b->training));
}

static void close_training(bench_t *b)
{
    mb_training_destroy(b->training);
    mb_settings_destroy(b->settings);
    mb_comm_destroy(b->comm);
}

static void print_list(const char *name, const double *seconds, int n)
{
    printf("\"%s\": [", name);
    for (int i = 0; i < n; i++)
        printf("%s%.6f", i == 0 ? "" : ", ", seconds[i]);
    printf("]");
}

static void run_steps(bench_t *b, char **words, int n)
{
    open_training(b, words, n, words[2]);
    must(mb_training_run(b->training));
    mb_save_times_t times = mb_training_save_times(b->training);
    if (mb_comm_rank(b->comm) == 0) {
        printf("{\"saves\": %lld, \"bytes\": %lld, \"stopped\": %.6f, \"copy\": %.6f, \"total\": "
               "%.6f, ",
               (long long)times.count, (long long)times.bytes, times.stopped, times.copy,
               times.total);
        print_list("steps", b->seconds, b->steps);
        printf("}\n");
    }
    close_training(b);
}

/* As many bytes as this rank would write, from memory that is written anew each time, 1 MiB at a
 * time. */
static void write_plainly(const char *path, int64_t bytes)
{
    enum { PART = 1 << 20 };
    static char part[PART];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    must_do(fd >= 0, path);
    for (int64_t at = 0; at < bytes; at += PART) {
        size_t now = bytes - at < PART ? (size_t)(bytes - at) : PART;
        must_do(write(fd, part, now) == (ssize_t)now, path);
    }
    must_do(fsync(fd) == 0 && close(fd) == 0, path);
}

static double timed(bench_t *b, bool plainly, const char *folder, int64_t bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/plain.%d", folder, mb_comm_rank(b->comm));
    unlink(path);
    must(mb_comm_barrier(b->comm));
    double begun = mb_time_seconds();
    if (plainly)
        write_plainly(path, bytes);
    snprintf(path, sizeof path, "%s/checkpoint.h5", folder);
    if (!plainly)
        must(mb_training_save(b->training, path, true));
    must(mb_comm_barrier(b->comm));
    double took = mb_time_seconds() - begun;
    if (!plainly && mb_comm_rank(b->comm) == 0)
        unlink(path);
    return took;
}

static void run_writes(bench_t *b, char **words, int n)
{
    int rounds = atoi(words[3]);
    double saves[64], plain[64];
    char run[4096];
    snprintf(run, sizeof run, "%s/run", words[2]);
    memmove(&words[3], &words[4], (size_t)(n - 4) * sizeof *words);
    open_training(b, words, n - 1, run);
    must_do(rounds > 0 && rounds <= 64, "rounds");
    int64_t bytes = mb_training_save_bytes(b->training);
    for (int i = 0; i < rounds; i++) {
        saves[i] = timed(b, false, words[2], 0);
        plain[i] = timed(b, true, words[2], bytes / mb_comm_size(b->comm));
    }
    if (mb_comm_rank(b->comm) == 0) {
        printf("{\"bytes\": %lld, ", (long long)bytes);
        print_list("checkpoint", saves, rounds);
        printf(", ");
        print_list("plain", plain, rounds);
        printf("}\n");
    }
    close_training(b);
}

int main(int argc, char **argv)
{
    static bench_t bench;
    bool steps = argc >= 5 && strcmp(argv[1], "steps") == 0;
    bool writes = argc >= 6 && strcmp(argv[1], "writes") == 0;
    int provided;
    if (!steps && !writes) {
        fprintf(stderr, "usage: save steps|writes MODEL DATA FOLDER ...\n");
        return 2;
    }
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (steps)
        run_steps(&bench, argv + 2, argc - 2);
    else
        run_writes(&bench, argv + 2, argc - 2);
    MPI_Finalize();
    return 0;
}
