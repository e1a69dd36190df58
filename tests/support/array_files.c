#include "support/array_files.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { ALIGNMENT = 64, FIXED = 10, MOST = 16 };

unsigned char *test_npy_make(const char *head, const void *data, size_t bytes, size_t *size)
{
    size_t text = strlen(head) + 1;
    size_t header = (FIXED + text + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    unsigned char *made = malloc(header + bytes + 1);
    if (made == NULL)
        abort();
    memset(made, ' ', header);
    memcpy(made, "\x93NUMPY\x01", 7);
    made[7] = 0;
    made[8] = (unsigned char)((header - FIXED) & 255);
    made[9] = (unsigned char)((header - FIXED) >> 8);
    memcpy(made + FIXED, head, text - 1);
    made[header - 1] = '\n';
    memcpy(made + header, data, bytes);
    *size = header + bytes;
    return made;
}

static void write_all(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
        abort();
}

void test_npy_write(const char *path, const char *head, const void *data, size_t bytes)
{
    size_t size;
    unsigned char *made = test_npy_make(head, data, bytes, &size);
    write_all(path, made, size);
    free(made);
}

static void put(FILE *file, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        fputc((int)(value >> 8 * i & 255), file);
}

static unsigned char *deflate_all(const test_member_t *m, size_t *packed)
{
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)m->data, .avail_in = (uInt)m->bytes};
    size_t most = m->bytes + m->bytes / 100 + 1000;
    unsigned char *to = malloc(most);
    if (to == NULL || deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, 0) != Z_OK)
        abort();
    stream.next_out = to;
    stream.avail_out = (uInt)most;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
        abort();
    *packed = stream.total_out;
    deflateEnd(&stream);
    return to;
}

typedef struct {
    long offset;
    uint32_t crc;
    size_t packed;
} place_t;

static void write_member(FILE *file, const test_member_t *m, place_t *place)
{
    unsigned char *packed = m->deflated ? deflate_all(m, &place->packed) : NULL;
    place->packed = m->deflated ? place->packed : m->bytes;
    place->offset = ftell(file);
    place->crc = (uint32_t)crc32(0, m->data, (uInt)m->bytes);
    put(file, 0x04034b50, 4);
    put(file, 45, 2);
    put(file, 0, 2);
    put(file, m->deflated ? 8 : 0, 2);
    put(file, 0, 4);
    put(file, place->crc, 4);
    put(file, UINT32_MAX, 4);
    put(file, UINT32_MAX, 4);
    put(file, strlen(m->name), 2);
    put(file, 20, 2);
    fputs(m->name, file);
    put(file, 1, 2);
    put(file, 16, 2);
    put(file, m->bytes, 8);
    put(file, place->packed, 8);
    fwrite(m->deflated ? packed : m->data, 1, place->packed, file);
    free(packed);
}

static void write_entry(FILE *file, const test_member_t *m, const place_t *place, bool large)
{
    put(file, 0x02014b50, 4);
    put(file, 45, 2);
    put(file, 45, 2);
    put(file, 0, 2);
    put(file, m->deflated ? 8 : 0, 2);
    put(file, 0, 4);
    put(file, place->crc, 4);
    put(file, large ? UINT32_MAX : place->packed, 4);
    put(file, large ? UINT32_MAX : m->bytes, 4);
    put(file, strlen(m->name), 2);
    put(file, large ? 28 : 0, 2);
    put(file, 0, 4);
    put(file, 0, 6);
    put(file, large ? UINT32_MAX : (uint64_t)place->offset, 4);
    fputs(m->name, file);
    if (!large)
        return;
    put(file, 1, 2);
    put(file, 24, 2);
    put(file, m->bytes, 8);
    put(file, place->packed, 8);
    put(file, (uint64_t)place->offset, 8);
}

static void write_large_end(FILE *file, int n, long directory, long end)
{
    put(file, 0x06064b50, 4);
    put(file, 44, 8);
    put(file, 45, 2);
    put(file, 45, 2);
    put(file, 0, 8);
    put(file, (uint64_t)n, 8);
    put(file, (uint64_t)n, 8);
    put(file, (uint64_t)(end - directory), 8);
    put(file, (uint64_t)directory, 8);
    put(file, 0x07064b50, 4);
    put(file, 0, 4);
    put(file, (uint64_t)end, 8);
    put(file, 1, 4);
}

void test_npz_write(const char *path, const test_member_t *members, int n, bool large)
{
    place_t places[MOST];
    FILE *file = fopen(path, "wb");
    if (file == NULL || n > MOST)
        abort();
    for (int i = 0; i < n; i++)
        write_member(file, &members[i], &places[i]);
    long directory = ftell(file);
    for (int i = 0; i < n; i++)
        write_entry(file, &members[i], &places[i], large);
    long end = ftell(file);
    if (large)
        write_large_end(file, n, directory, end);
    put(file, 0x06054b50, 4);
    put(file, 0, 4);
    put(file, (uint64_t)n, 2);
    put(file, (uint64_t)n, 2);
    put(file, large ? UINT32_MAX : (uint64_t)(end - directory), 4);
    put(file, large ? UINT32_MAX : (uint64_t)directory, 4);
    put(file, 0, 2);
    if (fclose(file) != 0)
        abort();
}
