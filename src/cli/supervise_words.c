/* See supervise_words.h. */
#include "cli/supervise_words.h"

#include <string.h>

static const struct {
    const char *name;
    mb_launcher_t launcher; /* NONE: of any */
    mb_words_option_t option;
} options[] = {{"-H", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTS},
               {"-host", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTS},
               {"--host", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTS},
               {"-hosts", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTS},
               {"-hostfile", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTFILE},
               {"--hostfile", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTFILE},
               {"-machinefile", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTFILE},
               {"--machinefile", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTFILE},
               {"-f", MB_LAUNCHER_MPIRUN, MB_WORDS_HOSTFILE},
               {"-np", MB_LAUNCHER_MPIRUN, MB_WORDS_RANKS},
               {"--np", MB_LAUNCHER_MPIRUN, MB_WORDS_RANKS},
               {"-n", MB_LAUNCHER_NONE, MB_WORDS_RANKS},
               {"--n", MB_LAUNCHER_MPIRUN, MB_WORDS_RANKS},
               {"--ntasks", MB_LAUNCHER_SRUN, MB_WORDS_RANKS},
               {"-N", MB_LAUNCHER_SRUN, MB_WORDS_NODES},
               {"--nodes", MB_LAUNCHER_SRUN, MB_WORDS_NODES}};

const char *mb_words_base(const char *word)
{
    const char *slash = strrchr(word, '/');
    return slash == NULL ? word : slash + 1;
}

/* srun's short options may hold their value: -n4, -N2. */
static mb_words_option_t short_option(const char *word, const char **value)
{
    bool holds = word[0] == '-' && word[1] != '\0' && strchr("nN", word[1]) != NULL &&
                 word[2] >= '0' && word[2] <= '9';
    *value = holds ? word + 2 : NULL;
    return !holds ? MB_WORDS_NONE : word[1] == 'n' ? MB_WORDS_RANKS : MB_WORDS_NODES;
}

mb_words_option_t mb_words_option(mb_launcher_t launcher, const char *word, const char **value)
{
    size_t length = strcspn(word, "=");
    *value = word[length] == '=' ? word + length + 1 : NULL;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if ((options[i].launcher == launcher || options[i].launcher == MB_LAUNCHER_NONE) &&
            strlen(options[i].name) == length && strncmp(options[i].name, word, length) == 0)
            return options[i].option;
    }
    return launcher == MB_LAUNCHER_SRUN ? short_option(word, value) : MB_WORDS_NONE;
}

const char *mb_words_value(const mb_supervised_t *c, mb_words_option_t option)
{
    const char *found = NULL, *value;
    for (int i = c->at + 1; i < c->mbrun; i++) {
        mb_words_option_t is = mb_words_option(c->launcher, c->words[i], &value);
        if (is != MB_WORDS_NONE && value == NULL && i + 1 < c->mbrun)
            value = c->words[++i];
        if (is == option)
            found = value;
    }
    return found;
}

const char *mb_words_host(const char *line, size_t *length)
{
    const char *at = line + strspn(line, " \t");
    *length = strcspn(at, " \t\r\n:#");
    return at;
}
