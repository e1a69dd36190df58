/* A zip archive as numpy.savez writes it (PKWARE's APPNOTE 6.3.9): its directory, and its members
 * front to back, stored or deflated. */
#ifndef MB_DATA_NPZ_H
#define MB_DATA_NPZ_H

#include "base/error.h"
#include "base/types.h"

typedef struct {
    char *name;
    bool deflated;
    uint32_t crc;
    int64_t packed_bytes, bytes;
    int64_t header; /* where its local header lies */
} mb_npz_member_t;

typedef struct {
    char *path;
    int file;
    int64_t size;
    int n_members;
    mb_npz_member_t *members;
} mb_npz_t;

bool mb_npz_looks_like(const unsigned char *head, size_t bytes);
/* Reads the directory. */
mb_status_t mb_npz_open(const char *path, mb_npz_t **out);
void mb_npz_close(mb_npz_t *archive);

/* Reads a member from front to back. */
typedef struct mb_npz_reader mb_npz_reader_t;
mb_status_t mb_npz_reader_open(const mb_npz_t *archive, int member, mb_npz_reader_t **out);
/* Where a stored member's bytes begin in the file. */
int64_t mb_npz_reader_start(const mb_npz_reader_t *reader);
mb_status_t mb_npz_reader_read(void *reader, size_t bytes, void *to);
/* After the last byte: nothing may follow, and the checksum must hold. */
mb_status_t mb_npz_reader_finish(mb_npz_reader_t *reader);
void mb_npz_reader_close(mb_npz_reader_t *reader);

#endif
