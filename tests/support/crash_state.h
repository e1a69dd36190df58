/* What a crash may leave of the calls of a record. The model of the file system:
 *
 * - Calls behind the crash never happened.
 * - Bytes that a rank wrote into a file, and its length, last once that rank has synced the file:
 * as on nodes with a cache each, another rank's sync does not count.
 * - A name lasts once its directory was synced. A sync of the file does not make its name last.
 * - What does not last may be there or not, each call by itself. A write may also have set the
 *   file's length alone, which then reads zeros, or have reached some of its sectors (512 bytes or
 *   4 KiB). A rename is whole or not at all. Names are either kept in the order of their calls up
 *   to some point (a journal: ext4, XFS), or each by itself.
 * - A directory that is not there takes everything below it along. */
#ifndef TESTS_SUPPORT_CRASH_STATE_H
#define TESTS_SUPPORT_CRASH_STATE_H

#include "support/crash_record.h"

/* What becomes of a call that does not last. */
typedef enum { CRASH_LOST = 0, CRASH_WHOLE, CRASH_LENGTH, CRASH_TORN, CRASH_FATES } crash_fate_t;

typedef enum {
    CRASH_ALL = 0, /* everything is there: a killed process */
    CRASH_NOTHING, /* only what lasts */
    CRASH_NAMES,   /* names of calls before CALL; all bytes have FATE */
    CRASH_WITHOUT, /* everything but CALL, which has FATE */
    CRASH_ALONE,   /* only what lasts, and CALL */
    CRASH_RANDOM,  /* by SEED */
    CRASH_KINDS
} crash_kind_t;

typedef struct {
    crash_kind_t kind;
    size_t end; /* calls that happened */
    size_t call;
    crash_fate_t fate;
    uint64_t seed;
} crash_recipe_t;

typedef struct {
    const crash_record_t *record;
    int64_t *lasts; /* for each call, the sync that makes it last; INT64_MAX: none */
    crash_names_t names;
    crash_bytes_t *bytes; /* of each file */
} crash_state_t;

/* OMITTED: a sync that is taken for not done; -1: none. */
void crash_state_create(const crash_record_t *record, int64_t omitted, crash_state_t *state);
void crash_state_free(crash_state_t *state);
void crash_state_make(crash_state_t *state, const crash_recipe_t *recipe);
/* Of names and bytes, but for log.txt, of which nothing depends. */
uint64_t crash_state_hash(const crash_state_t *state);
/* Makes FOLDER, which holds at most files of the state before, hold this one. */
void crash_state_lay(const crash_state_t *state, const char *folder);

uint64_t crash_mix(uint64_t a, uint64_t b);

#endif
