/* A schedule from a text file: a line a stage, on it what the stage computes in order.
 *
 *     # two stages, one chunk each, two micro-batches
 *     F0.0 F0.1 BW0.0 BW0.1
 *     F1.0 BW1.0 F1.1 B1.1 W1.1
 *
 * F3.7 is the forward of micro-batch 7 through chunk 3 of the model, B the gradient of its inputs,
 * W that of its weights, BW both; R3.7 computes the forward again in front of a backward, and says
 * that the chunk keeps little of its micro-batches. Chunks and micro-batches count from 0. A chunk
 * lies on the stage whose line has it. Empty lines, and what stands behind #, are passed over.
 *
 * Micro-batches of a chunk go in ascending order, which is that of the sums. A file that was asked
 * for as one of any order ("unordered:PATH") may go back in another. */
#include "pipeline/schedule_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CHUNKS = 65536, MOST_MICROS = 1 << 24, WORD = 64 };

typedef struct {
    mb_action_kind_t kind;
    int stage, chunk, micro;
} entry_t;

typedef struct {
    const char *path;
    bool any_order;
    FILE *file;
    int line;  /* of the file */
    int stage; /* -1: before the first */
    int n, room;
    entry_t *entries;
} file_t;

static mb_status_t refuse(const file_t *f, const char *word, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT, "%s, line %d: '%s' %s", f->path, f->line, word, what);
}

static bool read_number(const char **at, int most, int *out)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    long value = strtol(*at, &end, 10);
    *at = end;
    *out = (int)value;
    return errno == 0 && value < most;
}

static mb_status_t read_word(const file_t *f, const char *word, entry_t *out)
{
    static const struct {
        const char *name;
        mb_action_kind_t kind;
    } names[] = {{"BW", MB_ACTION_BW},
                 {"F", MB_ACTION_F},
                 {"B", MB_ACTION_B},
                 {"W", MB_ACTION_W},
                 {"R", MB_ACTION_R}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i].name);
        const char *at = word + length;
        if (strncmp(word, names[i].name, length) != 0)
            continue;
        *out = (entry_t){.kind = names[i].kind, .stage = f->stage};
        if (read_number(&at, MOST_CHUNKS, &out->chunk) && *at++ == '.' &&
            read_number(&at, MOST_MICROS, &out->micro) && *at == '\0')
            return MB_OK;
    }
    return refuse(f, word,
                  "is no action: write F, B, W, BW or R, the chunk, a point and the "
                  "micro-batch, as in F0.3");
}

static mb_status_t add_entry(file_t *f, const entry_t *entry)
{
    if (f->n == f->room) {
        int room = 2 * f->room + 256;
        entry_t *entries = realloc(f->entries, (size_t)room * sizeof(*entries));
        if (entries == NULL)
            return mb_error_memory(f->path, (size_t)room * sizeof(*entries));
        f->entries = entries;
        f->room = room;
    }
    f->entries[f->n++] = *entry;
    return MB_OK;
}

/* The next word of the line; false at its end, which is taken. */
static bool next_word(file_t *f, char word[WORD])
{
    int n = 0, c = getc(f->file);
    while (c == ' ' || c == '\t' || c == '\r')
        c = getc(f->file);
    for (bool comment = c == '#'; comment && c != '\n' && c != EOF;)
        c = getc(f->file);
    for (; c != EOF && strchr(" \t\r\n#", c) == NULL; c = getc(f->file)) {
        if (n < WORD - 1)
            word[n++] = (char)c;
    }
    word[n] = '\0';
    if (n > 0 && c != EOF)
        ungetc(c, f->file);
    return n > 0;
}

static mb_status_t read_line(file_t *f)
{
    char word[WORD];
    bool begins = true;
    entry_t entry;
    f->line++;
    while (next_word(f, word)) {
        f->stage += begins;
        begins = false;
        MB_TRY(read_word(f, word, &entry));
        MB_TRY(add_entry(f, &entry));
    }
    return MB_OK;
}

static mb_status_t read_lines(file_t *f)
{
    while (!feof(f->file))
        MB_TRY(read_line(f));
    if (ferror(f->file))
        return mb_error_set(MB_ERR_IO, "%s: cannot be read: %s", f->path, strerror(errno));
    return f->n > 0 ? MB_OK
                    : mb_error_set(MB_ERR_FORMAT, "%s: holds no action of a schedule", f->path);
}

static void count(const file_t *f, mb_schedule_t *out)
{
    out->stages = f->stage + 1;
    out->chunks = out->micros = 0;
    for (int i = 0; i < f->n; i++) {
        out->chunks = f->entries[i].chunk >= out->chunks ? f->entries[i].chunk + 1 : out->chunks;
        out->micros = f->entries[i].micro >= out->micros ? f->entries[i].micro + 1 : out->micros;
    }
}

static mb_status_t place_chunks(const file_t *f, mb_schedule_t *out)
{
    for (int c = 0; c < out->chunks; c++)
        out->stage_of[c] = -1;
    for (int i = 0; i < f->n; i++) {
        int *stage = &out->stage_of[f->entries[i].chunk];
        if (*stage >= 0 && *stage != f->entries[i].stage)
            return mb_error_set(MB_ERR_FORMAT,
                                "%s: chunk %d stands in the lines of stages %d and %d", f->path,
                                f->entries[i].chunk, *stage, f->entries[i].stage);
        *stage = f->entries[i].stage;
    }
    for (int c = 0; c < out->chunks; c++) {
        if (out->stage_of[c] < 0)
            return mb_error_set(MB_ERR_FORMAT, "%s: nothing is said of chunk %d", f->path, c);
    }
    return MB_OK;
}

/* ---- each micro-batch once through each chunk, in the order of the sums */

typedef struct {   /* of a chunk, of each kind */
    int next[3];   /* micro-batch, where they come in order */
    bool *done[3]; /* [micros] */
    int *turns;    /* [micros] of gradients of weights, how many came before */
} progress_t;

static const char *const kind_names[] = {[MB_ACTION_F] = "F",
                                         [MB_ACTION_B] = "B",
                                         [MB_ACTION_W] = "W",
                                         [MB_ACTION_BW] = "BW",
                                         [MB_ACTION_R] = "R"};

static mb_status_t refuse_entry(const file_t *f, const entry_t *e, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT, "%s: stage %d: %s%d.%d %s", f->path, e->stage,
                        kind_names[e->kind], e->chunk, e->micro, what);
}

static mb_status_t take_again(const file_t *f, const entry_t *e, const progress_t *p)
{
    if (!p->done[MB_ACTION_F][e->micro])
        return refuse_entry(f, e, "stands in front of its forward");
    return !p->done[MB_ACTION_W][e->micro]
               ? MB_OK
               : refuse_entry(f, e, "stands behind the backward that it would be for");
}

/* Samples are read, and states of layers written, as micro-batches go forward. */
static mb_status_t take_one(const file_t *f, const entry_t *e, progress_t *p, mb_action_kind_t kind)
{
    bool free = f->any_order && kind != MB_ACTION_F;
    if (p->done[kind][e->micro] || (!free && p->next[kind] != e->micro))
        return refuse_entry(
            f, e,
            free           ? "stands twice"
            : f->any_order ? "stands twice or out of order: micro-batches go forward in ascending "
                             "order"
                           : "stands twice or out of order: micro-batches of a chunk go in "
                             "ascending order, which is that of the sums (--schedule "
                             "unordered:PATH takes any, and gives up that bits do not depend on "
                             "it)");
    if (kind == MB_ACTION_W)
        p->turns[e->micro] = p->next[kind];
    p->done[kind][e->micro] = true;
    p->next[kind]++;
    return MB_OK;
}

static mb_status_t take_entry(const file_t *f, const entry_t *e, progress_t *p)
{
    bool both = e->kind == MB_ACTION_BW;
    if (e->kind == MB_ACTION_R)
        return take_again(f, e, p);
    MB_TRY(take_one(f, e, p, both ? MB_ACTION_B : e->kind));
    if (both)
        MB_TRY(take_one(f, e, p, MB_ACTION_W));
    if (e->kind != MB_ACTION_F && !p->done[MB_ACTION_F][e->micro])
        return refuse_entry(f, e, "stands in front of its forward");
    if (e->kind == MB_ACTION_W && !p->done[MB_ACTION_B][e->micro])
        return refuse_entry(f, e, "stands in front of the gradient of its inputs (B)");
    return MB_OK;
}

static int first_missing(const bool *done, int micros)
{
    int micro = 0;
    while (micro < micros && done[micro])
        micro++;
    return micro;
}

static mb_status_t check_complete(const file_t *f, const mb_schedule_t *s, const progress_t *p)
{
    for (int c = 0; c < s->chunks; c++) {
        for (int k = 0; k < 3; k++) {
            if (p[c].next[k] != s->micros)
                return mb_error_set(MB_ERR_FORMAT,
                                    "%s: stage %d: %s%d.%d is missing (there are %d micro-batches)",
                                    f->path, s->stage_of[c], kind_names[k], c,
                                    first_missing(p[c].done[k], s->micros), s->micros);
        }
    }
    return MB_OK;
}

/* Numbers cost a file nothing, what is counted of each does. */
static mb_status_t check_numbers(const file_t *f, const mb_schedule_t *s)
{
    int64_t pairs = (int64_t)s->chunks * s->micros;
    if (pairs <= 4096 || pairs <= f->n)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: %d actions cannot be all of %d micro-batches through %d chunks, which "
                        "are the highest numbers in it",
                        f->path, f->n, s->micros, s->chunks);
}

static mb_status_t begin_progress(const mb_schedule_t *s, mb_arena_t *arena, progress_t **out)
{
    progress_t *p = MB_ARENA_ARRAY(arena, progress_t, s->chunks);
    size_t micros = (size_t)s->micros;
    *out = p;
    for (int c = 0; p != NULL && c < s->chunks; c++) {
        for (int k = 0; k < 3; k++)
            p[c].done[k] = MB_ARENA_ARRAY(arena, bool, micros);
        p[c].turns = MB_ARENA_ARRAY(arena, int, micros);
        if (p[c].done[0] == NULL || p[c].done[1] == NULL || p[c].done[2] == NULL ||
            p[c].turns == NULL)
            return mb_error_memory("a schedule", micros * sizeof(int));
    }
    return p == NULL ? mb_error_memory("a schedule", sizeof(*p)) : MB_OK;
}

static bool ascend(const mb_schedule_t *s, const progress_t *p)
{
    for (int c = 0; c < s->chunks; c++) {
        for (int m = 0; m < s->micros; m++) {
            if (p[c].turns[m] != m)
                return false;
        }
    }
    return true;
}

static mb_status_t keep_turns(const progress_t *p, mb_arena_t *arena, mb_schedule_t *out)
{
    if (ascend(out, p))
        return MB_OK;
    out->turns = MB_ARENA_ARRAY(arena, int *, out->chunks);
    if (out->turns == NULL)
        return mb_error_memory("a schedule", (size_t)out->chunks * sizeof(*out->turns));
    for (int c = 0; c < out->chunks; c++)
        out->turns[c] = p[c].turns;
    return MB_OK;
}

static mb_status_t mark_again(const file_t *f, mb_arena_t *arena, mb_schedule_t *out)
{
    for (int i = 0; i < f->n; i++) {
        if (f->entries[i].kind != MB_ACTION_R)
            continue;
        if (out->again == NULL)
            out->again = MB_ARENA_ARRAY(arena, bool, out->chunks);
        if (out->again == NULL)
            return mb_error_memory(f->path, (size_t)out->chunks);
        out->again[f->entries[i].chunk] = true;
    }
    return MB_OK;
}

/* For any number of R's: as many actions as each stage has, since stages times all of them would be
 * the square of the file. */
static mb_status_t make_room(const file_t *f, mb_arena_t *arena, mb_schedule_t *out)
{
    MB_TRY(mb_schedule_room(out, arena));
    if (out->again == NULL)
        return MB_OK;
    int *n = MB_ARENA_ARRAY(arena, int, out->stages);
    if (n == NULL)
        return mb_error_memory(f->path, (size_t)out->stages * sizeof(*n));
    for (int i = 0; i < f->n; i++)
        n[f->entries[i].stage]++;
    for (int s = 0; s < out->stages; s++) {
        out->programs[s].actions = MB_ARENA_ARRAY(arena, mb_action_t, n[s]);
        if (out->programs[s].actions == NULL)
            return mb_error_memory(f->path, (size_t)n[s] * sizeof(mb_action_t));
    }
    return MB_OK;
}

static mb_status_t fill(const file_t *f, mb_arena_t *arena, mb_schedule_t *out)
{
    count(f, out);
    out->stage_of = MB_ARENA_ARRAY(arena, int, out->chunks);
    progress_t *progress;
    if (out->stage_of == NULL)
        return mb_error_memory(f->path, (size_t)out->chunks * sizeof(int));
    MB_TRY(place_chunks(f, out));
    MB_TRY(check_numbers(f, out));
    MB_TRY(begin_progress(out, arena, &progress));
    for (int i = 0; i < f->n; i++)
        MB_TRY(take_entry(f, &f->entries[i], &progress[f->entries[i].chunk]));
    MB_TRY(check_complete(f, out, progress));
    MB_TRY(keep_turns(progress, arena, out));
    MB_TRY(mark_again(f, arena, out));
    MB_TRY(make_room(f, arena, out));
    for (int i = 0; i < f->n; i++) {
        const entry_t *e = &f->entries[i];
        mb_program_add(&out->programs[e->stage], e->kind, e->chunk, e->micro);
    }
    return MB_OK;
}

mb_status_t mb_schedule_read(const mb_schedule_choice_t *choice, mb_arena_t *arena,
                             mb_schedule_t *out)
{
    file_t f = {.path = choice->path,
                .any_order = choice->any_order,
                .file = fopen(choice->path, "re"),
                .stage = -1};
    if (f.file == NULL)
        return mb_error_set(MB_ERR_IO, "%s: the schedule cannot be opened: %s", choice->path,
                            strerror(errno));
    mb_status_t status = read_lines(&f);
    if (status == MB_OK)
        status = fill(&f, arena, out);
    fclose(f.file);
    free(f.entries);
    return status;
}
