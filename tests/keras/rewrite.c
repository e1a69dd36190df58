/* Usage: rewrite [--keras-optimizer NAME LEARNING_RATE] IN.h5 OUT.h5
 * Reads a model file and writes it as a checkpoint, for the round trip through Keras. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/rewrite_model.h"

static mb_status_t run(int argc, char **argv)
{
    rewrite_t rewrite;
    mb_status_t status = rewrite_read(argv[argc - 2], &rewrite);
    if (status == MB_OK && argc == 6) {
        rewrite.layout.keras_optimizer = true;
        rewrite.layout.optimizer_name = argv[2];
        rewrite.layout.learning_rate = strtod(argv[3], NULL);
    }
    for (int i = 0; i < rewrite.file->n_optimizer && status == MB_OK; i++) {
        const mb_stored_tensor_t *tensor = &rewrite.file->optimizer[i];
        if (strstr(tensor->name, "/iteration") != NULL)
            status =
                mb_stored_tensor_read_int(rewrite.file, tensor, &rewrite.layout.state.iterations);
    }
    if (status == MB_OK)
        status = rewrite_write(&rewrite, argv[argc - 1]);
    rewrite_free(&rewrite);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3 && !(argc == 6 && strcmp(argv[1], "--keras-optimizer") == 0)) {
        fprintf(stderr, "usage: rewrite [--keras-optimizer NAME RATE] IN.h5 OUT.h5\n");
        return 2;
    }
    if (run(argc, argv) == MB_OK)
        return 0;
    fprintf(stderr, "rewrite: %s\n", mb_error_get());
    return 1;
}
