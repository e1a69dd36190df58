/* The record of a run (io_record.h) made ready for replay: files instead of inodes, and what each
 * name was given.
 *
 * A file system is a set of names, each of which leads to a file or a directory, and the bytes of
 * files. A call on a name (create, rename, link, unlink, mkdir) changes names; one on a file
 * (write, truncate, reserve) its bytes. */
#ifndef TESTS_SUPPORT_CRASH_RECORD_H
#define TESTS_SUPPORT_CRASH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "support/io_record.h"

enum { CRASH_DIRECTORY = -1, CRASH_MOST_NAMES = 64 };

typedef struct {
    unsigned char *bytes;
    size_t length, capacity;
} crash_bytes_t;

typedef struct {
    const char *path; /* below the directory that was recorded */
    int file;         /* or CRASH_DIRECTORY */
} crash_name_t;

typedef struct {
    int n;
    crash_name_t names[CRASH_MOST_NAMES];
} crash_names_t;

typedef struct {
    io_kind_t kind;
    int rank;
    int file; /* -1: none */
    int64_t offset;
    size_t bytes;
    const unsigned char *data;
    const char *path, *to; /* "" where there is none */
} crash_call_t;

/* Whole contents that a name was given, by a rename or a link at CALL or before the record (-1). */
typedef struct {
    const char *path;
    int64_t call;
    crash_bytes_t content;
    bool grows; /* the file is written to under this name */
    int file;
} crash_version_t;

/* At CALL the run said that PATH is saved. */
typedef struct {
    const char *path;
    int64_t call;
} crash_promise_t;

typedef struct {
    crash_call_t *calls;
    size_t n_calls;
    crash_names_t first_names;
    crash_bytes_t *first_bytes; /* of each file, as it was before the record */
    int n_files;
    crash_version_t *versions;
    size_t n_versions;
    crash_promise_t *promises;
    size_t n_promises;
} crash_record_t;

/* PATH: of the record; BEFORE: a copy of the directory as it was when the record began. Ends the
 * process with a message when one of them cannot be used. */
void crash_record_read(const char *path, const char *before, crash_record_t *record);

bool crash_is_name_call(const crash_call_t *call);
bool crash_is_file_call(const crash_call_t *call);
/* Whether CALL is a sync; WHAT, if it is, what it made last. */
bool crash_is_sync(const crash_call_t *call);
/* Whether CALL, a sync of a file or a directory, makes EARLIER last. */
bool crash_covers(const crash_call_t *sync, const crash_call_t *earlier);

int crash_find_name(const crash_names_t *names, const char *path); /* -1: none */
void crash_change_names(crash_names_t *names, const crash_call_t *call);
void crash_change_bytes(crash_bytes_t *bytes, const crash_call_t *call);
void crash_resize(crash_bytes_t *bytes, size_t length);

_Noreturn void crash_give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *crash_grow(void *array, size_t count, size_t size); /* room for one more */

#endif
