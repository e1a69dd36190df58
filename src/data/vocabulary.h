/* Words that stand for integers: word i, in the order of the words' bytes, is i. */
#ifndef MB_DATA_VOCABULARY_H
#define MB_DATA_VOCABULARY_H

#include "base/error.h"
#include "base/types.h"

typedef struct {
    char *name; /* of what holds such words: a field ("y"), or a column of one ("x.3") */
    char **words;
    int64_t n, capacity;
    int64_t *slots; /* a hash table of places in `words`, -1: free */
    int64_t n_slots;
} mb_vocabulary_t;

/* Several, by name. */
typedef struct {
    mb_vocabulary_t **items;
    int n;
} mb_vocabularies_t;

mb_status_t mb_vocabulary_create(const char *name, mb_vocabulary_t **out);
void mb_vocabulary_destroy(mb_vocabulary_t *vocabulary);
/* Adds a word that is not there yet. */
mb_status_t mb_vocabulary_add(mb_vocabulary_t *vocabulary, const char *word, size_t length);
/* Brings the words into order; after the last addition. */
void mb_vocabulary_sort(mb_vocabulary_t *vocabulary);
/* The word's integer, -1 when it is unknown. */
int64_t mb_vocabulary_find(const mb_vocabulary_t *vocabulary, const char *word, size_t length);
mb_status_t mb_vocabulary_copy(const mb_vocabulary_t *from, mb_vocabulary_t **out);
bool mb_vocabulary_equal(const mb_vocabulary_t *a, const mb_vocabulary_t *b);
/* Continues a digest over the name and the words. */
uint64_t mb_vocabulary_digest(const mb_vocabulary_t *vocabulary, uint64_t digest);

/* Takes the vocabulary over, with an error too. */
mb_status_t mb_vocabularies_take(mb_vocabularies_t *list, mb_vocabulary_t *vocabulary);
/* NULL if there is none of that name. */
const mb_vocabulary_t *mb_vocabularies_find(const mb_vocabularies_t *list, const char *name);
void mb_vocabularies_free(mb_vocabularies_t *list);

/* {"y": ["cat", "dog"]}, as a run's record keeps it; the caller frees. NULL without memory. */
char *mb_vocabularies_text(const mb_vocabularies_t *list);
/* WHERE names the file in messages. */
mb_status_t mb_vocabularies_parse(const char *text, const char *where, mb_vocabularies_t *out);

#endif
