/* A subcommand as data: what it takes, what it says about itself, and the function that runs it.
 * The parser, the help and main know subcommands only through this. */
#ifndef MB_CLI_COMMAND_H
#define MB_CLI_COMMAND_H

#include "base/str.h"
#include "train/settings.h"

#define MB_MAX_FLAGS 32

/* An option that is no setting of a run. */
typedef struct {
    const char *name;     /* without its dashes; NULL ends a list */
    char letter;          /* "-o"; '\0': none */
    const char *argument; /* NULL: a switch */
    const char *help;
} mb_flag_t;

/* Of every command that reads models or data; each use counts. */
#define MB_FLAG_PLUGIN                                                                             \
    {                                                                                              \
        "plugin", '\0', "FILE.so", "layers, losses and sources of a shared object; again: several" \
    }

/* Of commands that work on several models at once (models.h). */
#define MB_FLAG_MODELS                                                                             \
    {                                                                                              \
        "models", '\0', "[NAME=]FILE,...",                                                         \
            "instead of one model: several at once, each to the bits that it has alone"            \
    }

typedef struct mb_command mb_command_t;

/* A command line, read. */
typedef struct {
    const mb_command_t *command;
    mb_settings_t *settings; /* defaults and what the user said */
    int n_words;
    const char **words;              /* what is no option, in order; or the files of --models */
    const char **names;              /* [n_words] of --models: what each is called; NULL: words */
    char *models;                    /* the texts of both */
    int ensemble;                    /* seeds of the model; 0: the one that the settings say */
    const char *flags[MB_MAX_FLAGS]; /* by place in command->flags; "" for a switch; NULL: absent */
    int n_repeated;
    const char **repeated; /* every use of the flag that repeats, in order */
    mb_str_t plugins;      /* one a line; no text: none */
    bool help;
} mb_args_t;

struct mb_command {
    const char *name;
    const char *usage;  /* behind "mbrun NAME " */
    const char *title;  /* one line */
    const char *detail; /* more lines of the help; may be NULL */
    void (*more)(void); /* prints what follows detail; may be NULL */
    const mb_flag_t *flags;
    const char *repeats; /* the flag of which every use counts, not only the last; NULL: none */
    const mb_setting_id_t *settings; /* those it takes */
    int n_settings;
    int least_words, most_words;
    const char *words;                 /* what the words are: "MODEL.h5" */
    bool several;                      /* --models may stand for the word */
    bool parallel;                     /* starts MPI; otherwise rank 0 does it alone */
    bool dashes;                       /* words are a command of their own, behind "--" */
    int (*run)(const mb_args_t *args); /* the exit code; has said what went wrong */
};

extern const mb_command_t mb_command_train, mb_command_eval, mb_command_predict, mb_command_inspect,
    mb_command_configure, mb_command_data, mb_command_new, mb_command_info, mb_command_quantize,
    mb_command_convert, mb_command_plan, mb_command_bench, mb_command_simulate, mb_command_trace,
    mb_command_diff, mb_command_average, mb_command_export, mb_command_ls,

    mb_command_submit, mb_command_supervise, mb_command_completion;

/* All commands, the end marked by NULL. */
const mb_command_t *const *mb_command_list(void);
/* NULL if there is none. */
const mb_command_t *mb_command_find(const char *name);

/* Every setting of a run, for commands that take them all. */
extern const mb_setting_id_t mb_command_all_settings[MB_SET_COUNT];

/* Reads what follows the command's name. Options and words may be mixed; "--" ends the options.
 * MB_ERR_ARGUMENT says what is wrong, with the nearest right spelling. */
mb_status_t mb_args_read(const mb_command_t *command, int n, char *const *texts, mb_args_t *out);
void mb_args_free(mb_args_t *args);
/* The text given with a flag ("" for a switch), NULL when it was not given. */
const char *mb_args_flag(const mb_args_t *args, const char *name);
bool mb_args_has(const mb_args_t *args, const char *name);

/* An option as a command line, a help text or a shell has it. */
typedef struct {
    const char *name;     /* without its dashes */
    char letter;          /* '\0': none */
    const char *argument; /* NULL: a switch */
    char help[320];       /* with the default */
} mb_option_t;

/* The option at INDEX, from 0, of all that the command takes; false behind the last. */
bool mb_option_at(const mb_command_t *command, int index, mb_option_t *out);

/* Help on stdout: of all commands, or of one. */
void mb_help_all(void);
void mb_help_command(const mb_command_t *command);

#endif
