/* The models of a command line: --models a.h5,b.h5 or --models NAME=FILE,... instead of one word.
 */
#ifndef MB_CLI_MODELS_H
#define MB_CLI_MODELS_H

#include "cli/command.h"

/* Makes what --models says the command's words, with a name for each: its file's, without folder
 * and ending, where none is given; reads --ensemble. MB_ERR_ARGUMENT: both, with a word, without a
 * file, two of one name, one file twice, no whole number. */
mb_status_t mb_models_take(mb_args_t *args);

#endif
