/* Help texts, from the commands' own lists and the table of settings. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "config.h"

#define COLUMN 28
#define OPTION_TEXT 64

static void print_option(const char *option, const char *help)
{
    if (strlen(option) < COLUMN - 1)
        printf("  %-*s%s\n", COLUMN, option, help);
    else
        printf("  %s\n  %*s%s\n", option, COLUMN, "", help);
}

static void show(const mb_option_t *option)
{
    char text[OPTION_TEXT];
    const char *space = option->argument == NULL ? "" : " ";
    const char *argument = option->argument == NULL ? "" : option->argument;
    if (option->letter != '\0')
        snprintf(text, sizeof text, "-%c, --%s%s%s", option->letter, option->name, space, argument);
    else
        snprintf(text, sizeof text, "--%s%s%s", option->name, space, argument);
    print_option(text, option->help);
}

void mb_help_command(const mb_command_t *command)
{
    printf("Usage: mbrun %s %s\n\n%s.\n", command->name, command->usage, command->title);
    if (command->detail != NULL)
        printf("\n%s", command->detail);
    if (command->more != NULL)
        command->more();
    printf("\nOptions:\n");
    mb_option_t option;
    for (int i = 0; mb_option_at(command, i, &option); i++)
        show(&option);
}

void mb_help_all(void)
{
    printf("mbrun %s: trains, evaluates and runs Keras models on the ranks it is given\n\n"
           "Usage: mbrun MODEL.h5 [options]            the same as mbrun train\n"
           "       mpirun -np N mbrun MODEL.h5 [options]\n"
           "       mbrun COMMAND ...\n\nCommands:\n",
           VERSION);
    for (const mb_command_t *const *at = mb_command_list(); *at != NULL; at++)
        printf("  %-12s%s\n", (*at)->name, (*at)->title);
    printf("  %-12s%s\n", "help", "Show this text, or with a command's name its options");
    printf("\nmbrun COMMAND --help shows the options of a command; mbrun --version the version.\n"
           "Exit codes: 0 done; 1 failed; 2 wrong usage; 85 stopped on request after a complete\n"
           "checkpoint: start the same command again to go on.\n");
}
