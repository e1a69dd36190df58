/* Bytes as an archive of NumPy's: its directory, and the members up to a length. */
#include "data/npz.h"

#include "fuzz/fuzz.h"

#include <unistd.h>

enum { PIECE = 4096, MOST_PIECES = 64, MOST_MEMBERS_READ = 16 };

void mb_fuzz_npz(const uint8_t *data, size_t size);

static void read_member(const mb_npz_t *archive, int member)
{
    char piece[PIECE];
    mb_npz_reader_t *reader = NULL;
    if (mb_npz_reader_open(archive, member, &reader) != MB_OK)
        return;
    int64_t left = archive->members[member].bytes;
    mb_status_t status = MB_OK;
    for (int i = 0; i < MOST_PIECES && left > 0 && status == MB_OK; i++) {
        size_t part = left < PIECE ? (size_t)left : PIECE;
        status = mb_npz_reader_read(reader, part, piece);
        left -= (int64_t)part;
    }
    if (status == MB_OK && left == 0)
        (void)mb_npz_reader_finish(reader);
    mb_npz_reader_close(reader);
}

void mb_fuzz_npz(const uint8_t *data, size_t size)
{
    char path[MB_FUZZ_PATH];
    mb_npz_t *archive = NULL;
    int file = mb_fuzz_file(data, size, path);
    if (mb_npz_open(path, &archive) == MB_OK) {
        for (int i = 0; i < archive->n_members && i < MOST_MEMBERS_READ; i++)
            read_member(archive, i);
        mb_npz_close(archive);
    }
    close(file);
}
