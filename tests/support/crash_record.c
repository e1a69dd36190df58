/* See crash_record.h. */
#include "support/crash_record.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

_Noreturn void crash_give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("crash_states: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

/* Doubles where the count is a power of two. */
void *crash_grow(void *array, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return array;
    void *more = realloc(array, (count == 0 ? 1 : 2 * count) * size);
    if (more == NULL)
        crash_give_up("out of memory");
    return more;
}

void crash_resize(crash_bytes_t *bytes, size_t length)
{
    if (length > bytes->capacity) {
        bytes->capacity = length + length / 2 + 64;
        bytes->bytes = realloc(bytes->bytes, bytes->capacity);
        if (bytes->bytes == NULL)
            crash_give_up("out of memory");
    }
    if (length > bytes->length)
        memset(bytes->bytes + bytes->length, 0, length - bytes->length);
    bytes->length = length;
}

static void read_file(const char *path, crash_bytes_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        crash_give_up("cannot read '%s'", path);
    crash_resize(bytes, (size_t)ftell(file));
    rewind(file);
    if (fread(bytes->bytes, 1, bytes->length, file) != bytes->length)
        crash_give_up("cannot read '%s'", path);
    fclose(file);
}

static char *copy_text(const char *from, size_t length)
{
    char *text = malloc(length + 1);
    if (text == NULL)
        crash_give_up("out of memory");
    memcpy(text, from, length);
    text[length] = '\0';
    return text;
}

/* ---- names and bytes */

int crash_find_name(const crash_names_t *names, const char *path)
{
    for (int i = 0; i < names->n; i++) {
        if (strcmp(names->names[i].path, path) == 0)
            return i;
    }
    return -1;
}

static void remove_name(crash_names_t *names, const char *path)
{
    int at = crash_find_name(names, path);
    if (at >= 0)
        names->names[at] = names->names[--names->n];
}

static void set_name(crash_names_t *names, const char *path, int file)
{
    remove_name(names, path);
    if (names->n == CRASH_MOST_NAMES)
        crash_give_up("more than %d names", CRASH_MOST_NAMES);
    names->names[names->n++] = (crash_name_t){path, file};
}

void crash_change_names(crash_names_t *names, const crash_call_t *call)
{
    switch (call->kind) {
    case IO_CREATE:
        set_name(names, call->path, call->file);
        break;
    case IO_MAKE_DIRECTORY:
        set_name(names, call->path, CRASH_DIRECTORY);
        break;
    case IO_RENAME:
        remove_name(names, call->path);
        set_name(names, call->to, call->file);
        break;
    case IO_LINK:
        set_name(names, call->to, call->file);
        break;
    case IO_UNLINK:
        remove_name(names, call->path);
        break;
    default:
        break;
    }
}

void crash_change_bytes(crash_bytes_t *bytes, const crash_call_t *call)
{
    size_t end = (size_t)call->offset + call->bytes;
    if (call->kind == IO_TRUNCATE || end > bytes->length)
        crash_resize(bytes, end);
    if (call->kind == IO_WRITE)
        memcpy(bytes->bytes + call->offset, call->data, call->bytes);
}

bool crash_is_name_call(const crash_call_t *call)
{
    return call->kind == IO_CREATE || call->kind == IO_RENAME || call->kind == IO_LINK ||
           call->kind == IO_UNLINK || call->kind == IO_MAKE_DIRECTORY;
}

bool crash_is_file_call(const crash_call_t *call)
{
    return call->kind == IO_WRITE || call->kind == IO_TRUNCATE || call->kind == IO_RESERVE;
}

bool crash_is_sync(const crash_call_t *call)
{
    return call->kind == IO_SYNC || call->kind == IO_SYNC_DIRECTORY;
}

static bool lies_in(const char *path, const char *directory)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    return strlen(directory) == length && strncmp(path, directory, length) == 0;
}

bool crash_covers(const crash_call_t *sync, const crash_call_t *earlier)
{
    if (sync->kind == IO_SYNC)
        return crash_is_file_call(earlier) && earlier->file == sync->file &&
               earlier->rank == sync->rank;
    if (sync->kind != IO_SYNC_DIRECTORY || !crash_is_name_call(earlier))
        return false;
    return lies_in(earlier->to[0] != '\0' ? earlier->to : earlier->path, sync->path);
}

/* ---- from inodes to files */

typedef struct {
    crash_record_t *record;
    crash_names_t names;  /* as they are at this call */
    crash_bytes_t *bytes; /* of each file, likewise */
    uint64_t *inodes;     /* of each file; 0: not known yet */
    const char *root;
} reader_t;

static int add_file(reader_t *reader, uint64_t inode)
{
    crash_record_t *record = reader->record;
    size_t n = (size_t)record->n_files;
    reader->bytes = crash_grow(reader->bytes, n, sizeof *reader->bytes);
    reader->inodes = crash_grow(reader->inodes, n, sizeof *reader->inodes);
    record->first_bytes = crash_grow(record->first_bytes, n, sizeof *record->first_bytes);
    reader->bytes[n] = record->first_bytes[n] = (crash_bytes_t){0};
    reader->inodes[n] = inode;
    return record->n_files++;
}

/* The latest of that inode. */
static int file_of(const reader_t *reader, uint64_t inode)
{
    for (int i = reader->record->n_files - 1; i >= 0; i--) {
        if (reader->inodes[i] == inode)
            return i;
    }
    crash_give_up("a call on a file that was never opened");
}

static void copy_bytes(crash_bytes_t *to, const crash_bytes_t *from)
{
    crash_resize(to, from->length);
    if (from->length > 0)
        memcpy(to->bytes, from->bytes, from->length);
}

static void add_version(reader_t *reader, const char *path, int file, int64_t call)
{
    crash_record_t *record = reader->record;
    record->versions = crash_grow(record->versions, record->n_versions, sizeof(crash_version_t));
    crash_version_t *version = &record->versions[record->n_versions++];
    *version = (crash_version_t){.path = path, .call = call, .file = file};
    copy_bytes(&version->content, &reader->bytes[file]);
}

static void read_before(reader_t *reader, const char *folder, const char *prefix)
{
    struct stat about;
    DIR *open = opendir(folder);
    if (open == NULL)
        crash_give_up("cannot list '%s'", folder);
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        char path[4096], name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] == '\0' ? "" : "/", entry->d_name);
        const char *kept = copy_text(name, strlen(name));
        if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) {
            set_name(&reader->names, kept, CRASH_DIRECTORY);
            read_before(reader, path, kept);
            continue;
        }
        int file = add_file(reader, 0);
        read_file(path, &reader->bytes[file]);
        copy_bytes(&reader->record->first_bytes[file], &reader->bytes[file]);
        set_name(&reader->names, kept, file);
        add_version(reader, kept, file, -1);
    }
    closedir(open);
}

/* Which file a call is about; a name that is opened or moved tells what it leads to. */
static int resolve(reader_t *reader, io_kind_t kind, uint64_t inode, const char *path)
{
    int at = crash_find_name(&reader->names, path);
    switch (kind) {
    case IO_CREATE:
        return add_file(reader, inode);
    case IO_OPEN:
    case IO_RENAME:
    case IO_LINK:
        if (at < 0 || reader->names.names[at].file < 0)
            crash_give_up("'%s' is used and was never created", path);
        if (kind == IO_OPEN)
            reader->inodes[reader->names.names[at].file] = inode;
        return reader->names.names[at].file;
    case IO_WRITE:
    case IO_TRUNCATE:
    case IO_RESERVE:
    case IO_SYNC:
        return file_of(reader, inode);
    default:
        return -1;
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static const char *name_of(const reader_t *reader, int file)
{
    for (int i = 0; i < reader->names.n; i++) {
        if (reader->names.names[i].file == file)
            return reader->names.names[i].path;
    }
    return "";
}

/* "saved PATH" in log.txt. */
static void find_promises(reader_t *reader, const crash_call_t *call, int64_t at)
{
    crash_record_t *record = reader->record;
    size_t root = strlen(reader->root);
    if (call->kind != IO_WRITE || !ends_with(name_of(reader, call->file), "log.txt"))
        return;
    char *text = copy_text((const char *)call->data, call->bytes), *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *path = strncmp(line, "saved ", 6) == 0 ? line + 6 : "";
        if (strncmp(path, reader->root, root) != 0 || path[root] != '/')
            continue;
        path = copy_text(path + root + 1, strlen(path + root + 1));
        record->promises =
            crash_grow(record->promises, record->n_promises, sizeof(crash_promise_t));
        record->promises[record->n_promises++] = (crash_promise_t){path, at};
    }
    free(text);
}

static void note_growth(reader_t *reader, const crash_call_t *call)
{
    crash_record_t *record = reader->record;
    for (size_t v = 0; v < record->n_versions; v++) {
        if (crash_is_file_call(call) && record->versions[v].file == call->file)
            record->versions[v].grows = true;
    }
}

static void add_call(reader_t *reader, const io_head_t *head, const char *at)
{
    crash_record_t *record = reader->record;
    crash_call_t call = {.kind = (io_kind_t)head->kind,
                         .rank = head->rank,
                         .offset = head->offset,
                         .bytes = head->bytes,
                         .path = copy_text(at, head->path_bytes),
                         .to = copy_text(at + head->path_bytes, head->to_bytes),
                         .data = (const unsigned char *)at + head->path_bytes + head->to_bytes};
    int64_t number = (int64_t)record->n_calls;
    if (call.kind == IO_ROOT) {
        reader->root = call.path;
        return;
    }
    call.file = resolve(reader, call.kind, head->file, call.path);
    find_promises(reader, &call, number);
    note_growth(reader, &call);
    crash_change_names(&reader->names, &call);
    if (crash_is_file_call(&call))
        crash_change_bytes(&reader->bytes[call.file], &call);
    if (call.kind == IO_RENAME || call.kind == IO_LINK)
        add_version(reader, call.to, call.file, number);
    record->calls = crash_grow(record->calls, record->n_calls, sizeof(crash_call_t));
    record->calls[record->n_calls++] = call;
}

void crash_record_read(const char *path, const char *before, crash_record_t *record)
{
    crash_bytes_t all = {0};
    io_head_t head;
    *record = (crash_record_t){0};
    reader_t reader = {.record = record, .root = ""};
    read_before(&reader, before, "");
    record->first_names = reader.names;
    read_file(path, &all);
    for (size_t at = 0; at + sizeof head <= all.length;) {
        memcpy(&head, all.bytes + at, sizeof head);
        at += sizeof head;
        add_call(&reader, &head, (const char *)all.bytes + at);
        at += head.path_bytes + head.to_bytes + head.bytes;
    }
    for (int i = 0; i < record->n_files; i++)
        free(reader.bytes[i].bytes);
    free(reader.bytes);
    free(reader.inodes);
}
