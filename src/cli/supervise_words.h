/* Options of launchers in a command line that is supervised. */
#ifndef MB_CLI_SUPERVISE_WORDS_H
#define MB_CLI_SUPERVISE_WORDS_H

#include "cli/supervise_hosts.h"

typedef enum {
    MB_WORDS_NONE = 0,
    MB_WORDS_HOSTS,    /* -H, --host of mpirun */
    MB_WORDS_HOSTFILE, /* --hostfile, --machinefile, -f of mpirun */
    MB_WORDS_RANKS,    /* -np, -n, --ntasks */
    MB_WORDS_NODES     /* -N, --nodes of srun */
} mb_words_option_t;

/* The name behind the last slash. */
const char *mb_words_base(const char *word);
/* What the word is to the launcher; *value: what stands in it behind "=", or NULL: the next word is
 * it. */
mb_words_option_t mb_words_option(mb_launcher_t launcher, const char *word, const char **value);
/* The value of the last such option of the launcher; NULL: there is none. */
const char *mb_words_value(const mb_supervised_t *command, mb_words_option_t option);
/* The host that a line of a file of hosts begins with; of length 0: none. */
const char *mb_words_host(const char *line, size_t *length);

#endif
