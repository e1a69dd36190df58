/* See shared.h. A rank opens another's file through /proc, and knows it by a number that stands in
 * front of the memory: where ranks do not see each other's processes (containers), the same path
 * may lead elsewhere, or nowhere, and nothing is shared. */
#define _GNU_SOURCE /* memfd_create */
#include "comm/shared.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm/state.h"

enum { FRONT = 4096 }; /* bytes before the memory: the number, and a page of its own for it */

typedef struct { /* what a rank tells the others of its memory */
    int color, number, file;
    long process;
    uint64_t key;
    size_t bytes;
    char host[64];
} card_t;

struct mb_shared {
    size_t bytes; /* with the front */
    int file;
    uint64_t key;
    char *own;
    int n;
    char **maps; /* [n] by number; NULL: none */
};

static char *map(int file, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

static int open_file(size_t bytes)
{
#ifdef MFD_CLOEXEC
    int file = memfd_create("mbrun", MFD_CLOEXEC);
    if (file >= 0 && ftruncate(file, (off_t)bytes) == 0)
        return file;
    if (file >= 0)
        close(file);
#else
    (void)bytes;
#endif
    return -1;
}

/* Nobody else has it: process and time, and a place in memory that differs between processes. */
static uint64_t make_key(const mb_shared_t *shared)
{
    double now = mb_time_seconds();
    uint64_t key;
    memcpy(&key, &now, sizeof key);
    return key ^ (uint64_t)getpid() << 40 ^ (uint64_t)(uintptr_t)shared;
}

mb_status_t mb_shared_create(size_t bytes, mb_shared_t **out)
{
    *out = NULL;
    mb_shared_t *shared = calloc(1, sizeof *shared);
    if (shared == NULL)
        return mb_error_memory("shared memory", sizeof *shared);
    shared->bytes = FRONT + bytes;
    shared->file = open_file(shared->bytes);
    shared->own = shared->file < 0 ? NULL : map(shared->file, shared->bytes);
    if (shared->own == NULL) {
        mb_shared_destroy(shared);
        return MB_OK;
    }
    shared->key = make_key(shared);
    memcpy(shared->own, &shared->key, sizeof shared->key);
    *out = shared;
    return MB_OK;
}

void *mb_shared_memory(const mb_shared_t *shared)
{
    return shared->own + FRONT;
}

void *mb_shared_of(const mb_shared_t *shared, int number)
{
    return shared->maps[number] + FRONT;
}

static card_t card_of(const mb_comm_t *comm, const mb_shared_t *shared, int color, int number)
{
    card_t card = {.color = shared == NULL ? -1 : color, .number = number};
    if (shared == NULL)
        return card;
    card.file = shared->file;
    card.process = (long)getpid();
    card.key = shared->key;
    card.bytes = shared->bytes;
    snprintf(card.host, sizeof card.host, "%s", mb_comm_host(comm));
    return card;
}

static bool is_it(const char *memory, const card_t *card)
{
    return memcmp(memory, &card->key, sizeof card->key) == 0;
}

static char *map_other(const card_t *card)
{
    char path[64];
    struct stat about;
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", card->process, card->file);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return NULL;
    bool fits = fstat(file, &about) == 0 && about.st_size == (off_t)card->bytes;
    char *memory = fits ? map(file, card->bytes) : NULL;
    close(file);
    if (memory == NULL || is_it(memory, card))
        return memory;
    munmap(memory, card->bytes);
    return NULL;
}

/* Whether all MEMBERS of the color are there and could be mapped. */
static bool map_members(mb_shared_t *shared, const card_t *cards, int ranks, const card_t *own,
                        int members)
{
    int found = 0;
    shared->maps = calloc((size_t)members, sizeof *shared->maps);
    if (shared->maps == NULL)
        return false;
    shared->n = members;
    for (int r = 0; r < ranks; r++) {
        const card_t *card = &cards[r];
        if (card->color != own->color || card->number < 0 || card->number >= members)
            continue;
        bool alike = card->bytes == own->bytes && strcmp(card->host, own->host) == 0;
        char **at = &shared->maps[card->number];
        *at = !alike ? NULL : card->number == own->number ? shared->own : map_other(card);
        found += *at != NULL;
    }
    return found == members;
}

static bool all_joined(const card_t *cards, const char *joined, int ranks, int color)
{
    bool all = true;
    for (int r = 0; r < ranks; r++)
        all = all && (cards[r].color != color || joined[r] != 0);
    return all;
}

mb_status_t mb_shared_join(mb_comm_t *comm, mb_shared_t *shared, int color, int number, int members,
                           bool *joined)
{
    int ranks = mb_comm_size(comm);
    char own_joined = 0;
    *joined = false;
    if (comm->wire != &mb_wire_mpi) /* ranks of one process move nothing anyway */
        return MB_OK;
    card_t own = card_of(comm, shared, color, number), *cards = calloc((size_t)ranks, sizeof own);
    char *others = calloc((size_t)ranks, 1);
    mb_status_t status =
        cards == NULL || others == NULL ? mb_error_memory("shared memory", sizeof own) : MB_OK;
    MB_TRY_GOTO(mb_comm_agree(comm, status), status, out);
    MB_TRY_GOTO(mb_comm_allgather(comm, &own, sizeof own, cards), status, out);
    if (own.color >= 0)
        own_joined = map_members(shared, cards, ranks, &own, members);
    MB_TRY_GOTO(mb_comm_allgather(comm, &own_joined, 1, others), status, out);
    *joined = own.color >= 0 && all_joined(cards, others, ranks, own.color);

out:
    free(cards);
    free(others);
    return status;
}

void mb_shared_destroy(mb_shared_t *shared)
{
    if (shared == NULL)
        return;
    for (int i = 0; i < shared->n; i++) {
        if (shared->maps[i] != NULL && shared->maps[i] != shared->own)
            munmap(shared->maps[i], shared->bytes);
    }
    if (shared->own != NULL)
        munmap(shared->own, shared->bytes);
    if (shared->file >= 0)
        close(shared->file);
    free(shared->maps);
    free(shared);
}
