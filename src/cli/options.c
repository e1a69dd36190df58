/* A command's options, from its settings and its flags, one after the other. */
#include <stdio.h>

#include "cli/command.h"

static void take_setting(mb_setting_id_t id, mb_option_t *out)
{
    const mb_setting_info_t *info = mb_setting_info(id);
    bool says_default = info->otherwise != NULL && info->kind != MB_KIND_SWITCH;
    *out = (mb_option_t){.name = info->key, .argument = info->argument};
    snprintf(out->help, sizeof out->help, "%s%s%s%s", info->help, says_default ? " (default: " : "",
             says_default ? info->otherwise : "", says_default ? ")" : "");
}

static void take_flag(const mb_flag_t *flag, mb_option_t *out)
{
    *out = (mb_option_t){.name = flag->name, .letter = flag->letter, .argument = flag->argument};
    snprintf(out->help, sizeof out->help, "%s", flag->help);
}

static const mb_flag_t no_shuffle = {"no-shuffle", '\0', NULL, "the same as --shuffle none"};
static const mb_flag_t help = {"help", 'h', NULL, "this text"};

bool mb_option_at(const mb_command_t *command, int index, mb_option_t *out)
{
    for (int i = 0; i < command->n_settings; i++) {
        if (index-- == 0)
            return take_setting(command->settings[i], out), true;
        if (command->settings[i] == MB_SET_SHUFFLE && index-- == 0)
            return take_flag(&no_shuffle, out), true;
    }
    for (const mb_flag_t *flag = command->flags; flag->name != NULL; flag++) {
        if (index-- == 0)
            return take_flag(flag, out), true;
    }
    if (index == 0)
        take_flag(&help, out);
    return index == 0;
}
