/* Options that a call takes as lists of keys and values. */
#ifndef MB_API_OPTIONS_H
#define MB_API_OPTIONS_H

#include <jansson.h>

#include "api/api.h"

enum { MB_API_MAX_OPTIONS = 1024 };

typedef struct {
    const char *function; /* for messages */
    int count;
    const char *const *keys, *const *values;
} mb_api_options_t;

/* Every key and value is there, and every key one of NAMES, [n_names]. */
mb_status_t mb_api_options_check(const mb_api_options_t *options, const char *const *names,
                                 int n_names);
/* The last value of a key; NULL: it is not given. */
const char *mb_api_option(const mb_api_options_t *options, const char *key);
/* "yes" or "no"; no where it is not given. */
mb_status_t mb_api_option_on(const mb_api_options_t *options, const char *key, bool *on);

/* Texts of jansson's as texts of the library's; drops the reference. */
mb_status_t mb_api_json(json_t *json, char **text);

#endif
