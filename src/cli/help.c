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

static void print_flag(const mb_flag_t *flag)
{
    char text[OPTION_TEXT];
    const char *space = flag->argument == NULL ? "" : " ";
    const char *argument = flag->argument == NULL ? "" : flag->argument;
    if (flag->letter != '\0')
        snprintf(text, sizeof text, "-%c, --%s%s%s", flag->letter, flag->name, space, argument);
    else
        snprintf(text, sizeof text, "--%s%s%s", flag->name, space, argument);
    print_option(text, flag->help);
}

static void print_setting(mb_setting_id_t id)
{
    const mb_setting_info_t *info = mb_setting_info(id);
    char text[OPTION_TEXT], help[256];
    snprintf(text, sizeof text, "--%s%s%s", info->key, info->argument == NULL ? "" : " ",
             info->argument == NULL ? "" : info->argument);
    if (info->otherwise != NULL && info->kind != MB_KIND_SWITCH)
        snprintf(help, sizeof help, "%s (default: %s)", info->help, info->otherwise);
    else
        snprintf(help, sizeof help, "%s", info->help);
    print_option(text, help);
    if (id == MB_SET_SHUFFLE)
        print_option("--no-shuffle", "the same as --shuffle none");
}

void mb_help_command(const mb_command_t *command)
{
    printf("Usage: mbrun %s %s\n\n%s.\n", command->name, command->usage, command->title);
    if (command->detail != NULL)
        printf("\n%s", command->detail);
    if (command->more != NULL)
        command->more();
    printf("\nOptions:\n");
    for (int i = 0; i < command->n_settings; i++)
        print_setting(command->settings[i]);
    for (int i = 0; command->flags[i].name != NULL; i++)
        print_flag(&command->flags[i]);
    print_option("-h, --help", "this text");
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
