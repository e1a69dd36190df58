/* A schedule from a text file: a line a stage, on it what the stage computes in order.
 *
 *     # two stages, one chunk each, two micro-batches
 *     F0.0 F0.1 BW0.0 BW0.1
 *     F1.0 BW1.0 F1.1 B1.1 W1.1
 *
 * F3.7 is the forward of micro-batch 7 through chunk 3 of the model, B the gradient of its inputs,
 * W that of its weights, BW both; R3.7 computes the forward again in front of a backward, and says
 * that the chunk keeps little of its micro-batches. Chunks and micro-batches count from 0. A chunk
 * lies on the stage whose line has it. Empty lines, and what stands behind #, are passed over. */
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

typedef struct { /* of a chunk: the next micro-batch of each kind */
    int next[3];
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
    if (p->next[MB_ACTION_F] <= e->micro)
        return refuse_entry(f, e, "stands in front of its forward");
    return p->next[MB_ACTION_W] <= e->micro
               ? MB_OK
               : refuse_entry(f, e, "stands behind the backward that it would be for");
}

static mb_status_t take_entry(const file_t *f, const entry_t *e, progress_t *p)
{
    bool both = e->kind == MB_ACTION_BW;
    if (e->kind == MB_ACTION_R)
        return take_again(f, e, p);
    if (p->next[both ? MB_ACTION_W : e->kind] != e->micro ||
        (both && p->next[MB_ACTION_B] != e->micro))
        return refuse_entry(f, e,
                            "stands twice or out of order: micro-batches of a chunk go in "
                            "ascending order, which is that of the sums");
    if (e->kind != MB_ACTION_F && p->next[MB_ACTION_F] <= e->micro)
        return refuse_entry(f, e, "stands in front of its forward");
    if (e->kind == MB_ACTION_W && p->next[MB_ACTION_B] <= e->micro)
        return refuse_entry(f, e, "stands in front of the gradient of its inputs (B)");
    p->next[both ? MB_ACTION_B : e->kind]++;
    p->next[MB_ACTION_W] += both;
    return MB_OK;
}

static mb_status_t check_complete(const file_t *f, const mb_schedule_t *s, const progress_t *p)
{
    for (int c = 0; c < s->chunks; c++) {
        for (int k = 0; k < 3; k++) {
            if (p[c].next[k] != s->micros)
                return mb_error_set(
                    MB_ERR_FORMAT, "%s: stage %d: %s%d.%d is missing (there are %d micro-batches)",
                    f->path, s->stage_of[c], kind_names[k], c, p[c].next[k], s->micros);
        }
    }
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

/* For any number of R's. */
static mb_status_t make_room(const file_t *f, mb_arena_t *arena, mb_schedule_t *out)
{
    MB_TRY(mb_schedule_room(out, arena));
    for (int s = 0; s < out->stages && out->again != NULL; s++) {
        out->programs[s].actions = MB_ARENA_ARRAY(arena, mb_action_t, f->n);
        if (out->programs[s].actions == NULL)
            return mb_error_memory(f->path, (size_t)f->n * sizeof(mb_action_t));
    }
    return MB_OK;
}

static mb_status_t fill(const file_t *f, mb_arena_t *arena, mb_schedule_t *out)
{
    count(f, out);
    out->stage_of = MB_ARENA_ARRAY(arena, int, out->chunks);
    progress_t *progress = MB_ARENA_ARRAY(arena, progress_t, out->chunks);
    if (out->stage_of == NULL || progress == NULL)
        return mb_error_memory(f->path, (size_t)out->chunks * sizeof(*progress));
    MB_TRY(place_chunks(f, out));
    for (int i = 0; i < f->n; i++)
        MB_TRY(take_entry(f, &f->entries[i], &progress[f->entries[i].chunk]));
    MB_TRY(check_complete(f, out, progress));
    MB_TRY(mark_again(f, arena, out));
    MB_TRY(make_room(f, arena, out));
    for (int i = 0; i < f->n; i++) {
        const entry_t *e = &f->entries[i];
        mb_program_add(&out->programs[e->stage], e->kind, e->chunk, e->micro);
    }
    return MB_OK;
}

mb_status_t mb_schedule_read(const char *path, mb_arena_t *arena, mb_schedule_t *out)
{
    file_t f = {.path = path, .file = fopen(path, "re"), .stage = -1};
    if (f.file == NULL)
        return mb_error_set(MB_ERR_IO, "%s: the schedule cannot be opened: %s", path,
                            strerror(errno));
    mb_status_t status = read_lines(&f);
    if (status == MB_OK)
        status = fill(&f, arena, out);
    fclose(f.file);
    free(f.entries);
    return status;
}
