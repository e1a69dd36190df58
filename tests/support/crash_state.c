/* See crash_state.h. */
#include "support/crash_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* SplitMix64's finalizer (Steele, Lea and Flood 2014). */
uint64_t crash_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a + 0x9e3779b97f4a7c15u * (b + 1);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void crash_state_create(const crash_record_t *record, int64_t omitted, crash_state_t *state)
{
    *state = (crash_state_t){.record = record};
    state->lasts = calloc(record->n_calls + 1, sizeof *state->lasts);
    state->bytes = calloc((size_t)record->n_files + 1, sizeof *state->bytes);
    if (state->lasts == NULL || state->bytes == NULL)
        crash_give_up("out of memory");
    for (size_t i = 0; i < record->n_calls; i++) {
        size_t sync = i + 1;
        while (sync < record->n_calls &&
               ((int64_t)sync == omitted || !crash_covers(&record->calls[sync], &record->calls[i])))
            sync++;
        state->lasts[i] = sync < record->n_calls ? (int64_t)sync : INT64_MAX;
    }
}

void crash_state_free(crash_state_t *state)
{
    for (int i = 0; i < state->record->n_files; i++)
        free(state->bytes[i].bytes);
    free(state->bytes);
    free(state->lasts);
}

/* Some runs lose nearly all, some nearly nothing. */
static bool draws(uint64_t seed, size_t call)
{
    static const unsigned chances[] = {2, 10, 50, 90, 98};
    return crash_mix(seed, call + 16) % 100 < chances[crash_mix(seed, 0) % 5];
}

static crash_fate_t random_fate(const crash_recipe_t *recipe, const crash_call_t *call, size_t i)
{
    bool in_order = crash_mix(recipe->seed, 1) % 2 == 0;
    size_t kept = (size_t)crash_mix(recipe->seed, 2) % (recipe->end + 1);
    if (crash_is_name_call(call) && in_order)
        return i < kept ? CRASH_WHOLE : CRASH_LOST;
    if (draws(recipe->seed, i))
        return CRASH_WHOLE;
    uint64_t how = crash_mix(recipe->seed + 1, i) % 4;
    return how == 0 ? CRASH_LENGTH : how == 1 ? CRASH_TORN : CRASH_LOST;
}

static crash_fate_t fate_of(const crash_recipe_t *recipe, const crash_call_t *call, size_t i)
{
    switch (recipe->kind) {
    case CRASH_ALL:
        return CRASH_WHOLE;
    case CRASH_NAMES:
        if (crash_is_name_call(call))
            return i < recipe->call ? CRASH_WHOLE : CRASH_LOST;
        return recipe->fate;
    case CRASH_WITHOUT:
        return i == recipe->call ? recipe->fate : CRASH_WHOLE;
    case CRASH_ALONE:
        return i == recipe->call ? CRASH_WHOLE : CRASH_LOST;
    case CRASH_RANDOM:
        return random_fate(recipe, call, i);
    default:
        return CRASH_LOST;
    }
}

/* The first sectors of a write, or any of them. */
static void tear(crash_bytes_t *bytes, const crash_call_t *call, uint64_t seed)
{
    size_t sector = seed % 2 == 0 ? 512 : 4096, at = (size_t)call->offset;
    size_t end = at + call->bytes, cut = at + crash_mix(seed, 0) % (call->bytes + 1);
    bool first_only = crash_mix(seed, 1) % 2 == 0, whole_length = crash_mix(seed, 2) % 2 == 0;
    cut -= cut % sector;
    while (at < end) {
        size_t next = (at / sector + 1) * sector, stop = next < end ? next : end;
        crash_call_t part = *call;
        part.data += at - (size_t)call->offset;
        part.offset = (int64_t)at;
        part.bytes = stop - at;
        if (first_only ? at < cut : crash_mix(seed, at + 3) % 2 == 0)
            crash_change_bytes(bytes, &part);
        at = stop;
    }
    if (whole_length && end > bytes->length)
        crash_resize(bytes, end);
}

static void change_bytes(crash_bytes_t *bytes, const crash_call_t *call, crash_fate_t fate,
                         uint64_t seed)
{
    size_t end = (size_t)call->offset + call->bytes;
    if (fate == CRASH_WHOLE)
        crash_change_bytes(bytes, call);
    else if (call->kind == IO_WRITE && fate == CRASH_LENGTH && end > bytes->length)
        crash_resize(bytes, end);
    else if (call->kind == IO_WRITE && fate == CRASH_TORN)
        tear(bytes, call, seed);
}

static void begin_bytes(crash_bytes_t *bytes, const crash_bytes_t *first)
{
    bytes->length = 0;
    crash_resize(bytes, first->length);
    if (first->length > 0)
        memcpy(bytes->bytes, first->bytes, first->length);
}

static bool is_reachable(const crash_names_t *names, const char *path)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return true;
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    return crash_find_name(names, directory) >= 0 && is_reachable(names, directory);
}

static void drop_unreachable(crash_names_t *names)
{
    for (int i = names->n - 1; i >= 0; i--) {
        if (!is_reachable(names, names->names[i].path))
            names->names[i] = names->names[--names->n];
    }
}

void crash_state_make(crash_state_t *state, const crash_recipe_t *recipe)
{
    const crash_record_t *record = state->record;
    state->names = record->first_names;
    for (int i = 0; i < record->n_files; i++)
        begin_bytes(&state->bytes[i], &record->first_bytes[i]);
    for (size_t i = 0; i < recipe->end; i++) {
        const crash_call_t *call = &record->calls[i];
        bool lasts = state->lasts[i] < (int64_t)recipe->end;
        crash_fate_t fate = lasts ? CRASH_WHOLE : fate_of(recipe, call, i);
        if (crash_is_file_call(call))
            change_bytes(&state->bytes[call->file], call, fate, crash_mix(recipe->seed, i));
        else if (fate == CRASH_WHOLE)
            crash_change_names(&state->names, call);
    }
    drop_unreachable(&state->names);
}

static uint64_t hash_bytes(uint64_t hash, const unsigned char *bytes, size_t length)
{
    uint64_t word;
    for (; length >= sizeof word; length -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = (hash ^ word) * 0x9ddfea08eb382d69u;
        hash ^= hash >> 29;
    }
    for (; length > 0; length--)
        hash = (hash ^ *bytes++) * 0x100000001b3u;
    return hash;
}

static bool is_log(const char *path)
{
    size_t length = strlen(path);
    return length >= 7 && strcmp(path + length - 7, "log.txt") == 0;
}

/* Names have no order: theirs are added. */
uint64_t crash_state_hash(const crash_state_t *state)
{
    uint64_t sum = 0;
    for (int i = 0; i < state->names.n; i++) {
        const crash_name_t *name = &state->names.names[i];
        if (is_log(name->path))
            continue;
        uint64_t hash = hash_bytes(1, (const unsigned char *)name->path, strlen(name->path));
        if (name->file != CRASH_DIRECTORY) {
            const crash_bytes_t *bytes = &state->bytes[name->file];
            hash = hash_bytes(crash_mix(hash, bytes->length), bytes->bytes, bytes->length);
        }
        sum += crash_mix(hash, 0);
    }
    return sum;
}

static void write_file(const char *path, const crash_bytes_t *bytes)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes->bytes, 1, bytes->length, file) != bytes->length ||
        fclose(file) != 0)
        crash_give_up("cannot write '%s'", path);
}

static void lay(const crash_state_t *state, const char *folder, bool directories)
{
    char path[4096];
    for (int i = 0; i < state->names.n; i++) {
        const crash_name_t *name = &state->names.names[i];
        snprintf(path, sizeof path, "%s/%s", folder, name->path);
        if (directories && name->file == CRASH_DIRECTORY && mkdir(path, 0777) != 0 &&
            errno != EEXIST)
            crash_give_up("cannot make '%s'", path);
        if (!directories && name->file != CRASH_DIRECTORY)
            write_file(path, &state->bytes[name->file]);
    }
}

void crash_state_lay(const crash_state_t *state, const char *folder)
{
    lay(state, folder, true);
    lay(state, folder, false);
}
