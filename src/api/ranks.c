/* Lists of ranks: "0-3,6". */
#include "api/samples.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static mb_status_t refuse(const char *text, int size)
{
    return mb_error_set(MB_ERR_ARGUMENT,
                        "ranks=%s: ranks from 0 to %d are wanted, one by one or from first to "
                        "last, as in 0-3,6",
                        text, size - 1);
}

/* One number; false where none stands at *AT. */
static bool take_rank(const char **at, int size, int *out)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    long value = strtol(*at, &end, 10);
    if (errno != 0 || value >= size)
        return false;
    *at = end;
    *out = (int)value;
    return true;
}

mb_status_t mb_api_ranks_read(const char *text, int size, int rank, bool *in, int *first)
{
    int from, to;
    *in = false;
    *first = size;
    for (const char *at = text;; at++) {
        if (!take_rank(&at, size, &from))
            return refuse(text, size);
        to = from;
        if (*at == '-') {
            at++;
            if (!take_rank(&at, size, &to) || to < from)
                return refuse(text, size);
        }
        *in = *in || (rank >= from && rank <= to);
        *first = from < *first ? from : *first;
        if (*at == '\0')
            return MB_OK;
        if (*at != ',')
            return refuse(text, size);
    }
}
