/* A file by MPI-IO. What a rank writes is noted, and handed over by the sync, range by range, each
 * rank for itself; or, where a hint asks for collective buffering, sorted by offset in rounds of at
 * most 64 MiB a rank, each a file view of the round's ranges and one collective write: as many
 * rounds on every rank as the one with the most needs. Then MPI-IO gathers small ranges into large
 * writes, on the ranks that its hints choose (two-phase I/O: Thakur, Gropp, Lusk, "Data sieving and
 * collective I/O in ROMIO", 1999).
 *
 * A collective write is not the default: what the ranks that gather could not write, Open MPI 4.1
 * tells nobody, so that everything is read again. */
#include "store/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/filesystem.h"
#include "store/io.h"

#define ROUND_BYTES ((int64_t)64 << 20)
#define COMPARED_BYTES ((int64_t)1 << 20)

typedef struct {
    const char *data;
    int64_t offset, bytes;
} range_t;

struct mb_file_ranges {
    MPI_File file;
    bool lost; /* a collective call failed, and the others may be in it for ever */
    range_t *list;
    size_t n, capacity;
};

typedef struct {  /* the part of the ranges that is handed over next */
    size_t first; /* range */
    int64_t done; /* bytes of it */
} place_t;

/* ---- errors */

/* MPI's class of an error as a number of the system's, which has the remedies. */
static int number_of(int code)
{
    static const struct {
        int class_, number;
    } known[] = {{MPI_ERR_NO_SPACE, ENOSPC},     {MPI_ERR_QUOTA, EDQUOT},
                 {MPI_ERR_ACCESS, EACCES},       {MPI_ERR_READ_ONLY, EROFS},
                 {MPI_ERR_NO_SUCH_FILE, ENOENT}, {MPI_ERR_NO_MEM, ENOMEM}};
    int class_ = MPI_ERR_UNKNOWN;
    MPI_Error_class(code, &class_);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].class_ == class_)
            return known[i].number;
    }
    return 0;
}

/* MPI libraries that have no class for it leave the system's own number behind. */
static mb_status_t check(const mb_file_t *file, int code, const char *doing)
{
    char text[MPI_MAX_ERROR_STRING] = "", what[64];
    int length, left = errno;
    if (code == MPI_SUCCESS)
        return MB_OK;
    snprintf(what, sizeof what, "%s by MPI-IO", doing);
    errno = number_of(code) != 0 ? number_of(code) : left;
    if (errno != 0)
        return mb_io_error(what, file->path);
    MPI_Error_string(code, text, &length);
    return mb_error_set(MB_ERR_IO, "cannot %s '%s': %s", what, file->path, text);
}

static mb_status_t no_memory(size_t bytes)
{
    return mb_error_memory("what is written by MPI-IO", bytes);
}

/* ---- hints */

static mb_status_t make_info(const mb_file_t *file, MPI_Info *info)
{
    *info = MPI_INFO_NULL;
    if (file->options == NULL || file->options->n_hints == 0)
        return MB_OK;
    errno = 0;
    MB_TRY(check(file, MPI_Info_create(info), "give hints for"));
    for (int i = 0; i < file->options->n_hints; i++) {
        const mb_io_hint_t *hint = &file->options->hints[i];
        MB_TRY(check(file, MPI_Info_set(*info, hint->key, hint->value), "give hints for"));
    }
    return MB_OK;
}

/* Open MPI gives back every hint that it was given, whether somebody reads it or not. Its own
 * MPI-IO (OMPIO) reads these, ROMIO, which it takes on Lustre or where the parameter `io` says so,
 * all. */
static bool reads_hint(const mb_file_t *file, const char *key)
{
    static const char *const ompio[] = {"cb_buffer_size", "cb_nodes", "collective_buffering"};
    const char *io = getenv("OMPI_MCA_io");
    mb_filesystem_t system;
    for (size_t i = 0; i < sizeof ompio / sizeof ompio[0]; i++) {
        if (strcmp(key, ompio[i]) == 0)
            return true;
    }
    if (io != NULL)
        return strstr(io, "romio") != NULL;
    return mb_filesystem_at(file->path, &system) == MB_OK && system.stripes;
}

static bool takes_hint(const mb_file_t *file, MPI_Info taken, const mb_io_hint_t *hint)
{
    char value[MB_IO_HINT_TEXT] = "";
    int there = 0;
    MPI_Info_get(taken, hint->key, sizeof value - 1, value, &there);
    if (!there || strcmp(value, hint->value) != 0)
        return false;
#ifdef OPEN_MPI
    return reads_hint(file, hint->key);
#else
    (void)reads_hint;
    return true;
#endif
}

/* The ones that are not in force are named. Stripes are those of the directory. */
static mb_status_t note_untaken(mb_file_t *file)
{
    MPI_Info taken;
    mb_io_options_t *options = file->options;
    if (options == NULL || mb_comm_rank(file->comm) != 0)
        return MB_OK;
    errno = 0;
    MB_TRY(check(file, MPI_File_get_info(file->ranges->file, &taken), "ask for the hints of"));
    options->untaken[0] = '\0';
    for (int i = 0; i < options->n_hints; i++) {
        const mb_io_hint_t *hint = &options->hints[i];
        size_t used = strlen(options->untaken);
        if (strncmp(hint->key, "striping_", 9) != 0 && !takes_hint(file, taken, hint))
            snprintf(options->untaken + used, sizeof options->untaken - used, "%s%s",
                     used > 0 ? ", " : "", hint->key);
    }
    MPI_Info_free(&taken);
    return MB_OK;
}

/* ---- the calls */

static void forget(mb_file_t *file)
{
    free(file->ranges->list);
    free(file->ranges);
    file->ranges = NULL;
}

/* One that cannot take its part opens the file all the same: the others wait for it. */
static mb_status_t open_file(mb_file_t *file)
{
    MPI_Info info = MPI_INFO_NULL;
    MPI_File handle;
    file->ranges = calloc(1, sizeof *file->ranges);
    mb_status_t status = file->ranges == NULL ? no_memory(sizeof *file->ranges) : MB_OK;
    if (status == MB_OK)
        status = make_info(file, &info);
    errno = 0;
    int code = MPI_File_open(mb_comm_mpi(file->comm), file->path, MPI_MODE_RDWR, info, &handle);
    mb_status_t opened = check(file, code, "open");
    if (info != MPI_INFO_NULL)
        MPI_Info_free(&info);
    MB_TRY(status);
    MB_TRY(opened);
    file->ranges->file = handle;
    return note_untaken(file);
}

/* Behind the one before, in memory and in the file, it becomes a part of that. */
static bool goes_on(const mb_file_ranges_t *ranges, const char *data, size_t bytes, int64_t offset)
{
    const range_t *last = ranges->n > 0 ? &ranges->list[ranges->n - 1] : NULL;
    return last != NULL && last->data + last->bytes == data &&
           last->offset + last->bytes == offset && last->bytes + (int64_t)bytes <= ROUND_BYTES;
}

static mb_status_t write_bytes(const mb_file_t *file, const void *data, size_t bytes,
                               int64_t offset)
{
    mb_file_ranges_t *ranges = file->ranges;
    if (goes_on(ranges, data, bytes, offset)) {
        ranges->list[ranges->n - 1].bytes += (int64_t)bytes;
        return MB_OK;
    }
    if (ranges->n == ranges->capacity) {
        size_t capacity = 2 * ranges->capacity + 16;
        range_t *list = realloc(ranges->list, capacity * sizeof *list);
        if (list == NULL)
            return no_memory(capacity * sizeof *list);
        ranges->list = list;
        ranges->capacity = capacity;
    }
    ranges->list[ranges->n++] = (range_t){data, offset, (int64_t)bytes};
    return MB_OK;
}

static int compare_offsets(const void *a, const void *b)
{
    const range_t *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static mb_status_t keep_more(void *user, mb_comm_bytes_t *into, const void *data, size_t bytes)
{
    int64_t own, other;
    (void)user;
    memcpy(&own, into->data, sizeof own);
    memcpy(&other, data, bytes);
    own = other > own ? other : own;
    memcpy(into->data, &own, sizeof own);
    return MB_OK;
}

/* Collective: of the rank that has the most. */
static mb_status_t count_rounds(const mb_file_t *file, int64_t *rounds)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < file->ranges->n; i++)
        bytes += file->ranges->list[i].bytes;
    *rounds = (bytes + ROUND_BYTES - 1) / ROUND_BYTES;
    mb_comm_bytes_t own = {rounds, sizeof *rounds};
    MB_TRY(mb_comm_fold(file->comm, &own, keep_more, NULL));
    return mb_comm_broadcast(file->comm, rounds, sizeof *rounds, 0);
}

typedef struct {
    MPI_Datatype memory, places; /* MPI_DATATYPE_NULL: nothing to write */
} round_t;

/* The next ranges, ROUND_BYTES at most. Arrays of COUNT each. */
static int take_round(const mb_file_ranges_t *ranges, place_t *at, int *lengths,
                      MPI_Aint *addresses, MPI_Aint *offsets)
{
    int n = 0;
    for (int64_t left = ROUND_BYTES; left > 0 && at->first < ranges->n; n++) {
        const range_t *range = &ranges->list[at->first];
        int64_t bytes = range->bytes - at->done < left ? range->bytes - at->done : left;
        MPI_Get_address(range->data + at->done, &addresses[n]);
        offsets[n] = (MPI_Aint)(range->offset + at->done);
        lengths[n] = (int)bytes;
        left -= bytes;
        at->done += bytes;
        if (at->done == range->bytes)
            *at = (place_t){at->first + 1, 0};
    }
    return n;
}

static mb_status_t make_types(const mb_file_t *file, int n, const int *lengths,
                              const MPI_Aint *addresses, const MPI_Aint *offsets, round_t *round)
{
    if (n == 0)
        return MB_OK;
    errno = 0;
    MB_TRY(check(file, MPI_Type_create_hindexed(n, lengths, addresses, MPI_BYTE, &round->memory),
                 "describe what is written to"));
    MB_TRY(check(file, MPI_Type_commit(&round->memory), "describe what is written to"));
    MB_TRY(check(file, MPI_Type_create_hindexed(n, lengths, offsets, MPI_BYTE, &round->places),
                 "describe what is written to"));
    return check(file, MPI_Type_commit(&round->places), "describe what is written to");
}

static mb_status_t describe_round(const mb_file_t *file, place_t *at, round_t *round)
{
    size_t most = file->ranges->n - at->first + 1;
    int *lengths = calloc(most, sizeof *lengths);
    MPI_Aint *addresses = calloc(most, sizeof *addresses), *offsets = calloc(most, sizeof *offsets);
    mb_status_t status = MB_OK;
    if (lengths == NULL || addresses == NULL || offsets == NULL)
        status = no_memory(most * (sizeof *lengths + 2 * sizeof *offsets));
    if (status == MB_OK) {
        int n = take_round(file->ranges, at, lengths, addresses, offsets);
        status = make_types(file, n, lengths, addresses, offsets, round);
    }
    free(lengths);
    free(addresses);
    free(offsets);
    return status;
}

static void free_types(round_t *round)
{
    if (round->memory != MPI_DATATYPE_NULL)
        MPI_Type_free(&round->memory);
    if (round->places != MPI_DATATYPE_NULL)
        MPI_Type_free(&round->places);
}

/* Collective. A rank that has nothing to write takes part with nothing. */
static mb_status_t write_round(const mb_file_t *file, place_t *at)
{
    round_t round = {MPI_DATATYPE_NULL, MPI_DATATYPE_NULL};
    MPI_File handle = file->ranges->file;
    mb_status_t status = describe_round(file, at, &round);
    bool writes = status == MB_OK && round.places != MPI_DATATYPE_NULL;
    errno = 0;
    if (status == MB_OK)
        status = check(file,
                       MPI_File_set_view(handle, 0, MPI_BYTE, writes ? round.places : MPI_BYTE,
                                         "native", MPI_INFO_NULL),
                       "write");
    errno = 0;
    if (status == MB_OK)
        status = check(file,
                       MPI_File_write_at_all(handle, 0, MPI_BOTTOM, writes ? 1 : 0,
                                             writes ? round.memory : MPI_BYTE, MPI_STATUS_IGNORE),
                       "write");
    free_types(&round);
    return status;
}

static mb_status_t compare_range(const mb_file_t *file, const range_t *range, char *buffer)
{
    MPI_Status done;
    for (int64_t at = 0; at < range->bytes; at += COMPARED_BYTES) {
        int64_t left = range->bytes - at;
        int bytes = (int)(left < COMPARED_BYTES ? left : COMPARED_BYTES), count = 0;
        errno = 0;
        MB_TRY(check(file,
                     MPI_File_read_at(file->ranges->file, (MPI_Offset)(range->offset + at), buffer,
                                      bytes, MPI_BYTE, &done),
                     "read"));
        MPI_Get_count(&done, MPI_BYTE, &count);
        if (count != bytes || memcmp(buffer, range->data + at, (size_t)bytes) != 0)
            return mb_error_set(MB_ERR_IO,
                                "cannot write by MPI-IO '%s': bytes from %lld on are not what was "
                                "written; is the disk full? Free space there, or use --io posix, "
                                "which says",
                                file->path, (long long)(range->offset + at));
    }
    return MB_OK;
}

/* The writes are those of the ranks that gather, of whose failures Open MPI 4.1 tells nobody: each
 * rank looks whether its bytes are there. */
static mb_status_t compare_all(const mb_file_t *file)
{
    const mb_file_ranges_t *ranges = file->ranges;
    char *buffer = malloc(COMPARED_BYTES);
    mb_status_t status = buffer == NULL ? no_memory(COMPARED_BYTES) : MB_OK;
    errno = 0;
    if (status == MB_OK)
        status = check(
            file, MPI_File_set_view(ranges->file, 0, MPI_BYTE, MPI_BYTE, "native", MPI_INFO_NULL),
            "read");
    for (size_t i = 0; i < ranges->n && status == MB_OK; i++)
        status = compare_range(file, &ranges->list[i], buffer);
    free(buffer);
    return status;
}

/* One that fails comes to no further round, and the others may be in one for ever: that ends the
 * job. */
static mb_status_t write_together(const mb_file_t *file)
{
    int64_t rounds = 0;
    place_t at = {0, 0};
    mb_file_ranges_t *ranges = file->ranges;
    if (ranges->n > 0)
        qsort(ranges->list, ranges->n, sizeof *ranges->list, compare_offsets);
    mb_status_t status = count_rounds(file, &rounds);
    for (int64_t i = 0; i < rounds && status == MB_OK; i++)
        status = write_round(file, &at);
    ranges->lost = status != MB_OK;
    return ranges->lost ? mb_comm_fail(file->comm, status) : MB_OK;
}

/* Open MPI 4.1 says success where the system has refused a write, but counts what was written. */
static mb_status_t write_range(const mb_file_t *file, const range_t *range)
{
    MPI_Status done;
    int count = 0;
    errno = 0;
    MB_TRY(check(file,
                 MPI_File_write_at(file->ranges->file, (MPI_Offset)range->offset, range->data,
                                   (int)range->bytes, MPI_BYTE, &done),
                 "write"));
    int left = errno;
    MPI_Get_count(&done, MPI_BYTE, &count);
    if (count == (int)range->bytes)
        return MB_OK;
    errno = left != 0 ? left : ENOSPC;
    return mb_io_error("write by MPI-IO", file->path);
}

static mb_status_t write_alone(const mb_file_t *file)
{
    for (size_t i = 0; i < file->ranges->n; i++)
        MB_TRY(write_range(file, &file->ranges->list[i]));
    return MB_OK;
}

static bool wants_together(const mb_file_t *file)
{
    static const char *const keys[] = {"cb_", "collective_buffering", "romio_cb_write"};
    for (int i = 0; file->options != NULL && i < file->options->n_hints; i++) {
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            if (strncmp(file->options->hints[i].key, keys[k], strlen(keys[k])) == 0)
                return true;
        }
    }
    return false;
}

static mb_status_t write_all(const mb_file_t *file, bool together, mb_status_t status)
{
    if (together) {
        MB_TRY(mb_comm_agree(file->comm, status));
        return write_together(file);
    }
    return status == MB_OK ? write_alone(file) : status;
}

/* Every rank whose writes have left nobody waiting comes to MPI's sync. */
static mb_status_t sync_file(const mb_file_t *file, mb_status_t status)
{
    mb_error_message_t kept;
    bool together = wants_together(file);
    status = write_all(file, together, status);
    if (file->ranges->lost)
        return status;
    mb_error_keep(&kept);
    errno = 0;
    mb_status_t synced = check(file, MPI_File_sync(file->ranges->file), "write to disk");
    if (status == MB_OK)
        return synced == MB_OK && together ? compare_all(file) : synced;
    mb_error_restore(&kept);
    return status;
}

static mb_status_t close_file(mb_file_t *file)
{
    if (file->ranges == NULL)
        return MB_OK;
    errno = 0;
    mb_status_t status = MB_OK;
    if (!file->ranges->lost)
        status = check(file, MPI_File_close(&file->ranges->file), "write");
    forget(file);
    return status;
}

static void abandon_file(mb_file_t *file)
{
    if (file->ranges != NULL)
        forget(file);
}

const mb_file_class_t mb_file_mpi = {.size = sizeof mb_file_mpi,
                                     .collective = true,
                                     .open = open_file,
                                     .write = write_bytes,
                                     .sync = sync_file,
                                     .close = close_file,
                                     .abandon = abandon_file};
