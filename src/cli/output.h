/* The file that a tool writes with -o. */
#ifndef MB_CLI_OUTPUT_H
#define MB_CLI_OUTPUT_H

#include "cli/command.h"

/* The argument of -o: an HDF5 file's name that is none of the inputs', and that does not exist
 * unless --force is given. */
mb_status_t mb_output_take(const mb_args_t *args, int n_inputs, const char *const *inputs,
                           const char **path);

#endif
