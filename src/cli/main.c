/* Finds the command, reads its options and runs it. Usage errors and help need no MPI: every rank
 * sees the same command line, and the one the launcher calls 0 speaks. */
#include <hdf5.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/float_mode.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/net.h"
#include "cli/probe.h"
#include "cli/say.h"
#include "config.h"
#include "plugin/load.h"

#define MAX_COMMANDS 32

static const mb_command_t *const commands[] = {&mb_command_train,      &mb_command_eval,
                                               &mb_command_predict,    &mb_command_quantize,
                                               &mb_command_inspect,    &mb_command_configure,
                                               &mb_command_convert,    &mb_command_export,
                                               &mb_command_diff,       &mb_command_average,
                                               &mb_command_ls,         &mb_command_data,
                                               &mb_command_new,        &mb_command_plan,
                                               &mb_command_submit,     &mb_command_simulate,
                                               &mb_command_supervise,  &mb_command_trace,
                                               &mb_command_bench,      &mb_command_info,
                                               &mb_command_completion, NULL};

const mb_setting_id_t mb_command_all_settings[MB_SET_COUNT] = {
#define SETTING_ID(ID, key, kind, otherwise, fixed, argument, help) MB_SET_##ID,
    MB_SETTING_LIST(SETTING_ID)
#undef SETTING_ID
};

const mb_command_t *const *mb_command_list(void)
{
    return commands;
}

const mb_command_t *mb_command_find(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

/* A word that is no command but looks like a model, or is a file, is what train is to train. */
static bool means_train(const char *word)
{
    return word[0] == '-' || ends_with(word, ".h5") || ends_with(word, ".hdf5") ||
           ends_with(word, ".keras") || access(word, F_OK) == 0;
}

static mb_status_t unknown_command(const char *word)
{
    const char *names[MAX_COMMANDS];
    size_t n = 0;
    for (; commands[n] != NULL; n++)
        names[n] = commands[n]->name;
    names[n++] = "help";
    const char *nearest = mb_str_nearest(word, names, n);
    if (nearest != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "there is no command '%s': do you mean '%s'?", word,
                            nearest);
    return mb_error_set(MB_ERR_ARGUMENT,
                        "'%s' is neither a command nor a model file; see mbrun --help", word);
}

/* A launcher kills the other ranks when the first one ends with an error: those that are to be
 * silent give rank 0 the time to speak. */
static int refuse(int rank, mb_status_t status)
{
    if (rank == 0)
        mb_say_error();
    else
        nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    return status == MB_ERR_MEMORY ? MB_EXIT_FAILED : MB_EXIT_USAGE;
}

static int help(int n, char **texts, int rank)
{
    const mb_command_t *command = n > 0 ? mb_command_find(texts[0]) : NULL;
    if (n > 0 && command == NULL && strcmp(texts[0], "help") != 0) {
        return refuse(rank, unknown_command(texts[0]));
    }
    if (rank != 0)
        return MB_EXIT_DONE;
    if (command != NULL)
        mb_help_command(command);
    else
        mb_help_all();
    return MB_EXIT_DONE;
}

/* A parallel command's ranks load their plugins together, once MPI is there (job.h). */
static int run_command(const mb_args_t *args, int rank)
{
    const mb_command_t *command = args->command;
    if (!command->parallel && rank != 0)
        return MB_EXIT_DONE;
    mb_status_t status = command->parallel ? MB_OK : mb_plugins_load(args->plugins.text);
    return status == MB_OK ? command->run(args) : mb_say_end(status);
}

static int run(const mb_command_t *command, int n, char **texts, int rank)
{
    mb_args_t args;
    int code = MB_EXIT_DONE;
    /* Every file is closed where it is used; what HDF5 does at exit to a file it could not close is
     * a crash. */
    H5dont_atexit();
    mb_net_spread(rank);
    /* What HDF5 would print of its own comes as one message of ours. */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    mb_status_t status = mb_args_read(command, n, texts, &args);
    if (status != MB_OK)
        code = refuse(rank, status);
    else if (args.help && rank == 0)
        mb_help_command(command);
    else if (!args.help && rank == 0 && mb_probe(&args) != MB_OK)
        code = mb_say_end(MB_ERR_FORMAT);
    else if (!args.help)
        code = run_command(&args, rank);
    mb_args_free(&args);
    return code;
}

static int dispatch(int argc, char **argv)
{
    int rank = mb_launch_rank();
    if (argc < 2) {
        mb_error_set(MB_ERR_ARGUMENT, "nothing to do: mbrun MODEL.h5, or mbrun --help");
        return refuse(rank, MB_ERR_ARGUMENT);
    }
    const char *first = argv[1];
    if (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return help(argc - 2, argv + 2, rank);
    if (strcmp(first, "--version") == 0) {
        if (rank == 0)
            printf("mbrun %s\n", VERSION);
        return MB_EXIT_DONE;
    }
    const mb_command_t *command = mb_command_find(first);
    if (command != NULL)
        return run(command, argc - 2, argv + 2, rank);
    if (means_train(first))
        return run(&mb_command_train, argc - 1, argv + 1, rank);
    return refuse(rank, unknown_command(first));
}

/* A reader that went away has what it wanted; anything else that kept results from being written is
 * a failure of a command that was to write them. */
static int close_output(int code)
{
    bool failed = fflush(stdout) != 0 && errno != EPIPE;
    if (!failed || code != MB_EXIT_DONE)
        return code;
    mb_error_set(MB_ERR_IO, "the output could not be written: %s", strerror(errno));
    return mb_say_end(MB_ERR_IO);
}

int main(int argc, char **argv)
{
    mb_float_mode_enter(); /* whatever the libraries that were loaded with it have set */
    /* A pipe without reader (| head) and a limit of file sizes are errors of a write, not ends. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return close_output(dispatch(argc, argv));
}
