/* Open addressing with a load of at most a half; the table is made anew when it doubles and after
 * sorting. */
#define _POSIX_C_SOURCE 200809L
#include "data/vocabulary.h"

#include "data/internal.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 64 };

static uint64_t hash(const char *word, size_t length)
{
    uint64_t value = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)word[i]) * UINT64_C(0x100000001B3);
    return value ^ value >> 31;
}

static bool is_word(const char *known, const char *word, size_t length)
{
    return strncmp(known, word, length) == 0 && known[length] == '\0';
}

/* The slot that holds the word, or the free one where it would stand. */
static int64_t *slot_of(const mb_vocabulary_t *v, const char *word, size_t length)
{
    uint64_t mask = (uint64_t)v->n_slots - 1, at = hash(word, length) & mask;
    while (v->slots[at] >= 0 && !is_word(v->words[v->slots[at]], word, length))
        at = (at + 1) & mask;
    return &v->slots[at];
}

static void fill_slots(mb_vocabulary_t *v)
{
    for (int64_t i = 0; i < v->n_slots; i++)
        v->slots[i] = -1;
    for (int64_t i = 0; i < v->n; i++)
        *slot_of(v, v->words[i], strlen(v->words[i])) = i;
}

static mb_status_t grow(mb_vocabulary_t *v)
{
    int64_t n = v->n_slots == 0 ? FIRST_SLOTS : 2 * v->n_slots;
    char **words = realloc(v->words, (size_t)n / 2 * sizeof(*words));
    if (words != NULL)
        v->words = words;
    int64_t *slots = realloc(v->slots, (size_t)n * sizeof(*slots));
    if (slots != NULL)
        v->slots = slots;
    if (words == NULL || slots == NULL)
        return mb_error_memory("a vocabulary", (size_t)n * sizeof(*slots));
    v->capacity = n / 2;
    v->n_slots = n;
    fill_slots(v);
    return MB_OK;
}

mb_status_t mb_vocabulary_create(const char *name, mb_vocabulary_t **out)
{
    mb_vocabulary_t *v = calloc(1, sizeof(*v));
    if (v == NULL)
        return mb_error_memory("a vocabulary", sizeof(*v));
    v->name = strdup(name);
    mb_status_t status = v->name == NULL ? mb_error_memory(name, strlen(name)) : grow(v);
    if (status == MB_OK)
        *out = v;
    else
        mb_vocabulary_destroy(v);
    return status;
}

void mb_vocabulary_destroy(mb_vocabulary_t *v)
{
    if (v == NULL)
        return;
    for (int64_t i = 0; i < v->n; i++)
        free(v->words[i]);
    free(v->words);
    free(v->slots);
    free(v->name);
    free(v);
}

mb_status_t mb_vocabulary_add(mb_vocabulary_t *v, const char *word, size_t length)
{
    if (*slot_of(v, word, length) >= 0)
        return MB_OK;
    if (v->n == v->capacity)
        MB_TRY(grow(v));
    char *copy = strndup(word, length);
    if (copy == NULL)
        return mb_error_memory("a word", length);
    *slot_of(v, word, length) = v->n;
    v->words[v->n++] = copy;
    return MB_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void mb_vocabulary_sort(mb_vocabulary_t *v)
{
    qsort(v->words, (size_t)v->n, sizeof(char *), by_bytes);
    fill_slots(v);
}

int64_t mb_vocabulary_find(const mb_vocabulary_t *v, const char *word, size_t length)
{
    return *slot_of(v, word, length);
}

mb_status_t mb_vocabulary_copy(const mb_vocabulary_t *from, mb_vocabulary_t **out)
{
    mb_vocabulary_t *v;
    MB_TRY(mb_vocabulary_create(from->name, &v));
    for (int64_t i = 0; i < from->n; i++) {
        mb_status_t status = mb_vocabulary_add(v, from->words[i], strlen(from->words[i]));
        if (status != MB_OK) {
            mb_vocabulary_destroy(v);
            return status;
        }
    }
    *out = v;
    return MB_OK;
}

bool mb_vocabulary_equal(const mb_vocabulary_t *a, const mb_vocabulary_t *b)
{
    if (a->n != b->n || strcmp(a->name, b->name) != 0)
        return false;
    for (int64_t i = 0; i < a->n; i++) {
        if (strcmp(a->words[i], b->words[i]) != 0)
            return false;
    }
    return true;
}

uint64_t mb_vocabulary_digest(const mb_vocabulary_t *v, uint64_t digest)
{
    digest = mb_digest_add(digest, hash(v->name, strlen(v->name)));
    for (int64_t i = 0; i < v->n; i++)
        digest = mb_digest_add(digest, hash(v->words[i], strlen(v->words[i])));
    return digest;
}
