/* Training several models at once: what mbrun train does with --models or --ensemble. */
#ifndef MB_CLI_TRAIN_H
#define MB_CLI_TRAIN_H

#include "cli/command.h"

/* The exit code; has said what went wrong. */
int mb_train_several(const mb_args_t *args);

#endif
