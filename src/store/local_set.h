/* Sets of files on the nodes themselves: a checkpoint of which every rank writes its own part, raw,
 * where writing is fast, and a copy of another rank's.
 *
 *     DIRECTORY/mbrun-<run>/step-00001234-<start>-00003of00008.own      .copy: another rank's
 *
 * Run and start are 16 hexadecimal digits: a start's parts are never joined with another's. A part
 * is
 *
 *     head      88 bytes, see local_file.c
 *     layout    of the checkpoint, texts and counters (local_codec.c); in rank 0's part alone
 *     table     a tensor's number, first element and count of each piece
 *     values    of the pieces, float32
 *     CRC-32C   of all of that
 *
 * Nothing is synced: a part is for when processes die, not for when power fails. What a crash of
 * the machine leaves of it has another CRC, and is not taken. */
#ifndef MB_STORE_LOCAL_SET_H
#define MB_STORE_LOCAL_SET_H

#include "store/checkpoint.h"

typedef struct {
    uint64_t run, start;
    int64_t step;
    int64_t rank, ranks; /* that wrote it, of how many */
} mb_local_key_t;

/* A part in memory, as stretches that lie where they lie. */
typedef struct {
    const void *data;
    size_t bytes;
} mb_local_stretch_t;

typedef struct {
    int64_t head[11];
    unsigned char *layout;
    int64_t *table;
    uint32_t crc;
    int n;
    mb_local_stretch_t *stretches;
    int64_t bytes; /* of all */
} mb_local_image_t;

/* PIECES, whose values must stay. LAYOUT: NULL but for rank 0. Free it also after an error. */
mb_status_t mb_local_image_make(const mb_local_key_t *key, const mb_checkpoint_layout_t *layout,
                                const mb_piece_t *pieces, int n_pieces, mb_local_image_t *image);
void mb_local_image_free(mb_local_image_t *image);
/* Bytes [first, first + count) of the part. */
void mb_local_image_copy(const mb_local_image_t *image, int64_t first, size_t count, void *to);

/* A part that is being written: it has its name when it is whole. */
typedef struct {
    int fd;
    char *path, *temporary;
    int64_t bytes; /* so far */
} mb_local_writer_t;
mb_status_t mb_local_begin(const char *directory, const mb_local_key_t *key, bool copy,
                           mb_local_writer_t *writer);
mb_status_t mb_local_add(mb_local_writer_t *writer, const void *data, size_t bytes);
/* STATUS: of what was done so far; after a failure nothing is left. Frees. */
mb_status_t mb_local_end(mb_local_writer_t *writer, mb_status_t status);
/* A whole part at once. */
mb_status_t mb_local_write(const char *directory, const mb_local_key_t *key,
                           const mb_local_image_t *image);

/* A part that was read. */
typedef struct {
    unsigned char *bytes;
    const unsigned char *layout;
    size_t layout_bytes;
    int n_pieces;
    mb_piece_t *pieces; /* into bytes */
} mb_local_part_t;
/* MB_ERR_FORMAT: it is not the part KEY says, or not whole. */
mb_status_t mb_local_read(const char *directory, const mb_local_key_t *key, bool copy,
                          mb_local_part_t *part);
void mb_local_part_free(mb_local_part_t *part);

/* A layout from the bytes of a part; what it points to is in ARENA. Encodings are left out. */
mb_status_t mb_local_layout_read(const unsigned char *bytes, size_t length, mb_arena_t *arena,
                                 mb_checkpoint_layout_t *layout);
/* Malloc'ed. */
mb_status_t mb_local_layout_bytes(const mb_checkpoint_layout_t *layout, unsigned char **bytes,
                                  size_t *length);

/* local_dir.c: the folder of RUN below DIRECTORY, which must be there; malloc'ed. It is this
 * user's alone. */
mb_status_t mb_local_folder(const char *directory, uint64_t run, char **folder);
typedef struct {
    mb_local_key_t key;
    bool copy;
} mb_local_found_t;
/* Parts of RUN by their names; *found malloc'ed. */
mb_status_t mb_local_list(const char *folder, uint64_t run, mb_local_found_t **found, int *count);
/* Removes all parts but those of START's steps FIRST to LAST. */
mb_status_t mb_local_prune(const char *folder, uint64_t start, int64_t first, int64_t last);
/* Removes what writes that did not end left. Nobody may be writing. */
mb_status_t mb_local_sweep(const char *folder);
/* Removes all, what writes left as well, and the folder. */
mb_status_t mb_local_remove(const char *folder);
/* Whether two folders take from the same space. */
mb_status_t mb_local_together(const char *a, const char *b, bool *together);
/* Bytes that this user may still write there. */
mb_status_t mb_local_space(const char *folder, int64_t *bytes);

#endif
