/* See launcher.h. Open MPI 4 hands its settings to ranks in their environment; Open MPI 5 does so
 * with those that came by the environment. */
#include "engine/launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define COMMAND_BYTES 65536
#define MOST_BETWEEN 8 /* shells and such between the launcher and the rank */

int mb_launcher_ranks(void)
{
    const char *ranks = getenv("OMPI_COMM_WORLD_SIZE");
    return ranks == NULL ? 0 : atoi(ranks);
}

static bool is_launcher(const char *name)
{
    static const char *const names[] = {"mpirun",  "mpiexec", "orterun", "orted",
                                        "prterun", "prte",    "prted",   "oshrun"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* "12 (name of its) S 7 ...": the name ends with the last parenthesis. */
static bool read_process(int process, char *name, size_t capacity, int *parent)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *file = fopen(path, "r");
    bool read = file != NULL && fgets(text, sizeof text, file) != NULL;
    if (file != NULL)
        fclose(file);
    char *begin = read ? strchr(text, '(') : NULL, *end = read ? strrchr(text, ')') : NULL;
    if (begin == NULL || end == NULL)
        return false;
    snprintf(name, capacity, "%.*s", (int)(end - begin - 1), begin + 1);
    return sscanf(end + 1, " %*c %d", parent) == 1;
}

int mb_launcher_process(void)
{
    char name[64];
    int process = (int)getppid(), parent = 0;
    if (mb_launcher_ranks() == 0)
        return 0;
    for (int i = 0; i < MOST_BETWEEN && process > 1; i++, process = parent) {
        if (!read_process(process, name, sizeof name, &parent))
            return 0;
        if (is_launcher(name))
            return process;
    }
    return 0;
}

/* Cores for each rank ("slot:PE=4") are a binding too. */
static bool maps_by_cores(const char *policy)
{
    const char *at = policy == NULL ? NULL : strpbrk(policy, ":,");
    for (; at != NULL; at = strpbrk(at + 1, ":,")) {
        if (strncasecmp(at + 1, "PE=", 3) == 0)
            return true;
    }
    return false;
}

static bool is_in_environment(void)
{
    static const char *const settings[] = {"OMPI_MCA_hwloc_base_binding_policy",
                                           "OMPI_MCA_hwloc_base_cpu_set",
                                           "OMPI_MCA_hwloc_base_cpu_list",
                                           "OMPI_MCA_rmaps_rank_file_path",
                                           "OMPI_MCA_orte_rankfile",
                                           "PRTE_MCA_hwloc_default_binding_policy",
                                           "PRTE_MCA_hwloc_default_cpu_list",
                                           "PRTE_MCA_rmaps_rank_file_path"};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (getenv(settings[i]) != NULL)
            return true;
    }
    return maps_by_cores(getenv("OMPI_MCA_rmaps_base_mapping_policy")) ||
           maps_by_cores(getenv("PRTE_MCA_rmaps_default_mapping_policy"));
}

static bool is_binding_option(const char *word)
{
    static const char *const options[] = {"--bind-to",  "-bind-to",  "--cpu-set",  "-cpu-set",
                                          "--cpu-list", "-cpu-list", "--rankfile", "-rankfile"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strncmp(word, options[i], strlen(options[i])) == 0)
            return true;
    }
    return strcmp(word, "-rf") == 0 || maps_by_cores(word);
}

static bool is_on_command_line(int process)
{
    char path[64], *text = malloc(COMMAND_BYTES);
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/cmdline", process);
    FILE *file = text == NULL ? NULL : fopen(path, "r");
    size_t bytes = file == NULL ? 0 : fread(text, 1, COMMAND_BYTES - 1, file);
    if (file != NULL)
        fclose(file);
    if (text != NULL)
        text[bytes] = '\0';
    for (size_t at = 0; at < bytes && !found; at += strlen(text + at) + 1)
        found = is_binding_option(text + at);
    free(text);
    return found;
}

bool mb_launcher_was_asked(int process)
{
    return is_in_environment() || (process > 0 && is_on_command_line(process));
}
