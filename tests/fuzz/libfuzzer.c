/* libFuzzer's entry: MB_FUZZ in the environment names the target. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const mb_fuzz_target_t *target;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    const char *name = getenv("MB_FUZZ");
    target = name == NULL ? NULL : mb_fuzz_find(name);
    if (target != NULL)
        return 0;
    fprintf(stderr, "MB_FUZZ must name a target:");
    for (size_t i = 0; i < mb_fuzz_target_count; i++)
        fprintf(stderr, " %s", mb_fuzz_targets[i].name);
    fprintf(stderr, "\n");
    exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    target->run(data, size);
    return 0;
}
