/* The CAPACITYth smallest of all ranks' keys, digit by digit from the front: ranks count the keys
 * that begin as the wanted one does by their next digit, until all that begin so stay. What they
 * exchange is 16 counts a round, and of n keys about log16(n) rounds. */
#include "data/sieve_private.h"

#include <stdlib.h>
#include <string.h>

enum { DIGIT_BITS = 4, DIGITS = 1 << DIGIT_BITS, KEY_BITS = 128 };

/* The wanted key's first BITS bits are those of KEY, whose others are zero. */
typedef struct {
    mb_sieve_key_t key;
    int bits;
} start_t;

static mb_sieve_key_t shift_right(mb_sieve_key_t key, int bits)
{
    if (bits >= 64)
        return (mb_sieve_key_t){0, bits == KEY_BITS ? 0 : key.high >> (bits - 64)};
    if (bits == 0)
        return key;
    return (mb_sieve_key_t){key.high >> bits, key.low >> bits | key.high << (64 - bits)};
}

static bool begins_with(mb_sieve_key_t key, const start_t *start)
{
    mb_sieve_key_t a = shift_right(key, KEY_BITS - start->bits);
    mb_sieve_key_t b = shift_right(start->key, KEY_BITS - start->bits);
    return a.high == b.high && a.low == b.low;
}

static void count_digits(const mb_sieve_key_t *keys, int64_t n, const start_t *start,
                         int64_t counts[DIGITS])
{
    int behind = KEY_BITS - start->bits - DIGIT_BITS;
    for (int64_t i = 0; i < n; i++) {
        if (begins_with(keys[i], start))
            counts[shift_right(keys[i], behind).low % DIGITS]++;
    }
}

static void add_digit(start_t *start, uint64_t digit)
{
    int behind = KEY_BITS - start->bits - DIGIT_BITS;
    if (behind >= 64)
        start->key.high |= digit << (behind - 64);
    else
        start->key.low |= digit << behind;
    start->bits += DIGIT_BITS;
}

/* The largest key that begins so. */
static mb_sieve_key_t last_of(const start_t *start)
{
    const mb_sieve_key_t ones = {UINT64_MAX, UINT64_MAX};
    mb_sieve_key_t key = start->key;
    if (start->bits == KEY_BITS)
        return key;
    mb_sieve_key_t rest = shift_right(ones, start->bits);
    key.high |= rest.high;
    key.low |= rest.low;
    return key;
}

static mb_status_t count_all(mb_sieve_t *sieve, const start_t *start, int64_t *of_ranks,
                             int64_t counts[DIGITS])
{
    int64_t own[DIGITS] = {0};
    count_digits(sieve->keys, sieve->used, start, own);
    count_digits(sieve->offered_keys, sieve->waiting, start, own);
    MB_TRY(mb_comm_allgather(sieve->comm, own, sizeof own, of_ranks));
    memset(counts, 0, sizeof own);
    for (int i = 0; i < mb_comm_size(sieve->comm) * DIGITS; i++)
        counts[i % DIGITS] += of_ranks[i];
    return MB_OK;
}

mb_status_t mb_sieve_select(mb_sieve_t *sieve, mb_sieve_key_t *largest)
{
    int64_t counts[DIGITS] = {0}, wanted = sieve->capacity;
    start_t start = {.bits = 0};
    size_t bytes = (size_t)mb_comm_size(sieve->comm) * sizeof counts;
    int64_t *of_ranks = malloc(bytes);
    bool found = false;
    mb_status_t status = of_ranks == NULL ? mb_error_memory("a reservoir's counts", bytes) : MB_OK;
    status = mb_comm_agree(sieve->comm, status);
    while (status == MB_OK && !found && start.bits < KEY_BITS) {
        uint64_t digit = 0;
        status = count_all(sieve, &start, of_ranks, counts);
        while (digit < DIGITS - 1 && counts[digit] < wanted)
            wanted -= counts[digit++];
        add_digit(&start, digit);
        found = counts[digit] == wanted;
    }
    *largest = last_of(&start);
    free(of_ranks);
    return status;
}
