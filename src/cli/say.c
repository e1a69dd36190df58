/* See say.h. */
#include "cli/say.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int mb_exit_code(mb_status_t status)
{
    switch (status) {
    case MB_OK:
        return MB_EXIT_DONE;
    case MB_ERR_ARGUMENT:
        return MB_EXIT_USAGE;
    case MB_ERR_STOPPED:
        return MB_EXIT_STOPPED;
    default:
        return MB_EXIT_FAILED;
    }
}

/* The launcher nearest to the process first: mpirun inside a batch job's step sets its own. */
static const char *launch_text(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);
        if (text != NULL && text[0] != '\0')
            return text;
    }
    return NULL;
}

int mb_launch_rank(void)
{
    const char *text = launch_text();
    return text == NULL ? 0 : atoi(text);
}

bool mb_launched(void)
{
    return launch_text() != NULL;
}

void mb_say_error(void)
{
    fprintf(stderr, "mbrun: error: %s\n", mb_error_get());
}

int mb_say_end(mb_status_t status)
{
    if (status != MB_OK)
        mb_say_error();
    return mb_exit_code(status);
}

mb_status_t mb_say_json(json_t *object)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (text == NULL)
        return mb_error_memory("a line of JSON", 0);
    printf("%s\n", text);
    fflush(stdout);
    free(text);
    return MB_OK;
}

char *mb_say_count(int64_t count, char *buffer, size_t capacity)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, count);
    size_t n = strlen(digits), used = 0;
    for (size_t i = 0; i < n && used + 2 < capacity; i++) {
        if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-')
            buffer[used++] = ',';
        buffer[used++] = digits[i];
    }
    buffer[used] = '\0';
    return buffer;
}

static int decimals(double rate)
{
    return rate < 99.95 ? 1 : 0;
}

char *mb_say_rate(double samples_per_second, int64_t tokens, char *buffer, size_t capacity)
{
    double rate = samples_per_second, token_rate = rate * (double)tokens;
    buffer[0] = '\0';
    if (!isfinite(rate))
        return buffer;
    int used = snprintf(buffer, capacity, "%.*f samples/s", decimals(rate), rate);
    if (tokens > 0 && used > 0 && (size_t)used < capacity)
        snprintf(buffer + used, capacity - (size_t)used, ", %.*f tokens/s", decimals(token_rate),
                 token_rate);
    return buffer;
}
