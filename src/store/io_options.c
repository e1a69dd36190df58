/* See io_options.h. */
#include "store/io_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/str.h"

#define PAGE_BYTES 4096.0
#define LUSTRE_UNIT 65536.0       /* stripes are multiples of that */
#define LARGEST_UNIT 4294901760.0 /* the largest of 32 bits */

typedef enum {
    KEY_ALIGN,
    KEY_WRITERS,
    KEY_UNIT,
    KEY_FACTOR,
    KEY_MPI /* for MPI-IO alone, which reads the value */
} key_kind_t;

/* Ours; those that the MPI standard reserves (MPI 3.1, section 13.2.8); ROMIO's. */
static const struct {
    const char *key;
    key_kind_t kind;
} known[] = {
    {"align", KEY_ALIGN},
    {"writers_per_node", KEY_WRITERS},
    {"striping_unit", KEY_UNIT},
    {"striping_factor", KEY_FACTOR},
    {"access_style", KEY_MPI},
    {"cb_block_size", KEY_MPI},
    {"cb_buffer_size", KEY_MPI},
    {"cb_config_list", KEY_MPI},
    {"cb_nodes", KEY_MPI},
    {"collective_buffering", KEY_MPI},
    {"direct_write", KEY_MPI},
    {"ind_wr_buffer_size", KEY_MPI},
    {"io_node_list", KEY_MPI},
    {"nb_proc", KEY_MPI},
    {"num_io_nodes", KEY_MPI},
    {"romio_cb_alltoall", KEY_MPI},
    {"romio_cb_ds_threshold", KEY_MPI},
    {"romio_cb_fr_alignment", KEY_MPI},
    {"romio_cb_fr_types", KEY_MPI},
    {"romio_cb_pfr", KEY_MPI},
    {"romio_cb_write", KEY_MPI},
    {"romio_ds_write", KEY_MPI},
    {"romio_lustre_co_ratio", KEY_MPI},
    {"romio_lustre_coll_threshold", KEY_MPI},
    {"romio_lustre_ds_in_coll", KEY_MPI},
    {"romio_no_indep_rw", KEY_MPI},
};
enum { KNOWN = sizeof known / sizeof known[0] };

static mb_status_t refuse_key(const char *key)
{
    const char *keys[KNOWN];
    for (int i = 0; i < KNOWN; i++)
        keys[i] = known[i].key;
    const char *nearest = mb_str_nearest(key, keys, KNOWN);
    if (nearest != NULL)
        return mb_error_set(MB_ERR_ARGUMENT, "--io-hints: there is no hint '%s': do you mean '%s'?",
                            key, nearest);
    return mb_error_set(MB_ERR_ARGUMENT,
                        "--io-hints: there is no hint '%s'; doc/filesystems.md lists them", key);
}

static mb_status_t refuse_value(const mb_io_hint_t *hint, const char *wanted)
{
    return mb_error_set(MB_ERR_ARGUMENT, "--io-hints: %s: '%s' is not %s", hint->key, hint->value,
                        wanted);
}

/* A multiple of UNIT bytes. */
static bool read_bytes(const char *text, double unit, int64_t *out)
{
    double bytes;
    if (!mb_str_parse_bytes(text, &bytes) || bytes > LARGEST_UNIT)
        return false;
    *out = (int64_t)bytes;
    return bytes > 0 && *out % (int64_t)unit == 0;
}

static bool read_count(const char *text, long least, long most, int *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    *out = (int)value;
    return errno == 0 && end != text && *end == '\0' && value >= least && value <= most;
}

static mb_status_t take_own(const mb_io_hint_t *hint, key_kind_t kind, mb_io_options_t *options)
{
    const char *value = hint->value;
    if (kind == KEY_ALIGN && strcmp(value, "0") == 0)
        options->align = 0;
    else if (kind == KEY_ALIGN && !read_bytes(value, PAGE_BYTES, &options->align))
        return refuse_value(hint, "0 or a multiple of 4KiB");
    if (kind == KEY_WRITERS && !read_count(value, 1, 1 << 20, &options->writers_per_node))
        return refuse_value(hint, "a whole number of at least 1");
    if (kind == KEY_UNIT && !read_bytes(value, LUSTRE_UNIT, &options->striping_unit))
        return refuse_value(hint, "a multiple of 64KiB below 4GiB");
    if (kind == KEY_FACTOR &&
        (!read_count(value, -1, 65534, &options->striping_factor) || options->striping_factor == 0))
        return refuse_value(hint, "a number of targets, or -1: all");
    return MB_OK;
}

static mb_status_t take(const mb_io_hint_t *hint, mb_io_options_t *options)
{
    int at = 0;
    while (at < KNOWN && strcmp(known[at].key, hint->key) != 0)
        at++;
    if (at == KNOWN)
        return refuse_key(hint->key);
    if (known[at].kind == KEY_MPI && !options->mpi_io)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--io-hints: %s is a hint to MPI-IO; use --io mpi-io with it",
                            hint->key);
    return take_own(hint, known[at].kind, options);
}

/* Whether MPI_Info gets it, and in bytes where MPI wants a plain number. */
static bool is_for_mpi(mb_io_hint_t *hint, const mb_io_options_t *options)
{
    if (strcmp(hint->key, "striping_unit") == 0)
        snprintf(hint->value, sizeof hint->value, "%lld", (long long)options->striping_unit);
    return strcmp(hint->key, "align") != 0 && strcmp(hint->key, "writers_per_node") != 0;
}

static mb_status_t take_all(mb_io_options_t *options)
{
    int kept = 0;
    for (int i = 0; i < options->n_hints; i++) {
        mb_io_hint_t *hint = &options->hints[i];
        MB_TRY(take(hint, options));
        if (is_for_mpi(hint, options))
            options->hints[kept++] = *hint;
    }
    options->n_hints = kept;
    return MB_OK;
}

static mb_status_t too_long(const char *what, size_t most)
{
    return mb_error_set(MB_ERR_ARGUMENT, "--io-hints: %s more than %zu", what, most);
}

/* LENGTH characters at TEXT: a hint of its own, or more of the value before. */
static mb_status_t take_part(const char *text, size_t length, mb_io_options_t *options)
{
    const char *equals = memchr(text, '=', length);
    mb_io_hint_t *hint = &options->hints[options->n_hints];
    if (equals == NULL && options->n_hints == 0)
        return mb_error_set(MB_ERR_ARGUMENT, "--io-hints: '%.*s' is not KEY=VALUE", (int)length,
                            text);
    if (equals == NULL) {
        hint--;
        size_t used = strlen(hint->value);
        if (used + length + 2 > sizeof hint->value)
            return too_long("a value of", sizeof hint->value - 1);
        snprintf(hint->value + used, sizeof hint->value - used, ",%.*s", (int)length, text);
        return MB_OK;
    }
    size_t key = (size_t)(equals - text), value = length - key - 1;
    if (options->n_hints == MB_IO_MOST_HINTS)
        return too_long("hints,", MB_IO_MOST_HINTS);
    if (key + 1 > sizeof hint->key || value + 1 > sizeof hint->value)
        return too_long("a key or value of", sizeof hint->value - 1);
    snprintf(hint->key, sizeof hint->key, "%.*s", (int)key, text);
    snprintf(hint->value, sizeof hint->value, "%.*s", (int)value, equals + 1);
    options->n_hints++;
    return MB_OK;
}

static mb_status_t read_way(const char *way, mb_io_options_t *options)
{
    options->mpi_io = strcmp(way, "mpi-io") == 0;
    if (options->mpi_io || strcmp(way, "posix") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT, "--io: '%s' is not posix or mpi-io", way);
}

mb_status_t mb_io_options_read(const char *way, const char *hints, mb_io_options_t *out)
{
    mb_io_options_t options = {.align = -1};
    MB_TRY(read_way(way, &options));
    while (hints != NULL && *hints != '\0') {
        size_t length = strcspn(hints, ",");
        MB_TRY(take_part(hints, length, &options));
        hints += length + (hints[length] == ',');
    }
    MB_TRY(take_all(&options));
    if (options.mpi_io && options.writers_per_node > 0)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "--io-hints: writers_per_node is for --io posix; MPI-IO's own are "
                            "cb_nodes and cb_config_list");
    *out = options;
    return MB_OK;
}
