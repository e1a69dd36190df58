/* See h5_heap.h. */
#define _POSIX_C_SOURCE 200809L /* pread */
#include "store/h5_heap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/io.h"

enum { START = 8 }; /* signature, version and reserved bytes; an object's index, count, reserved */

static const char conversion_name[] = "mbrun: heap references";

/* What stands in the file is what is wanted. Only asked for strings of variable length. */
static herr_t keep_as_it_is(hid_t from, hid_t to, H5T_cdata_t *data, size_t count, size_t stride,
                            size_t background_stride, void *buffer, void *background, hid_t plist)
{
    (void)from, (void)to, (void)count, (void)stride, (void)background_stride;
    (void)buffer, (void)background, (void)plist;
    if (data->command == H5T_CONV_INIT)
        data->need_bkg = H5T_BKG_NO;
    return 0;
}

static size_t aligned(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static uint64_t number_at(const unsigned char *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static mb_status_t refuse(const mb_h5_heap_t *heap, const char *what)
{
    return mb_error_set(
        MB_ERR_FORMAT,
        "'%s': the text of %s cannot be found in the file, which is damaged: copy or "
        "save it again",
        heap->reader->path, what);
}

mb_status_t mb_h5_heap_open(const mb_h5_reader_t *reader, mb_h5_heap_t *heap)
{
    hsize_t user_block = 0;
    *heap = (mb_h5_heap_t){.reader = reader, .file = -1};
    hid_t plist = H5Fget_create_plist(reader->file);
    bool good = plist >= 0 && H5Pget_userblock(plist, &user_block) >= 0 &&
                H5Pget_sizes(plist, &heap->address_bytes, &heap->size_bytes) >= 0;
    if (plist >= 0)
        H5Pclose(plist);
    if (!good || heap->address_bytes > 8 || heap->size_bytes > 8)
        return mb_h5_error(MB_ERR_FORMAT, reader->path, "read", "its sizes");
    heap->base = (int64_t)user_block;
    heap->start = reader->part == NULL ? 0 : reader->part->base;
    heap->file = reader->part == NULL ? open(reader->path, O_RDONLY | O_CLOEXEC)
                                      : fcntl(reader->part->fd, F_DUPFD_CLOEXEC, 0);
    if (heap->file < 0)
        return mb_error_set(MB_ERR_IO, "'%s': %s", reader->path, strerror(errno));
    return MB_OK;
}

void mb_h5_heap_close(mb_h5_heap_t *heap)
{
    if (heap->file >= 0)
        close(heap->file);
    free(heap->collection);
    *heap = (mb_h5_heap_t){.file = -1};
}

size_t mb_h5_heap_reference_bytes(const mb_h5_heap_t *heap)
{
    return 4 + heap->address_bytes + 4;
}

bool mb_h5_heap_references(const mb_h5_heap_t *heap, hid_t attribute, hid_t type,
                           unsigned char *references)
{
    hid_t raw = H5Tcreate(H5T_OPAQUE, mb_h5_heap_reference_bytes(heap));
    bool good =
        raw >= 0 && H5Tregister(H5T_PERS_SOFT, conversion_name, type, raw, keep_as_it_is) >= 0;
    if (good) {
        good = H5Aread(attribute, raw, references) >= 0;
        H5Tunregister(H5T_PERS_SOFT, conversion_name, -1, -1, keep_as_it_is);
    }
    if (raw >= 0)
        H5Tclose(raw);
    return good;
}

/* COUNT bytes at an address into TO; *there is false when the file has no such bytes. */
static mb_status_t read_at(const mb_h5_heap_t *heap, uint64_t address, void *to, size_t count,
                           bool *there)
{
    uint64_t limit = (uint64_t)heap->reader->bytes - (uint64_t)heap->base;
    *there = heap->base <= heap->reader->bytes && address <= limit && count <= limit - address;
    return *there ? mb_io_read(heap->file, to, count, heap->start + heap->base + (int64_t)address,
                               heap->reader->path)
                  : MB_OK;
}

/* The collection at an address; *there is false when there is none. */
static mb_status_t load(mb_h5_heap_t *heap, uint64_t address, bool *there)
{
    unsigned char head[START + 8];
    size_t head_bytes = START + heap->size_bytes;
    *there = heap->collection != NULL && heap->address == address;
    if (*there)
        return MB_OK;
    free(heap->collection);
    heap->collection = NULL;
    MB_TRY(read_at(heap, address, head, head_bytes, there));
    *there = *there && memcmp(head, "GCOL\1", 5) == 0;
    uint64_t bytes = *there ? number_at(head + START, heap->size_bytes) : 0;
    *there = bytes >= head_bytes && bytes <= (uint64_t)heap->reader->bytes;
    if (!*there)
        return MB_OK;
    heap->collection = malloc((size_t)bytes);
    heap->bytes = (size_t)bytes;
    heap->address = address;
    if (heap->collection == NULL)
        return mb_error_memory("texts", (size_t)bytes);
    return read_at(heap, address, heap->collection, heap->bytes, there);
}

/* The object's bytes; NULL where the collection has none of this index and at least this length. */
static const unsigned char *find(const mb_h5_heap_t *heap, uint64_t index, uint64_t length)
{
    size_t head = aligned(START + heap->size_bytes), at = head;
    while (heap->bytes >= head && at <= heap->bytes - head) {
        const unsigned char *object = heap->collection + at;
        uint64_t found = number_at(object, 2), size = number_at(object + START, heap->size_bytes);
        size_t left = heap->bytes - at - head;
        if (found == 0 || size > left)
            return NULL;
        if (found == index)
            return length <= size ? object + head : NULL;
        at += head + aligned((size_t)size);
    }
    return NULL;
}

mb_status_t mb_h5_heap_text(mb_h5_heap_t *heap, const unsigned char *reference, const char *what,
                            const char **text)
{
    uint64_t length = number_at(reference, 4);
    uint64_t address = number_at(reference + 4, heap->address_bytes);
    uint64_t index = number_at(reference + 4 + heap->address_bytes, 4);
    const unsigned char *bytes = (const unsigned char *)"";
    if (address == 0 || length == 0) {
        length = 0; /* an empty text, or none */
    } else {
        bool there = false;
        MB_TRY(load(heap, address, &there));
        bytes = there ? find(heap, index, length) : NULL;
        heap->given += length;
        if (bytes == NULL || heap->given > (uint64_t)heap->reader->bytes)
            return refuse(heap, what);
    }
    char *copy = mb_arena_alloc(heap->reader->arena, (size_t)length + 1);
    if (copy == NULL)
        return mb_error_memory("a string", (size_t)length);
    memcpy(copy, bytes, (size_t)length);
    copy[length] = '\0';
    *text = copy;
    return MB_OK;
}
