/* replay CORPUS [TARGET ...]: runs every file of CORPUS/TARGET through its target. What went wrong
 * once is kept there, and must not go wrong again: within a second each, in a limited memory. TAP.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST_INPUT = 1 << 20, SLOW_SECONDS = 60, PATH_BYTES = 4096 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_file(const mb_fuzz_target_t *target, const char *path)
{
    static uint8_t bytes[LARGEST_INPUT];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        printf("Bail out! %s: %s\n", path, strerror(errno));
        exit(1);
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint8_t *exact = malloc(size + 1); /* so that a sanitizer sees a byte too far */
    memcpy(exact, bytes, size);
    target->run(exact, size);
    free(exact);
}

/* A crash ends the program, and the last line says in which target; a hang is an alarm. */
static size_t run_folder(const mb_fuzz_target_t *target, const char *corpus)
{
    char path[PATH_BYTES];
    struct dirent **entries = NULL;
    size_t ran = 0;
    snprintf(path, sizeof path, "%s/%s", corpus, target->name);
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s/%s", corpus, target->name, entries[i]->d_name);
            alarm(SLOW_SECONDS);
            run_file(target, path);
            ran++;
        }
        free(entries[i]);
    }
    alarm(0);
    free(entries);
    return ran;
}

static bool is_wanted(const mb_fuzz_target_t *target, int n, char *const *names)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], target->name) == 0)
            return true;
    }
    return n == 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc < 2)
        return fprintf(stderr, "usage: replay CORPUS [TARGET ...]\n"), 2;
    printf("1..%zu\n", mb_fuzz_target_count);
    for (size_t i = 0; i < mb_fuzz_target_count; i++) {
        const mb_fuzz_target_t *target = &mb_fuzz_targets[i];
        if (!is_wanted(target, argc - 2, argv + 2)) {
            printf("ok %zu - %s # SKIP not asked for\n", i + 1, target->name);
            continue;
        }
        fflush(stdout);
        double began = now();
        size_t ran = run_folder(target, argv[1]);
        printf("%sok %zu - %s: %zu inputs, %.2f s\n", ran > 0 ? "" : "not ", i + 1, target->name,
               ran, now() - began);
        failed += ran == 0;
    }
    return failed == 0 ? 0 : 1;
}
