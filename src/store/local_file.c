/* Parts of local sets: made, written, read and checked. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_NOFOLLOW */
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "store/io.h"
#include "store/local_set.h"

#define MAGIC0 INT64_C(0x6c2d6e7572626d89) /* "\x89mbrun-l" */
#define MAGIC1 INT64_C(0x0a3174722d6c6163) /* "cal-rt1\n": raised when the form changes */

enum { HEAD_NUMBERS = 11, PIECE_NUMBERS = 3 };
/* The numbers of a head. */
enum {
    AT_RUN = 2,
    AT_START,
    AT_STEP,
    AT_RANK,
    AT_RANKS,
    AT_PIECES,
    AT_LAYOUT,
    AT_VALUES,
    AT_BYTES
};

static char *path_of(const char *directory, const mb_local_key_t *key, bool copy)
{
    size_t bytes = strlen(directory) + 96;
    char *path = malloc(bytes);
    if (path != NULL)
        snprintf(path, bytes, "%s/step-%08" PRId64 "-%016" PRIx64 "-%05" PRId64 "of%05" PRId64 "%s",
                 directory, key->step, key->start, key->rank, key->ranks, copy ? ".copy" : ".own");
    return path;
}

static void add_stretch(mb_local_image_t *image, const void *data, size_t bytes)
{
    image->stretches[image->n++] = (mb_local_stretch_t){data, bytes};
    image->bytes += (int64_t)bytes;
}

static void fill_head(mb_local_image_t *image, const mb_local_key_t *key, int n_pieces,
                      size_t layout_bytes)
{
    int64_t *head = image->head;
    head[0] = MAGIC0;
    head[1] = MAGIC1;
    memcpy(&head[AT_RUN], &key->run, sizeof key->run);
    memcpy(&head[AT_START], &key->start, sizeof key->start);
    head[AT_STEP] = key->step;
    head[AT_RANK] = key->rank;
    head[AT_RANKS] = key->ranks;
    head[AT_PIECES] = n_pieces;
    head[AT_LAYOUT] = (int64_t)layout_bytes;
    head[AT_VALUES] = 0;
}

static void fill_table(mb_local_image_t *image, const mb_piece_t *pieces, int n_pieces)
{
    for (int i = 0; i < n_pieces; i++) {
        int64_t *row = &image->table[(size_t)i * PIECE_NUMBERS];
        row[0] = pieces[i].tensor;
        row[1] = pieces[i].first;
        row[2] = pieces[i].count;
        image->head[AT_VALUES] += pieces[i].count * (int64_t)sizeof(float);
    }
}

static void checksum(mb_local_image_t *image)
{
    uint32_t crc = 0;
    for (int i = 0; i < image->n; i++)
        crc = mb_crc32c(crc, image->stretches[i].data, image->stretches[i].bytes);
    image->crc = crc;
    add_stretch(image, &image->crc, sizeof image->crc);
}

mb_status_t mb_local_image_make(const mb_local_key_t *key, const mb_checkpoint_layout_t *layout,
                                const mb_piece_t *pieces, int n_pieces, mb_local_image_t *image)
{
    size_t layout_bytes = 0, rows = (size_t)n_pieces * PIECE_NUMBERS;
    *image = (mb_local_image_t){.n = 0};
    if (layout != NULL)
        MB_TRY(mb_local_layout_bytes(layout, &image->layout, &layout_bytes));
    image->table = calloc(rows + 1, sizeof *image->table);
    image->stretches = calloc((size_t)n_pieces + 4, sizeof *image->stretches);
    if (image->table == NULL || image->stretches == NULL)
        return mb_error_memory("a local checkpoint", rows * sizeof *image->table);
    fill_head(image, key, n_pieces, layout_bytes);
    fill_table(image, pieces, n_pieces);
    add_stretch(image, image->head, sizeof image->head);
    add_stretch(image, image->layout, layout_bytes);
    add_stretch(image, image->table, rows * sizeof *image->table);
    for (int i = 0; i < n_pieces; i++)
        add_stretch(image, pieces[i].values, (size_t)pieces[i].count * sizeof(float));
    image->head[AT_BYTES] = image->bytes + (int64_t)sizeof image->crc;
    checksum(image);
    return MB_OK;
}

void mb_local_image_free(mb_local_image_t *image)
{
    free(image->layout);
    free(image->table);
    free(image->stretches);
    *image = (mb_local_image_t){.n = 0};
}

void mb_local_image_copy(const mb_local_image_t *image, int64_t first, size_t count, void *to)
{
    char *at = to;
    for (int i = 0; i < image->n && count > 0; i++) {
        const mb_local_stretch_t *stretch = &image->stretches[i];
        if (first >= (int64_t)stretch->bytes) {
            first -= (int64_t)stretch->bytes;
            continue;
        }
        size_t left = stretch->bytes - (size_t)first, now = count < left ? count : left;
        memcpy(at, (const char *)stretch->data + first, now);
        at += now;
        count -= now;
        first = 0;
    }
}

mb_status_t mb_local_begin(const char *directory, const mb_local_key_t *key, bool copy,
                           mb_local_writer_t *writer)
{
    *writer = (mb_local_writer_t){.fd = -1, .path = path_of(directory, key, copy)};
    if (writer->path != NULL)
        writer->temporary = mb_io_temporary_name(writer->path);
    if (writer->temporary == NULL)
        return mb_error_memory("a path", strlen(directory));
    writer->fd =
        open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return writer->fd < 0 ? mb_io_error("create", writer->temporary) : MB_OK;
}

mb_status_t mb_local_add(mb_local_writer_t *writer, const void *data, size_t bytes)
{
    MB_TRY(mb_io_write(writer->fd, data, bytes, writer->bytes, writer->temporary));
    writer->bytes += (int64_t)bytes;
    return MB_OK;
}

mb_status_t mb_local_end(mb_local_writer_t *writer, mb_status_t status)
{
    bool created = writer->fd >= 0;
    if (created && close(writer->fd) != 0 && status == MB_OK)
        status = mb_io_error("write", writer->temporary);
    if (status == MB_OK && rename(writer->temporary, writer->path) != 0)
        status = mb_io_error("give its name to", writer->temporary);
    if (status != MB_OK && created)
        unlink(writer->temporary);
    free(writer->path);
    free(writer->temporary);
    *writer = (mb_local_writer_t){.fd = -1};
    return status;
}

mb_status_t mb_local_write(const char *directory, const mb_local_key_t *key,
                           const mb_local_image_t *image)
{
    mb_local_writer_t writer;
    mb_status_t status = mb_local_begin(directory, key, false, &writer);
    for (int i = 0; i < image->n && status == MB_OK; i++)
        status = mb_local_add(&writer, image->stretches[i].data, image->stretches[i].bytes);
    return mb_local_end(&writer, status);
}

static mb_status_t refuse(const char *path, const char *why)
{
    return mb_error_set(MB_ERR_FORMAT, "'%s' is no whole part of a local checkpoint: %s", path,
                        why);
}

/* A regular file of this user's, no link. */
static mb_status_t load(const char *path, unsigned char **bytes, size_t *length)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return mb_io_error("open", path);
    mb_status_t status = MB_OK;
    if (fstat(fd, &about) != 0)
        status = mb_io_error("look at", path);
    else if (!S_ISREG(about.st_mode) || about.st_uid != geteuid())
        status = refuse(path, "it is another user's, or no file");
    else if (about.st_size < (off_t)(HEAD_NUMBERS * sizeof(int64_t) + sizeof(uint32_t)))
        status = refuse(path, "it is cut off");
    *length = status == MB_OK ? (size_t)about.st_size : 0;
    *bytes = status == MB_OK ? malloc(*length) : NULL;
    if (status == MB_OK && *bytes == NULL)
        status = mb_error_memory("a part of a local checkpoint", *length);
    if (status == MB_OK)
        status = mb_io_read(fd, *bytes, *length, 0, path);
    close(fd);
    return status;
}

static bool is_of(const int64_t *head, const mb_local_key_t *key)
{
    return head[0] == MAGIC0 && head[1] == MAGIC1 &&
           memcmp(&head[AT_RUN], &key->run, sizeof key->run) == 0 &&
           memcmp(&head[AT_START], &key->start, sizeof key->start) == 0 &&
           head[AT_STEP] == key->step && head[AT_RANK] == key->rank && head[AT_RANKS] == key->ranks;
}

/* Whether the lengths that the head tells add up to the file's. */
static bool adds_up(const int64_t *head, size_t length)
{
    int64_t left = (int64_t)(length - HEAD_NUMBERS * sizeof(int64_t) - sizeof(uint32_t));
    const int64_t row = PIECE_NUMBERS * (int64_t)sizeof(int64_t);
    if (head[AT_BYTES] != (int64_t)length || head[AT_LAYOUT] < 0 || head[AT_LAYOUT] > left ||
        head[AT_LAYOUT] % (int64_t)sizeof(int64_t) != 0 ||
        head[AT_VALUES] % (int64_t)sizeof(float) != 0)
        return false;
    left -= head[AT_LAYOUT];
    if (head[AT_PIECES] < 0 || head[AT_PIECES] > INT32_MAX || head[AT_PIECES] > left / row)
        return false;
    return left - head[AT_PIECES] * row == head[AT_VALUES];
}

/* The layout is padded to whole numbers, so table and values lie where such may lie. */
static mb_status_t list_pieces(mb_local_part_t *part, const int64_t *head, const char *path)
{
    size_t rows = (size_t)head[AT_PIECES];
    const int64_t *row = (const void *)(part->layout + part->layout_bytes);
    const float *values = (const void *)(row + rows * PIECE_NUMBERS);
    int64_t left = head[AT_VALUES] / (int64_t)sizeof(float);
    part->pieces = calloc(rows + 1, sizeof *part->pieces);
    if (part->pieces == NULL)
        return mb_error_memory("a part of a local checkpoint", rows * sizeof *part->pieces);
    for (; part->n_pieces < (int)rows; row += PIECE_NUMBERS) {
        if (row[0] < 0 || row[0] > INT32_MAX || row[1] < 0 || row[2] < 0 || row[2] > left)
            return refuse(path, "its table does not fit its values");
        part->pieces[part->n_pieces++] =
            (mb_piece_t){.tensor = (int)row[0], .first = row[1], .count = row[2], .values = values};
        values += row[2];
        left -= row[2];
    }
    return left == 0 ? MB_OK : refuse(path, "its table does not fit its values");
}

static mb_status_t take_apart(mb_local_part_t *part, size_t length, const mb_local_key_t *key,
                              const char *path)
{
    int64_t head[HEAD_NUMBERS];
    uint32_t crc;
    memcpy(head, part->bytes, sizeof head);
    memcpy(&crc, part->bytes + length - sizeof crc, sizeof crc);
    if (!is_of(head, key))
        return refuse(path, "it is of another run, start, step or rank");
    if (!adds_up(head, length))
        return refuse(path, "it is cut off");
    if (mb_crc32c(0, part->bytes, length - sizeof crc) != crc)
        return refuse(path, "its checksum does not hold");
    part->layout = part->bytes + sizeof head;
    part->layout_bytes = (size_t)head[AT_LAYOUT];
    return list_pieces(part, head, path);
}

mb_status_t mb_local_read(const char *directory, const mb_local_key_t *key, bool copy,
                          mb_local_part_t *part)
{
    size_t length = 0;
    char *path = path_of(directory, key, copy);
    *part = (mb_local_part_t){.bytes = NULL};
    mb_status_t status = path == NULL ? mb_error_memory("a path", strlen(directory)) : MB_OK;
    if (status == MB_OK)
        status = load(path, &part->bytes, &length);
    if (status == MB_OK)
        status = take_apart(part, length, key, path);
    if (status != MB_OK)
        mb_local_part_free(part);
    free(path);
    return status;
}

void mb_local_part_free(mb_local_part_t *part)
{
    free(part->bytes);
    free(part->pieces);
    *part = (mb_local_part_t){.bytes = NULL};
}
