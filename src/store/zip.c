/* Reading the directory of an archive; see zip.h. zip_unpack.c reads the members. */
#include "store/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "store/io.h"

enum {
    LOCAL_BYTES = 30,     /* before the name of a member's own header */
    DIRECTORY_BYTES = 46, /* before the name of an entry of the directory */
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR64_BYTES = 20,
    LONGEST_COMMENT = 65535,
    MOST_MEMBERS = 65536,
    MOST_GROWTH = 1032 /* of deflate: 258 bytes from 2 bits */
};
#define LONGEST_DIRECTORY ((int64_t)64 << 20)

static const unsigned char local_mark[4] = {'P', 'K', 3, 4};
static const unsigned char directory_mark[4] = {'P', 'K', 1, 2};
static const unsigned char end_mark[4] = {'P', 'K', 5, 6};
static const unsigned char end64_mark[4] = {'P', 'K', 6, 6};
static const unsigned char locator64_mark[4] = {'P', 'K', 6, 7};

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

static bool has_mark(const unsigned char *at, const unsigned char mark[4])
{
    return memcmp(at, mark, 4) == 0;
}

bool mb_zip_begins(const unsigned char *start, size_t bytes)
{
    return bytes >= 4 && (has_mark(start, local_mark) || has_mark(start, end_mark));
}

static mb_status_t damaged(const mb_zip_t *zip, const char *what)
{
    return mb_error_set(MB_ERR_FORMAT,
                        "'%s' is a zip archive that is damaged or cut off: %s; copy or save it "
                        "again",
                        zip->path, what);
}

static mb_status_t refuse(const mb_zip_t *zip, const char *name, const char *what)
{
    return mb_error_set(MB_ERR_UNSUPPORTED, "'%s': its member '%s' %s", zip->path, name, what);
}

/* Where the directory lies, and the entries that it has. */
typedef struct {
    int64_t offset, bytes, entries;
} place_t;

static mb_status_t take_place(const mb_zip_t *zip, uint64_t offset, uint64_t bytes,
                              uint64_t entries, int64_t end, place_t *out)
{
    if (entries > MOST_MEMBERS || bytes > (uint64_t)LONGEST_DIRECTORY)
        return mb_error_set(MB_ERR_UNSUPPORTED, "'%s' is a zip archive of more than %d members",
                            zip->path, MOST_MEMBERS);
    if (bytes > (uint64_t)end || offset > (uint64_t)end - bytes)
        return damaged(zip, "its directory lies outside of it");
    *out = (place_t){(int64_t)offset, (int64_t)bytes, (int64_t)entries};
    return MB_OK;
}

/* The Zip64 end, which the locator in front of the plain end at END points to. */
static mb_status_t find_place64(const mb_zip_t *zip, int64_t end, place_t *out)
{
    unsigned char locator[LOCATOR64_BYTES], end64[END64_BYTES];
    if (end < LOCATOR64_BYTES + END64_BYTES)
        return damaged(zip, "its end names a Zip64 end that is not there");
    int64_t at = end - LOCATOR64_BYTES;
    MB_TRY(mb_io_read(zip->fd, locator, sizeof locator, at, zip->path));
    uint64_t place = number(locator + 8, 8);
    if (!has_mark(locator, locator64_mark) || place > (uint64_t)(at - END64_BYTES))
        return damaged(zip, "its end names a Zip64 end that is not there");
    MB_TRY(mb_io_read(zip->fd, end64, sizeof end64, (int64_t)place, zip->path));
    if (!has_mark(end64, end64_mark))
        return damaged(zip, "its end names a Zip64 end that is not there");
    if (number(end64 + 16, 4) != 0 || number(end64 + 20, 4) != 0 || number(locator + 4, 4) != 0)
        return mb_error_set(MB_ERR_UNSUPPORTED, "'%s' is one part of a split zip archive",
                            zip->path);
    return take_place(zip, number(end64 + 48, 8), number(end64 + 40, 8), number(end64 + 32, 8),
                      (int64_t)place, out);
}

/* ENDING: the last bytes of the archive. The end is the last mark whose comment reaches exactly to
 * the archive's end; -1: there is none. */
static int64_t find_end(const unsigned char *ending, int64_t bytes)
{
    for (int64_t at = bytes - END_BYTES; at >= 0; at--) {
        if (has_mark(ending + at, end_mark) &&
            (int64_t)number(ending + at + 20, 2) == bytes - at - END_BYTES)
            return at;
    }
    return -1;
}

static mb_status_t read_end(const mb_zip_t *zip, const unsigned char *end, int64_t at, place_t *out)
{
    uint64_t entries = number(end + 10, 2), bytes = number(end + 12, 4),
             offset = number(end + 16, 4);
    if (entries == 0xffff || bytes == 0xffffffff || offset == 0xffffffff)
        return find_place64(zip, at, out);
    if (number(end + 4, 2) != 0 || number(end + 6, 2) != 0 || number(end + 8, 2) != entries)
        return mb_error_set(MB_ERR_UNSUPPORTED, "'%s' is one part of a split zip archive",
                            zip->path);
    return take_place(zip, offset, bytes, entries, at, out);
}

static mb_status_t find_directory(const mb_zip_t *zip, place_t *out)
{
    int64_t most = END_BYTES + LONGEST_COMMENT;
    int64_t bytes = zip->bytes < most ? zip->bytes : most;
    unsigned char *ending = malloc((size_t)bytes + 1);
    if (ending == NULL)
        return mb_error_memory("the end of an archive", (size_t)bytes);
    mb_status_t status = mb_io_read(zip->fd, ending, (size_t)bytes, zip->bytes - bytes, zip->path);
    int64_t at = status == MB_OK ? find_end(ending, bytes) : -1;
    if (status == MB_OK && at < 0)
        status = damaged(zip, "it has no directory at its end");
    if (status == MB_OK)
        status = read_end(zip, ending + at, zip->bytes - bytes + at, out);
    free(ending);
    return status;
}

/* Names are only looked up, but one that would leave the folder it is unpacked into is no member of
 * an honest archive. */
static bool is_plain_name(const char *name, size_t length)
{
    if (length == 0 || memchr(name, '\0', length) != NULL || memchr(name, '\\', length) != NULL ||
        name[0] == '/' || (length > 1 && name[1] == ':'))
        return false;
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strcmp(part, "..") == 0 || strncmp(part, "../", 3) == 0)
            return false;
    }
    return true;
}

static mb_status_t take_name(const mb_zip_t *zip, const char *bytes, size_t length,
                             mb_arena_t *arena, const char **name)
{
    char *copy = mb_arena_alloc(arena, length + 1);
    if (copy == NULL)
        return mb_error_memory("an archive's directory", length);
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    if (!is_plain_name(copy, length))
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s': a member is called '%s', which leads out of the archive's "
                            "folder; an archive of Keras' has no such name",
                            zip->path, copy);
    *name = copy;
    return MB_OK;
}

/* Numbers that do not fit into 32 bits stand in the extra field 1, those that do are left out. */
static mb_status_t take_numbers64(const mb_zip_t *zip, const unsigned char *extra, size_t length,
                                  mb_zip_member_t *member, uint64_t wide[3])
{
    for (size_t at = 0; at + 4 <= length;) {
        size_t size = (size_t)number(extra + at + 2, 2);
        if (size > length - at - 4)
            break;
        const unsigned char *next = extra + at + 4, *stop = next + size;
        for (int i = 0; i < 3 && number(extra + at, 2) == 1; i++) {
            if (wide[i] != 0xffffffff)
                continue;
            if (stop - next < 8)
                return damaged(zip, "a size of 64 bits is missing");
            wide[i] = number(next, 8);
            next += 8;
        }
        at += 4 + size;
    }
    if (wide[0] > INT64_MAX || wide[1] > INT64_MAX || wide[2] > INT64_MAX)
        return damaged(zip, "a size is absurd");
    member->bytes = (int64_t)wide[0];
    member->packed_bytes = (int64_t)wide[1];
    member->offset = (int64_t)wide[2];
    return MB_OK;
}

static mb_status_t check_way(const mb_zip_t *zip, unsigned flags, unsigned method,
                             mb_zip_member_t *member)
{
    member->deflated = method == 8;
    if ((flags & (1u | 1u << 6 | 1u << 13)) != 0)
        return refuse(zip, member->name, "is encrypted; save the model without a password");
    if (method != 0 && method != 8)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s': its member '%s' is compressed by method %u; there are stored "
                            "and deflated ones: save the model again with Keras",
                            zip->path, member->name, method);
    return MB_OK;
}

/* LIMIT: where the directory begins. */
static mb_status_t check_sizes(const mb_zip_t *zip, int64_t limit, const mb_zip_member_t *member)
{
    if (member->packed_bytes > limit || member->offset > limit - member->packed_bytes)
        return damaged(zip, "a member lies outside of it");
    if (!member->deflated && member->bytes != member->packed_bytes)
        return damaged(zip, "a stored member has two sizes");
    if (member->deflated && member->bytes / MOST_GROWTH > member->packed_bytes)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "'%s': its member '%s' claims to be %" PRId64 " bytes made of %" PRId64
                            ", more than deflate can: a decompression bomb, or damage",
                            zip->path, member->name, member->bytes, member->packed_bytes);
    return MB_OK;
}

/* The member's own header says where its bytes begin, and must know the name too. */
static mb_status_t find_content(const mb_zip_t *zip, int64_t limit, mb_zip_member_t *member)
{
    unsigned char header[LOCAL_BYTES];
    if (member->offset > limit - LOCAL_BYTES)
        return damaged(zip, "a member lies outside of it");
    MB_TRY(mb_io_read(zip->fd, header, sizeof header, member->offset, zip->path));
    size_t length = (size_t)number(header + 26, 2);
    int64_t at = member->offset + LOCAL_BYTES;
    if (!has_mark(header, local_mark) || length != strlen(member->name) ||
        at > limit - (int64_t)length)
        return damaged(zip, "a member is not where its directory says");
    char *name = malloc(length + 1);
    if (name == NULL)
        return mb_error_memory("a member's name", length);
    mb_status_t status = mb_io_read(zip->fd, name, length, at, zip->path);
    bool same = status == MB_OK && memcmp(name, member->name, length) == 0;
    free(name);
    MB_TRY(status);
    if (!same)
        return damaged(zip, "a member is not where its directory says");
    member->offset = at + (int64_t)length + (int64_t)number(header + 28, 2);
    return check_sizes(zip, limit, member);
}

/* One entry of the directory; *USED: its bytes. */
static mb_status_t read_entry(const mb_zip_t *zip, const unsigned char *entry, int64_t left,
                              int64_t limit, mb_arena_t *arena, mb_zip_member_t *member,
                              int64_t *used)
{
    if (left < DIRECTORY_BYTES || !has_mark(entry, directory_mark))
        return damaged(zip, "its directory does not hold together");
    size_t name = (size_t)number(entry + 28, 2), extra = (size_t)number(entry + 30, 2);
    *used = DIRECTORY_BYTES + (int64_t)(name + extra) + (int64_t)number(entry + 32, 2);
    if (*used > left)
        return damaged(zip, "its directory does not hold together");
    MB_TRY(take_name(zip, (const char *)entry + DIRECTORY_BYTES, name, arena, &member->name));
    MB_TRY(check_way(zip, (unsigned)number(entry + 8, 2), (unsigned)number(entry + 10, 2), member));
    member->crc = (uint32_t)number(entry + 16, 4);
    uint64_t wide[3] = {number(entry + 24, 4), number(entry + 20, 4), number(entry + 42, 4)};
    MB_TRY(take_numbers64(zip, entry + DIRECTORY_BYTES + name, extra, member, wide));
    return find_content(zip, limit, member);
}

static int compare_places(const void *a, const void *b)
{
    const mb_zip_member_t *const *x = a, *const *y = b;
    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

static int compare_names(const void *a, const void *b)
{
    const mb_zip_member_t *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Bytes that two members share would be counted twice, and a name that stands twice means one
 * thing to one reader and another to the next. */
static mb_status_t check_apart(const mb_zip_t *zip, const mb_zip_member_t **sorted)
{
    size_t count = (size_t)zip->n_members;
    qsort(sorted, count, sizeof *sorted, compare_places);
    for (size_t i = 1; i < count; i++) {
        if (sorted[i]->offset < sorted[i - 1]->offset + sorted[i - 1]->packed_bytes)
            return refuse(zip, sorted[i]->name,
                          "shares bytes with another: a decompression bomb, or damage");
    }
    qsort(sorted, count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
            return refuse(zip, sorted[i]->name, "is there twice; save the model again");
    }
    return MB_OK;
}

static mb_status_t read_directory(mb_zip_t *zip, const place_t *place, const unsigned char *bytes,
                                  mb_arena_t *arena)
{
    int64_t at = 0, used = 0;
    for (int64_t i = 0; i < place->entries; i++, at += used) {
        MB_TRY(read_entry(zip, bytes + at, place->bytes - at, place->offset, arena,
                          &zip->members[zip->n_members], &used));
        zip->n_members++;
    }
    if (at != place->bytes)
        return damaged(zip, "its directory does not hold together");
    const mb_zip_member_t **sorted =
        MB_ARENA_ARRAY(arena, const mb_zip_member_t *, zip->n_members + 1);
    if (sorted == NULL)
        return mb_error_memory("an archive's directory", 0);
    for (int i = 0; i < zip->n_members; i++)
        sorted[i] = &zip->members[i];
    return check_apart(zip, sorted);
}

mb_status_t mb_zip_open(int fd, int64_t bytes, const char *path, mb_arena_t *arena, mb_zip_t *out)
{
    place_t place;
    *out = (mb_zip_t){.path = path, .fd = fd, .bytes = bytes};
    MB_TRY(find_directory(out, &place));
    if (place.entries > place.bytes / DIRECTORY_BYTES)
        return damaged(out, "its directory does not hold together");
    out->members = MB_ARENA_ARRAY(arena, mb_zip_member_t, place.entries + 1);
    unsigned char *directory = malloc((size_t)place.bytes + 1);
    mb_status_t status = out->members == NULL || directory == NULL
                             ? mb_error_memory("an archive's directory", (size_t)place.bytes)
                             : mb_io_read(fd, directory, (size_t)place.bytes, place.offset, path);
    if (status == MB_OK)
        status = read_directory(out, &place, directory, arena);
    free(directory);
    return status;
}

const mb_zip_member_t *mb_zip_find(const mb_zip_t *zip, const char *name)
{
    for (int i = 0; i < zip->n_members; i++) {
        if (strcmp(zip->members[i].name, name) == 0)
            return &zip->members[i];
    }
    return NULL;
}
