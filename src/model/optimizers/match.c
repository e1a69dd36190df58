/* Keras' optimizers name parameters by regular expressions of Python's re. Those that POSIX'
 * extended ones read the same way are taken: of the rest, groups with a question mark, lazy
 * repeats, classes behind a backslash and named classes are refused. */
#include <ctype.h>
#include <regex.h>
#include <string.h>

#include "model/optimizers/class.h"

static bool means_the_same(const char *pattern)
{
    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c == '\\' && (c[1] == '\0' || isalnum((unsigned char)c[1])))
            return false;
        if (*c == '\\')
            c++;
        else if ((strchr("(*+?}", *c) != NULL && (c[1] == '?' || c[1] == '+')) ||
                 (*c == '[' && (c[1] == ':' || c[1] == '.' || c[1] == '=')))
            return false;
    }
    return true;
}

mb_status_t mb_optimizer_match(const char *pattern, const char *path, const char *where,
                               bool *matches)
{
    regex_t regex;
    if (!means_the_same(pattern) || regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: the pattern '%s' is not a regular expression that this build "
                            "reads as Python does; write it with letters, | and .* alone",
                            where, pattern);
    if (matches != NULL)
        *matches = regexec(&regex, path, 0, NULL, 0) == 0;
    regfree(&regex);
    return MB_OK;
}
