/* See duration.h. */
#include "base/duration.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY = 86400, HOUR = 3600, MINUTE = 60, LONGEST_UNIT = 4 };

double mb_duration_unit(const char *name)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"s", 1}, {"sec", 1}, {"m", MINUTE}, {"min", MINUTE}, {"h", HOUR}, {"d", DAY}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(name, units[i].name) == 0)
            return units[i].seconds;
    }
    return 0;
}

static bool read_whole(const char **at, double *value)
{
    char *end;
    if (!isdigit((unsigned char)**at))
        return false;
    *value = (double)strtoul(*at, &end, 10);
    *at = end;
    return true;
}

/* Behind days the first number is hours; otherwise the last is seconds. */
static bool parse_clock(const char *at, const char *dash, double *seconds)
{
    static const double units[] = {HOUR, MINUTE, 1};
    double days = 0, parts[3] = {0};
    int n = 0;
    if (dash != NULL && (!read_whole(&at, &days) || at++ != dash))
        return false;
    do {
        at += n > 0;
        if (n == 3 || !read_whole(&at, &parts[n++]))
            return false;
    } while (*at == ':');
    *seconds = DAY * days;
    for (int i = 0; i < n; i++)
        *seconds += parts[i] * units[dash != NULL ? i : 3 - n + i];
    return *at == '\0';
}

static bool parse_units(const char *at, double *seconds)
{
    *seconds = 0;
    while (*at != '\0') {
        char *end, unit[LONGEST_UNIT + 1] = "";
        double value = strtod(at, &end);
        size_t length = 0;
        while (isalpha((unsigned char)end[length]))
            length++;
        if (end == at || length > LONGEST_UNIT)
            return false;
        memcpy(unit, end, length);
        if (!(value >= 0) || mb_duration_unit(unit) <= 0)
            return false;
        *seconds += value * mb_duration_unit(unit);
        at = end + length;
    }
    return true;
}

bool mb_duration_parse(const char *text, double *seconds)
{
    const char *dash = strchr(text, '-');
    bool clock = dash != NULL || strchr(text, ':') != NULL;
    bool right = clock ? parse_clock(text, dash, seconds) : parse_units(text, seconds);
    return right && *seconds > 0 && isfinite(*seconds);
}

char *mb_duration_slurm(double seconds, char *buffer, size_t capacity)
{
    long long whole = (long long)ceil(seconds);
    int used = 0;
    if (whole >= DAY)
        used = snprintf(buffer, capacity, "%lld-", whole / DAY);
    snprintf(buffer + used, capacity - (size_t)used, "%02lld:%02lld:%02lld", whole % DAY / HOUR,
             whole % HOUR / MINUTE, whole % MINUTE);
    return buffer;
}
