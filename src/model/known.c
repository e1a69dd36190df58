/* What a name that is not known may have been meant for. Keras writes "MeanSquaredError" and
 * "mean_squared_error" for the same thing, so neither case nor underscores count. */
#include "model/known.h"

#include <ctype.h>
#include <stdio.h>

#include "base/str.h"

enum { MOST_NAMES = 256, WORD = 64 };

static const char *fold(const char *name, char word[WORD])
{
    size_t length = 0;
    for (; *name != '\0' && length + 1 < WORD; name++) {
        if (*name != '_')
            word[length++] = (char)tolower((unsigned char)*name);
    }
    word[length] = '\0';
    return word;
}

static const char *nearest(const mb_known_t *known, const char *name)
{
    char folded[MOST_NAMES][WORD], word[WORD];
    const char *words[MOST_NAMES];
    size_t count = 0;
    for (; count < MOST_NAMES && known->name(count) != NULL; count++)
        words[count] = fold(known->name(count), folded[count]);
    const char *found = mb_str_nearest(fold(name, word), words, count);
    for (size_t i = 0; i < count && found != NULL; i++) {
        if (words[i] == found)
            return known->name(i);
    }
    return NULL;
}

const char *mb_known_hint(const mb_known_t *known, const char *name, char buffer[MB_KNOWN_HINT])
{
    const char *found = nearest(known, name);
    if (found != NULL)
        snprintf(buffer, MB_KNOWN_HINT, "; the nearest one is '%s'; mbrun info lists the %s", found,
                 known->all);
    else
        snprintf(buffer, MB_KNOWN_HINT, ", and none has a name near it; mbrun info lists the %s",
                 known->all);
    return buffer;
}

mb_status_t mb_known_refuse(const mb_known_t *known, mb_status_t status, const char *where,
                            const char *name)
{
    char hint[MB_KNOWN_HINT];
    return mb_error_set(status, "%s: %s '%s' is not known%s", where, known->what, name,
                        mb_known_hint(known, name, hint));
}
