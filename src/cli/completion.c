/* mbrun completion: what a shell completes command lines of mbrun by, from the commands' lists. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/say.h"

/* A text inside single quotes, with a backslash before each of SPECIAL. A quote becomes one that no
 * shell reads. */
static void print_quoted(const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (strchr(special, *text) != NULL)
            putchar('\\');
        fputs(*text == '\'' ? "\u2019" : (char[]){*text, '\0'}, stdout);
    }
}

static void print_names(const char *between)
{
    for (const mb_command_t *const *at = mb_command_list(); *at != NULL; at++)
        printf("%s%s", (*at)->name, between);
    fputs("help", stdout);
}

/* The command at INDEX, from 0, and NULL behind the last; train, which may stay unsaid, comes last.
 */
static const mb_command_t *case_at(int index)
{
    const mb_command_t *const *all = mb_command_list();
    for (; *all != NULL; all++) {
        if (*all != &mb_command_train && index-- == 0)
            return *all;
    }
    return index == 0 ? &mb_command_train : NULL;
}

/* --data, and -o behind those that have a letter. */
static void print_bash_options(const mb_command_t *command, bool with_argument)
{
    mb_option_t option;
    for (int i = 0; mb_option_at(command, i, &option); i++) {
        if (with_argument && option.argument == NULL)
            continue;
        printf(" --%s", option.name);
        if (option.letter != '\0')
            printf(" -%c", option.letter);
    }
}

static void print_bash(void)
{
    fputs("# bash completion of mbrun: made by `mbrun completion bash`\n"
          "_mbrun()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local command=${COMP_WORDS[1]} options= valued=\n"
          "    case $command in\n",
          stdout);
    const mb_command_t *command;
    for (int n = 0; (command = case_at(n)) != NULL; n++) {
        printf("    %s)\n        options='", command == &mb_command_train ? "*" : command->name);
        print_bash_options(command, false);
        fputs("'\n        valued='", stdout);
        print_bash_options(command, true);
        fputs("' ;;\n", stdout);
    }
    fputs("    esac\n    local commands='", stdout);
    print_names(" ");
    fputs(
        "'\n"
        "    if [[ \" $valued \" == *\" $before \"* ]]; then\n"
        "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
        "    elif [[ $word == -* ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
        "    elif [[ $COMP_CWORD -eq 1 || $command == help ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$commands\" -- \"$word\") $(compgen -f -- \"$word\"))\n"
        "    else\n"
        "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
        "    fi\n}\n"
        "complete -o filenames -F _mbrun mbrun\n",
        stdout);
}

static void print_zsh_option(const mb_option_t *option)
{
    const char *several = "*"; /* an option may be given again */
    printf("            '%s--%s%s[", several, option->name, option->argument == NULL ? "" : "=");
    print_quoted(option->help, "[]:\\");
    fputs("]", stdout);
    if (option->argument != NULL) {
        fputs(":", stdout);
        print_quoted(option->argument, "[]:\\");
        fputs(":_files", stdout);
    }
    fputs("'\n", stdout);
    if (option->letter != '\0')
        printf("            '%s-%c[--%s]%s'\n", several, option->letter, option->name,
               option->argument == NULL ? "" : ":value:_files");
}

static void print_zsh(void)
{
    fputs("#compdef mbrun\n# zsh completion of mbrun: made by `mbrun completion zsh`\n"
          "_mbrun() {\n    local -a commands options\n    commands=(\n",
          stdout);
    for (const mb_command_t *const *at = mb_command_list(); *at != NULL; at++) {
        printf("        '%s:", (*at)->name);
        print_quoted((*at)->title, ":\\");
        fputs("'\n", stdout);
    }
    fputs("    )\n"
          "    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
          "        _describe command commands\n        _files\n        return\n    fi\n"
          "    case $words[2] in\n",
          stdout);
    const mb_command_t *command;
    for (int n = 0; (command = case_at(n)) != NULL; n++) {
        mb_option_t option;
        printf("    %s)\n        options=(\n", command == &mb_command_train ? "*" : command->name);
        for (int i = 0; mb_option_at(command, i, &option); i++)
            print_zsh_option(&option);
        fputs("        ) ;;\n", stdout);
    }
    fputs("    esac\n    _arguments $options '*:file:_files'\n}\n"
          "if [[ $funcstack[1] == _mbrun ]]; then _mbrun \"$@\"; else compdef _mbrun mbrun; fi\n",
          stdout);
}

static void print_fish_option(const mb_command_t *command, const mb_option_t *option)
{
    if (command == &mb_command_train)
        fputs("complete -c mbrun -n 'not __fish_seen_subcommand_from $mbrun_others'", stdout);
    else
        printf("complete -c mbrun -n '__fish_seen_subcommand_from %s'", command->name);
    printf(" -l %s%s", option->name, option->argument == NULL ? "" : " -r");
    if (option->letter != '\0')
        printf(" -s %c", option->letter);
    fputs(" -d '", stdout);
    print_quoted(option->help, "\\");
    fputs("'\n", stdout);
}

static void print_fish(void)
{
    fputs("# fish completion of mbrun: made by `mbrun completion fish`\nset -g mbrun_others",
          stdout);
    for (const mb_command_t *const *at = mb_command_list(); *at != NULL; at++) {
        if (*at != &mb_command_train)
            printf(" %s", (*at)->name);
    }
    putchar('\n');
    for (const mb_command_t *const *at = mb_command_list(); *at != NULL; at++) {
        mb_option_t option;
        printf("complete -c mbrun -n __fish_use_subcommand -a %s -d '", (*at)->name);
        print_quoted((*at)->title, "\\");
        fputs("'\n", stdout);
        for (int i = 0; mb_option_at(*at, i, &option); i++)
            print_fish_option(*at, &option);
    }
}

static int run(const mb_args_t *args)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(args->words[0], shells[i].name) == 0)
            return shells[i].print(), MB_EXIT_DONE;
    }
    return mb_say_end(mb_error_set(
        MB_ERR_ARGUMENT, "there is no completion for '%s'; there is for bash, zsh and fish",
        args->words[0]));
}

static const mb_flag_t flags[] = {{NULL, '\0', NULL, NULL}};

const mb_command_t mb_command_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .title = "Write what a shell completes command lines of mbrun by",
    .detail =
        "make install puts them where the shells look. Elsewhere:\n\n"
        "  bash   source <(mbrun completion bash)                in ~/.bashrc\n"
        "  zsh    source <(mbrun completion zsh)                 in ~/.zshrc, after compinit\n"
        "  fish   mbrun completion fish | source                 in config.fish\n",
    .flags = flags,
    .least_words = 1,
    .most_words = 1,
    .words = "a shell",
    .run = run,
};
