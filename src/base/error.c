/* The message of the last failure, one a thread, as errno is. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local mb_error_message_t threads_own, *used; /* NULL: the thread's own */

static mb_error_message_t *current(void)
{
    return used == NULL ? &threads_own : used;
}

static char *message(void)
{
    return current()->text;
}

/* Messages quote what files hold, and a terminal obeys control characters. */
static void keep(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
            *at = '?';
    }
    memcpy(message(), text, strlen(text) + 1);
}

/* Formats beside the kept message first, because arguments may point into it. */
mb_status_t mb_error_set(mb_status_t status, const char *format, ...)
{
    char text[MB_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    keep(text);
    current()->place = 0;
    return status;
}

mb_status_t mb_error_at_rank(mb_status_t status, int rank)
{
    current()->place = rank + 1;
    return status;
}

int mb_error_get_rank(void)
{
    return current()->place - 1;
}

mb_status_t mb_error_prefix(mb_status_t status, const char *format, ...)
{
    char text[MB_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t length = strlen(text);
    snprintf(text + length, sizeof(text) - length, "%s", message());
    keep(text);
    return status;
}

const char *mb_error_get(void)
{
    return message();
}

void mb_error_keep(mb_error_message_t *kept)
{
    *kept = *current();
}

void mb_error_restore(const mb_error_message_t *kept)
{
    *current() = *kept;
}

mb_error_message_t *mb_error_use(mb_error_message_t *to)
{
    mb_error_message_t *before = used == NULL ? &threads_own : used;
    used = to;
    return before;
}

mb_status_t mb_error_memory(const char *what, size_t bytes)
{
    return mb_error_set(MB_ERR_MEMORY, "out of memory: %s needs %zu bytes", what, bytes);
}
