/* The command for the hosts that are left: see supervise_hosts.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/supervise_hosts.h"
#include "cli/supervise_words.h"

enum { ADDED = 8, NUMBER = 24, LINE = 1024 };

static void drop_made(mb_supervised_t *c)
{
    for (int i = 0; i < c->n_made; i++)
        free(c->made[i]);
    free(c->made);
    c->made = NULL;
    c->n_made = 0;
}

void mb_supervised_close(mb_supervised_t *c)
{
    drop_made(c);
    free(c->hosts);
    if (c->left_file[0] != '\0')
        unlink(c->left_file);
    *c = (mb_supervised_t){.n = 0};
}

/* ---- how many ranks */

static int slots_of(const mb_supervised_t *c, bool left)
{
    int slots = 0;
    for (int i = 0; i < c->n_hosts; i++)
        slots += left && c->hosts[i].lost ? 0 : c->hosts[i].slots;
    return slots;
}

/* 0: the launcher is not told, and counts slots by itself. */
static int ranks_left(const mb_supervised_t *c)
{
    int ranks = mb_supervised_ranks(c), before = slots_of(c, false), left = slots_of(c, true);
    if (ranks <= left || left == before)
        return ranks;
    if (ranks <= before)
        return left;
    int share = (int)((long long)ranks * left / before);
    return share > 0 ? share : 1;
}

/* ---- what hosts become */

static void add_names(const mb_supervised_t *c, bool lost, bool slots, mb_str_t *list)
{
    for (int i = 0; i < c->n_hosts; i++) {
        const mb_host_t *host = &c->hosts[i];
        if (host->lost != lost)
            continue;
        mb_str_addf(list, "%s%s", list->length == 0 ? "" : ",", host->name);
        if (slots)
            mb_str_addf(list, ":%d", host->slots);
    }
}

static mb_status_t make_left(mb_supervised_t *c)
{
    const char *folder = getenv("TMPDIR");
    if (c->left_file[0] == '\0') {
        snprintf(c->left_file, sizeof c->left_file, "%s/mbrun-hosts.XXXXXX",
                 folder == NULL || strlen(folder) > 200 ? "/tmp" : folder);
        int fd = mkstemp(c->left_file);
        if (fd < 0) {
            c->left_file[0] = '\0';
            return mb_error_set(MB_ERR_IO, "a file of the hosts that are left cannot be made: set "
                                           "TMPDIR to a folder that can be written");
        }
        close(fd);
    }
    return MB_OK;
}

static bool is_left(mb_supervised_t *c, const char *line)
{
    char name[256];
    size_t length;
    const char *at = mb_words_host(line, &length);
    snprintf(name, sizeof name, "%.*s", (int)length, at);
    const mb_host_t *host = mb_supervised_host(c, name);
    return host == NULL || !host->lost;
}

/* The lines of the hosts that are left, as they are. */
static mb_status_t write_left(mb_supervised_t *c)
{
    char line[LINE];
    MB_TRY(make_left(c));
    FILE *from = fopen(c->file, "r"), *to = fopen(c->left_file, "w");
    bool written = from != NULL && to != NULL;
    while (written && fgets(line, sizeof line, from) != NULL)
        written = !is_left(c, line) || fputs(line, to) >= 0;
    if (to != NULL)
        written = fclose(to) == 0 && written;
    if (from != NULL)
        fclose(from);
    return written ? MB_OK : mb_error_set(MB_ERR_IO, "'%s' cannot be written", c->left_file);
}

/* ---- the words */

static void put(mb_supervised_t *c, const char *format, const char *text)
{
    char *word = NULL;
    if (asprintf(&word, format, text) >= 0)
        c->made[c->n_made++] = word;
    else
        c->failed = true;
}

static void put_number(mb_supervised_t *c, const char *format, int value)
{
    char text[NUMBER];
    snprintf(text, sizeof text, "%d", value);
    put(c, format, text);
}

/* Behind the launcher's name: what it does not say itself. */
static mb_status_t put_additions(mb_supervised_t *c, int ranks)
{
    mb_str_t list = {0};
    bool mpirun = c->launcher == MB_LAUNCHER_MPIRUN, all = mb_supervised_left(c) == c->n_hosts;
    if (c->adds_file) {
        if (!all)
            MB_TRY(write_left(c));
        put(c, "%s", "--hostfile");
        put(c, "%s", all ? c->file : c->left_file);
    }
    if (all || c->file != NULL || mb_words_value(c, MB_WORDS_HOSTS) != NULL)
        return MB_OK;
    add_names(c, !mpirun, mpirun, &list);
    if (list.failed)
        return mb_error_memory("a list of hosts", list.length);
    if (mpirun) {
        put(c, "%s", "-host");
        put(c, "%s", list.text);
    } else {
        put(c, "--exclude=%s", list.text);
        put_number(c, "--nodes=%s", mb_supervised_left(c));
        put_number(c, "--ntasks=%s", ranks);
    }
    mb_str_free(&list);
    return MB_OK;
}

/* The value of an option of the launcher for the hosts that are left. */
static mb_status_t new_value(mb_supervised_t *c, mb_words_option_t option, int ranks,
                             mb_str_t *value)
{
    if (option == MB_WORDS_HOSTS)
        add_names(c, false, true, value);
    else if (option == MB_WORDS_RANKS)
        mb_str_addf(value, "%d", ranks);
    else if (option == MB_WORDS_NODES)
        mb_str_addf(value, "%d", mb_supervised_left(c));
    else {
        MB_TRY(write_left(c));
        mb_str_add(value, c->left_file);
    }
    return value->failed ? mb_error_memory("a command line", value->length) : MB_OK;
}

/* Word I, and the next one where that is its value; *i becomes the last that was taken. */
static mb_status_t put_option(mb_supervised_t *c, int *i, int ranks)
{
    const char *word = c->words[*i], *within;
    mb_words_option_t option = mb_words_option(c->launcher, word, &within);
    mb_str_t value = {0};
    if (option == MB_WORDS_NONE || mb_supervised_left(c) == c->n_hosts) {
        put(c, "%s", word);
        return MB_OK;
    }
    *i += within == NULL;
    if (c->launcher == MB_LAUNCHER_SRUN) /* it stands in front already */
        return MB_OK;
    MB_TRY(new_value(c, option, ranks, &value));
    const char *equals = strchr(word, '=');
    char name[64];
    snprintf(name, sizeof name, "%.*s", equals == NULL ? 63 : (int)(equals - word), word);
    put(c, "%s", name);
    put(c, "%s", value.text);
    mb_str_free(&value);
    return MB_OK;
}

/* Of mbrun's own options one may want more ranks than there are. */
static void put_program(mb_supervised_t *c, int ranks)
{
    for (int i = c->mbrun; i < c->n; i++) {
        bool apart = strcmp(c->words[i], "--stages") == 0 && i + 1 < c->n;
        bool together = strncmp(c->words[i], "--stages=", 9) == 0;
        const char *stages = apart ? c->words[i + 1] : together ? c->words[i] + 9 : "0";
        if (ranks > 0 && atoi(stages) > ranks)
            i += apart;
        else
            put(c, "%s", c->words[i]);
    }
}

mb_status_t mb_supervised_rewrite(mb_supervised_t *c)
{
    int ranks = ranks_left(c);
    drop_made(c);
    c->made = calloc((size_t)c->n + ADDED + 1, sizeof *c->made);
    if (c->made == NULL)
        return mb_error_memory("a command line", (size_t)c->n);
    for (int i = 0; i <= c->at; i++)
        put(c, "%s", c->words[i]);
    MB_TRY(put_additions(c, ranks));
    for (int i = c->at + 1; i < c->mbrun; i++)
        MB_TRY(put_option(c, &i, ranks));
    put_program(c, ranks);
    return c->failed ? mb_error_memory("a command line", (size_t)c->n) : MB_OK;
}
