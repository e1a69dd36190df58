/* See supervise_hosts.h: which hosts there are. */
#define _GNU_SOURCE
#include "cli/supervise_hosts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/child.h"
#include "cli/supervise_words.h"

enum { LINE = 1024, LIST = 65536 };

/* ---- words of the command */

static mb_launcher_t launcher_of(const char *word)
{
    static const char *const names[] = {"mpirun", "mpiexec", "orterun", "prterun", "mpiexec.hydra"};
    const char *name = mb_words_base(word);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return MB_LAUNCHER_MPIRUN;
    }
    return strcmp(name, "srun") == 0 ? MB_LAUNCHER_SRUN : MB_LAUNCHER_NONE;
}

static void find_words(mb_supervised_t *c)
{
    c->at = -1;
    c->mbrun = c->n;
    for (int i = 0; i < c->n && c->mbrun == c->n; i++) {
        if (c->at < 0 && (c->launcher = launcher_of(c->words[i])) != MB_LAUNCHER_NONE)
            c->at = i;
        else if (strcmp(mb_words_base(c->words[i]), "mbrun") == 0)
            c->mbrun = i;
    }
}

/* ---- hosts */

static bool same_host(const char *a, const char *b)
{
    size_t x = strlen(a), y = strlen(b), shorter = x < y ? x : y;
    const char *longer = x < y ? b : a;
    if (strncmp(a, b, shorter) != 0)
        return false;
    return x == y || (longer[shorter] == '.' && !isdigit((unsigned char)a[0]));
}

mb_host_t *mb_supervised_host(mb_supervised_t *c, const char *name)
{
    for (int i = 0; i < c->n_hosts && name[0] != '\0'; i++) {
        if (same_host(c->hosts[i].name, name))
            return &c->hosts[i];
    }
    return NULL;
}

int mb_supervised_left(const mb_supervised_t *c)
{
    int left = 0;
    for (int i = 0; i < c->n_hosts; i++)
        left += !c->hosts[i].lost;
    return left;
}

static mb_status_t add_host(mb_supervised_t *c, const char *name, size_t length, int slots)
{
    char text[sizeof c->hosts->name];
    if (length == 0)
        return MB_OK;
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    mb_host_t *host = mb_supervised_host(c, text);
    if (host == NULL) {
        mb_host_t *more = realloc(c->hosts, (size_t)(c->n_hosts + 1) * sizeof *more);
        if (more == NULL)
            return mb_error_memory("a list of hosts", sizeof *more);
        c->hosts = more;
        host = &more[c->n_hosts++];
        *host = (mb_host_t){.slots = 0};
        memcpy(host->name, text, sizeof text);
    }
    host->slots += slots;
    return MB_OK;
}

/* a:4,b,b:* */
static mb_status_t add_list(mb_supervised_t *c, const char *list)
{
    for (const char *at = list; *at != '\0';) {
        size_t length = strcspn(at, ","), name = strcspn(at, ",:");
        int slots = name < length ? atoi(at + name + 1) : 1;
        MB_TRY(add_host(c, at, name, slots > 0 ? slots : 1));
        at += length + (at[length] == ',');
    }
    return MB_OK;
}

/* "n1 slots=4", "n1:4", or "n1", behind which may stand anything. */
static mb_status_t add_line(mb_supervised_t *c, const char *line)
{
    size_t name;
    const char *at = mb_words_host(line, &name), *slots = strstr(at, "slots");
    int n = at[name] == ':' ? atoi(at + name + 1) : 1;
    if (slots != NULL && sscanf(slots, "slots = %d", &n) != 1)
        n = 1;
    return add_host(c, at, name, n > 0 ? n : 1);
}

static mb_status_t add_file(mb_supervised_t *c, const char *path)
{
    char line[LINE];
    mb_status_t status = MB_OK;
    FILE *file = fopen(path, "r");
    c->file = path;
    if (file == NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "the file of hosts '%s' cannot be read", path);
    while (status == MB_OK && fgets(line, sizeof line, file) != NULL)
        status = add_line(c, line);
    fclose(file);
    return status;
}

/* Slots are the job's tasks, evenly. */
static mb_status_t add_job(mb_supervised_t *c)
{
    char *const words[] = {"scontrol", "show", "hostnames", NULL};
    const char *tasks = getenv("SLURM_NTASKS");
    if (getenv("SLURM_JOB_NODELIST") == NULL)
        return MB_OK;
    char *text = malloc(LIST);
    if (text == NULL)
        return mb_error_memory("a list of hosts", LIST);
    mb_status_t status = MB_OK;
    bool read = mb_child_read(words, text, LIST) == 0;
    for (char *at = text; read && status == MB_OK && *at != '\0';) {
        size_t length = strcspn(at, "\n");
        status = add_host(c, at, length, 1);
        at += length + (at[length] == '\n');
    }
    free(text);
    int each = tasks == NULL || c->n_hosts == 0 ? 1 : atoi(tasks) / c->n_hosts;
    for (int i = 0; i < c->n_hosts; i++)
        c->hosts[i].slots = each > 0 ? each : 1;
    return status;
}

static mb_status_t find_hosts(mb_supervised_t *c)
{
    const char *list = NULL, *file = NULL;
    if (c->launcher == MB_LAUNCHER_NONE)
        return MB_OK;
    if (c->launcher == MB_LAUNCHER_MPIRUN) {
        list = mb_words_value(c, MB_WORDS_HOSTS);
        file = mb_words_value(c, MB_WORDS_HOSTFILE);
    }
    if (file != NULL)
        MB_TRY(add_file(c, file));
    else if (list != NULL)
        MB_TRY(add_list(c, list));
    return file != NULL || list != NULL ? MB_OK : add_job(c);
}

static mb_status_t take_hostfile(mb_supervised_t *c, const char *hostfile)
{
    if (hostfile == NULL)
        return find_hosts(c);
    if (c->launcher != MB_LAUNCHER_MPIRUN)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--hostfile is handed to mpirun or mpiexec, and '%s' is neither",
                            c->words[0]);
    if (mb_words_value(c, MB_WORDS_HOSTFILE) != NULL || mb_words_value(c, MB_WORDS_HOSTS) != NULL)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "the hosts stand behind --hostfile and in the command as well: leave "
                            "one of them out");
    c->adds_file = true;
    MB_TRY(add_file(c, hostfile));
    return mb_supervised_rewrite(c);
}

mb_status_t mb_supervised_open(char *const *words, int n, const char *hostfile,
                               mb_supervised_t *out)
{
    *out = (mb_supervised_t){.words = words, .n = n};
    find_words(out);
    return take_hostfile(out, hostfile);
}

char *const *mb_supervised_words(const mb_supervised_t *c)
{
    return c->made != NULL ? c->made : c->words;
}

int mb_supervised_ranks(const mb_supervised_t *c)
{
    const char *text = mb_words_value(c, MB_WORDS_RANKS);
    if (c->launcher == MB_LAUNCHER_NONE)
        return 0;
    if (text == NULL && (c->launcher == MB_LAUNCHER_SRUN))
        text = getenv("SLURM_NTASKS");
    return text == NULL ? 0 : atoi(text);
}
