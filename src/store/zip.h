/* Zip archives as far as a .keras file needs them: members that are stored or deflated, found by
 * the directory at the archive's end (PKWARE's APPNOTE.TXT 6.3, sections 4.3 and 4.4).
 *
 *     member member ... | directory: name, sizes, checksum, place of each | end: place of directory
 *
 * Nothing that the directory says is believed before it was compared with the archive's own length:
 * a member lies inside the archive, no byte belongs to two members, and none grows by more than
 * deflate can make it. Names that lead out of a folder are refused though nothing is unpacked into
 * one. Sizes of 64 bits (Zip64), which Keras writes for weights over 2 GiB, are read. */
#ifndef MB_STORE_ZIP_H
#define MB_STORE_ZIP_H

#include "base/arena.h"
#include "base/error.h"
#include "base/types.h"

typedef struct {
    const char *name;
    int64_t bytes;        /* of its content */
    int64_t packed_bytes; /* in the archive */
    int64_t offset;       /* of them in the archive */
    uint32_t crc;         /* CRC-32 of the content */
    bool deflated;
} mb_zip_member_t;

typedef struct {
    const char *path;
    int fd;
    int64_t bytes; /* of the archive */
    int n_members;
    mb_zip_member_t *members;
} mb_zip_t;

/* Whether a file that begins so is an archive. */
bool mb_zip_begins(const unsigned char *start, size_t bytes);
/* Reads the directory. FD stays the caller's and must stay open; PATH must live as long. */
mb_status_t mb_zip_open(int fd, int64_t bytes, const char *path, mb_arena_t *arena, mb_zip_t *out);
const mb_zip_member_t *mb_zip_find(const mb_zip_t *zip, const char *name); /* NULL: none */

/* Takes the content of a member, piece by piece. */
typedef mb_status_t (*mb_zip_sink_t)(void *user, const void *data, size_t bytes);
/* Unpacks a member and checks its checksum. SINK may be NULL: only checked. */
mb_status_t mb_zip_unpack(const mb_zip_t *zip, const mb_zip_member_t *member, mb_zip_sink_t sink,
                          void *user);
/* The content of a member of at most LIMIT bytes as a text in ARENA. */
mb_status_t mb_zip_read_text(const mb_zip_t *zip, const mb_zip_member_t *member, int64_t limit,
                             mb_arena_t *arena, char **text);

#endif
