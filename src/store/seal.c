/* Making, finding and checking seals; the layout is in seal.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "store/seal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/crc32c.h"
#include "store/io.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files are written and read as little-endian bytes"
#endif

static const unsigned char magic[16] = {0x89, 'm', 'b', 'r',  'u',  'n',  '-',  's',
                                        'e',  'a', 'l', '\r', '\n', 0x1a, '\n', 0};
enum {
    AT_VERSION = 16,
    AT_EXTENT_COUNT = 20,
    AT_OFFSET = 24,
    AT_BYTES = 32,
    AT_FILE_BYTES = 40,
    AT_STEP = 48,
    AT_BLOCK_BYTES = 56,
    AT_BLOCK_COUNT = 64,
    AT_REST = 72,
    AT_SELF = 76,
    HEAD_BYTES = 80
};
#define SEAL_VERSION 1u
#define READ_BYTES ((size_t)1 << 20)
/* A file of more tensors or bytes than this is not one of ours. */
#define MOST_EXTENTS (1u << 26)
#define MOST_BLOCKS ((int64_t)1 << 32)

static void put32(unsigned char *to, uint32_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void put64(unsigned char *to, int64_t value)
{
    memcpy(to, &value, sizeof(value));
}

static uint32_t get32(const unsigned char *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

static int64_t get64(const unsigned char *from)
{
    int64_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

int64_t mb_seal_blocks(int64_t data_bytes)
{
    return (data_bytes + MB_SEAL_BLOCK_BYTES - 1) / MB_SEAL_BLOCK_BYTES;
}

static int64_t seal_bytes(int64_t n_extents, int64_t n_blocks)
{
    return HEAD_BYTES + 16 * n_extents + 4 * n_blocks;
}

int64_t mb_seal_bytes(int n_extents, int64_t data_bytes)
{
    return seal_bytes(n_extents, mb_seal_blocks(data_bytes));
}

void mb_seal_free(mb_seal_t *seal)
{
    free(seal->extents);
    free(seal->blocks);
    *seal = (mb_seal_t){0};
}

mb_status_t mb_seal_encode(const mb_seal_t *seal, unsigned char **bytes)
{
    int64_t length = seal_bytes(seal->n_extents, seal->n_blocks);
    unsigned char *to = calloc(1, (size_t)length);
    if (to == NULL)
        return mb_error_memory("the seal", (size_t)length);
    memcpy(to, magic, sizeof(magic));
    put32(to + AT_VERSION, SEAL_VERSION);
    put32(to + AT_EXTENT_COUNT, (uint32_t)seal->n_extents);
    put64(to + AT_OFFSET, seal->offset);
    put64(to + AT_BYTES, length);
    put64(to + AT_FILE_BYTES, seal->file_bytes);
    put64(to + AT_STEP, seal->step);
    put64(to + AT_BLOCK_BYTES, MB_SEAL_BLOCK_BYTES);
    put64(to + AT_BLOCK_COUNT, seal->n_blocks);
    put32(to + AT_REST, seal->rest);
    unsigned char *next = to + HEAD_BYTES;
    for (int i = 0; i < seal->n_extents; i++, next += 16) {
        put64(next, seal->extents[i].offset);
        put64(next + 8, seal->extents[i].bytes);
    }
    for (int64_t i = 0; i < seal->n_blocks; i++, next += 4)
        put32(next, seal->blocks[i]);
    put32(to + AT_SELF, mb_crc32c(0, to, (size_t)length));
    *bytes = to;
    return MB_OK;
}

/* Whether FROM, found at OFFSET with ROOM bytes after it, is a whole and intact seal. */
static bool is_intact(const unsigned char *from, int64_t offset, int64_t room)
{
    if (room < HEAD_BYTES || get32(from + AT_VERSION) != SEAL_VERSION ||
        get64(from + AT_OFFSET) != offset || get64(from + AT_BLOCK_BYTES) != MB_SEAL_BLOCK_BYTES)
        return false;
    uint32_t n_extents = get32(from + AT_EXTENT_COUNT);
    int64_t n_blocks = get64(from + AT_BLOCK_COUNT), length = get64(from + AT_BYTES);
    if (n_extents > MOST_EXTENTS || n_blocks < 0 || n_blocks > MOST_BLOCKS ||
        length != seal_bytes(n_extents, n_blocks) || length > room)
        return false;
    static const unsigned char zero[4];
    uint32_t crc = mb_crc32c(0, from, AT_SELF);
    crc = mb_crc32c(crc, zero, sizeof(zero));
    crc = mb_crc32c(crc, from + HEAD_BYTES, (size_t)length - HEAD_BYTES);
    return crc == get32(from + AT_SELF);
}

static mb_status_t decode(const unsigned char *from, mb_seal_t *seal)
{
    *seal = (mb_seal_t){
        .offset = get64(from + AT_OFFSET),
        .file_bytes = get64(from + AT_FILE_BYTES),
        .step = get64(from + AT_STEP),
        .n_extents = (int)get32(from + AT_EXTENT_COUNT),
        .n_blocks = get64(from + AT_BLOCK_COUNT),
        .rest = get32(from + AT_REST),
    };
    seal->extents = calloc((size_t)seal->n_extents + 1, sizeof(*seal->extents));
    seal->blocks = calloc((size_t)seal->n_blocks + 1, sizeof(*seal->blocks));
    if (seal->extents == NULL || seal->blocks == NULL) {
        mb_seal_free(seal);
        return mb_error_memory("the seal", (size_t)get64(from + AT_BYTES));
    }
    const unsigned char *next = from + HEAD_BYTES;
    for (int i = 0; i < seal->n_extents; i++, next += 16)
        seal->extents[i] = (mb_extent_t){get64(next), get64(next + 8)};
    for (int64_t i = 0; i < seal->n_blocks; i++, next += 4)
        seal->blocks[i] = get32(next);
    return MB_OK;
}

/* Extents lie in the file one after the other, and their blocks are as many as they should be. */
static bool is_plausible(const mb_seal_t *seal)
{
    int64_t end = 0, data = 0;
    for (int i = 0; i < seal->n_extents; i++) {
        mb_extent_t extent = seal->extents[i];
        if (extent.offset < end || extent.bytes <= 0 || extent.offset > seal->file_bytes ||
            extent.bytes > seal->file_bytes - extent.offset)
            return false;
        end = extent.offset + extent.bytes;
        data += extent.bytes;
    }
    return seal->n_blocks == mb_seal_blocks(data);
}

/* The state is MB_SEAL_NONE without a magic at all, BROKEN when no seal with one is intact. */
static mb_status_t find(int fd, int64_t file_bytes, const char *path, mb_seal_state_t *state,
                        mb_seal_t *seal)
{
    *state = MB_SEAL_NONE;
    /* One that begins in the searched part may end after it; it is then read again by its length.
     */
    int64_t searched = file_bytes < MB_SEAL_SEARCH_BYTES ? file_bytes : MB_SEAL_SEARCH_BYTES;
    unsigned char *start = malloc((size_t)searched + 1);
    if (start == NULL)
        return mb_error_memory("looking for the seal", (size_t)searched);
    unsigned char *whole = NULL;
    mb_status_t status = mb_io_read(fd, start, (size_t)searched, 0, path);
    int64_t at = 0;
    while (status == MB_OK && *state != MB_SEAL_HOLDS) {
        unsigned char *hit = memmem(start + at, (size_t)(searched - at), magic, sizeof(magic));
        if (hit == NULL)
            break;
        *state = MB_SEAL_BROKEN;
        at = hit - start;
        int64_t room = file_bytes - at, length = room;
        if (searched - at >= HEAD_BYTES && get64(hit + AT_BYTES) >= HEAD_BYTES)
            length = get64(hit + AT_BYTES) < room ? get64(hit + AT_BYTES) : room;
        else
            length = 0;
        whole = length == 0 ? NULL : malloc((size_t)length);
        if (whole != NULL)
            status = mb_io_read(fd, whole, (size_t)length, at, path);
        if (status == MB_OK && whole != NULL && is_intact(whole, at, length)) {
            *state = MB_SEAL_HOLDS;
            status = decode(whole, seal);
        }
        free(whole);
        at++;
    }
    free(start);
    if (status == MB_OK && *state == MB_SEAL_HOLDS &&
        (seal->file_bytes != file_bytes || !is_plausible(seal))) {
        *state = MB_SEAL_BROKEN;
        mb_seal_free(seal);
    }
    return status;
}

/* Adds bytes [from, to) of the file to a CRC. */
static mb_status_t add_range(int fd, int64_t from, int64_t to, unsigned char *buffer,
                             const char *path, uint32_t *crc)
{
    while (from < to) {
        size_t part = to - from < (int64_t)READ_BYTES ? (size_t)(to - from) : READ_BYTES;
        MB_TRY(mb_io_read(fd, buffer, part, from, path));
        *crc = mb_crc32c(*crc, buffer, part);
        from += (int64_t)part;
    }
    return MB_OK;
}

/* The bytes between extents, without the seal's own. */
static mb_status_t add_gap(int fd, int64_t from, int64_t to, const mb_seal_t *seal,
                           unsigned char *buffer, const char *path, uint32_t *crc)
{
    int64_t begin = seal->offset, end = begin + seal_bytes(seal->n_extents, seal->n_blocks);
    if (begin < from || begin >= to)
        return add_range(fd, from, to, buffer, path, crc);
    MB_TRY(add_range(fd, from, begin, buffer, path, crc));
    return add_range(fd, end < to ? end : to, to, buffer, path, crc);
}

mb_status_t mb_seal_rest(int fd, const mb_seal_t *seal, const char *path, uint32_t *crc)
{
    unsigned char *buffer = malloc(READ_BYTES);
    if (buffer == NULL)
        return mb_error_memory("checksums", READ_BYTES);
    *crc = 0;
    int64_t at = 0;
    mb_status_t status = MB_OK;
    for (int i = 0; i <= seal->n_extents && status == MB_OK; i++) {
        int64_t to = i < seal->n_extents ? seal->extents[i].offset : seal->file_bytes;
        status = add_gap(fd, at, to, seal, buffer, path, crc);
        if (i < seal->n_extents)
            at = to + seal->extents[i].bytes;
    }
    free(buffer);
    return status;
}

/* Walks the extents block by block; stops at the first block that differs. */
static mb_status_t check_blocks(int fd, const mb_seal_t *seal, const char *path, bool *holds)
{
    unsigned char *buffer = malloc(READ_BYTES);
    if (buffer == NULL)
        return mb_error_memory("checksums", READ_BYTES);
    mb_status_t status = MB_OK;
    int64_t block = 0, in_block = 0;
    uint32_t crc = 0;
    *holds = true;
    for (int i = 0; i < seal->n_extents && *holds && status == MB_OK; i++) {
        int64_t at = seal->extents[i].offset, end = at + seal->extents[i].bytes;
        while (at < end && *holds && status == MB_OK) {
            int64_t left = MB_SEAL_BLOCK_BYTES - in_block;
            int64_t part = end - at < left ? end - at : left;
            status = add_range(fd, at, at + part, buffer, path, &crc);
            at += part;
            in_block += part;
            bool last = at == end && i == seal->n_extents - 1;
            if (in_block == MB_SEAL_BLOCK_BYTES || last) {
                *holds = crc == seal->blocks[block++];
                crc = 0;
                in_block = 0;
            }
        }
    }
    free(buffer);
    return status;
}

static mb_status_t check_all(int fd, const mb_seal_t *seal, const char *path, bool *holds)
{
    uint32_t rest = 0;
    MB_TRY(mb_seal_rest(fd, seal, path, &rest));
    *holds = rest == seal->rest;
    return *holds ? check_blocks(fd, seal, path, holds) : MB_OK;
}

mb_status_t mb_seal_check(int fd, int64_t file_bytes, const char *path, bool deep,
                          mb_seal_state_t *state, mb_seal_t *seal)
{
    mb_seal_t found = {0};
    MB_TRY(find(fd, file_bytes, path, state, &found));
    if (*state != MB_SEAL_HOLDS)
        return MB_OK;
    bool holds = true;
    mb_status_t status = deep ? check_all(fd, &found, path, &holds) : MB_OK;
    *state = holds ? MB_SEAL_HOLDS : MB_SEAL_BROKEN;
    if (status == MB_OK && holds && seal != NULL)
        *seal = found;
    else
        mb_seal_free(&found);
    return status;
}

mb_status_t mb_seal_check_file(const char *path, mb_seal_state_t *state, int64_t *step)
{
    int fd = -1;
    int64_t bytes = 0;
    mb_seal_t seal = {0};
    MB_TRY(mb_io_open_read(path, &fd, &bytes));
    mb_status_t status = mb_seal_check(fd, bytes, path, true, state, &seal);
    if (status == MB_OK && *state == MB_SEAL_HOLDS)
        *step = seal.step;
    mb_seal_free(&seal);
    close(fd);
    return status;
}
