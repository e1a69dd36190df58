/* One state per character:
 *
 *     START --"--> QUOTED --"--> QUOTE --"--> QUOTED
 *       |                          |
 *       +--> PLAIN                 +--delimiter or line end--> START
 *
 * The text of a record lies in one buffer, its cells as places in it. */
#define _POSIX_C_SOURCE 200809L
#include "data/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

#define BUFFER_BYTES (256 << 10)
#define LARGEST_RECORD ((size_t)64 << 20)
#define MOST_CELLS (1 << 20)

typedef struct {
    size_t begin, length;
    bool quoted;
} place_t;

typedef enum { START, PLAIN, QUOTED, QUOTE } state_t;

struct mb_csv {
    char *path;
    gzFile stream;
    bool gzip, ended;
    char delimiter;
    int64_t line, record_line;
    size_t at, filled;
    char *text; /* of the record */
    size_t length, capacity;
    place_t *places;
    mb_csv_cell_t *cells;
    int n, most;
    char buffer[BUFFER_BYTES];
};

static bool ends_with(const char *path, size_t length, const char *ending)
{
    size_t tail = strlen(ending);
    return length > tail && strncasecmp(path + length - tail, ending, tail) == 0;
}

static size_t length_without_gz(const char *path)
{
    size_t length = strlen(path);
    return ends_with(path, length, ".gz") ? length - 3 : length;
}

static bool has_tabs(const char *path)
{
    size_t length = length_without_gz(path);
    return ends_with(path, length, ".tsv") || ends_with(path, length, ".tab");
}

bool mb_csv_has_ending(const char *path)
{
    return has_tabs(path) || ends_with(path, length_without_gz(path), ".csv");
}

static mb_status_t fault(const mb_csv_t *csv, const char *what)
{
    return mb_error_set(MB_ERR_DATA, "%s: line %" PRId64 ", column %d: %s", csv->path,
                        csv->record_line, csv->n + 1, what);
}

static mb_status_t read_failed(const mb_csv_t *csv)
{
    int code = Z_OK;
    const char *text = gzerror(csv->stream, &code);
    if (code == Z_ERRNO)
        return mb_error_set(MB_ERR_IO, "%s: %s", csv->path, strerror(errno));
    return mb_error_set(MB_ERR_FORMAT,
                        "%s: the gzip data are truncated or damaged behind line %" PRId64
                        " (zlib: %s); copy the file again",
                        csv->path, csv->line, text);
}

static mb_status_t refill(mb_csv_t *csv)
{
    int code = Z_OK;
    int got = gzread(csv->stream, csv->buffer, BUFFER_BYTES);
    if (got < 0)
        return read_failed(csv);
    if (got == 0) {
        gzerror(csv->stream, &code);
        if (code == Z_BUF_ERROR)
            return read_failed(csv);
        csv->ended = true;
    }
    csv->at = 0;
    csv->filled = (size_t)got;
    return MB_OK;
}

static mb_status_t grow_text(mb_csv_t *csv)
{
    size_t capacity = csv->capacity == 0 ? 4096 : 2 * csv->capacity;
    if (capacity > LARGEST_RECORD)
        return fault(csv, "the record goes on for more than 32 MiB: a quote that is never closed?");
    char *text = realloc(csv->text, capacity);
    if (text == NULL)
        return mb_error_memory(csv->path, capacity);
    csv->text = text;
    csv->capacity = capacity;
    return MB_OK;
}

static mb_status_t grow_cells(mb_csv_t *csv)
{
    int most = csv->most == 0 ? 64 : 2 * csv->most;
    if (most > MOST_CELLS)
        return fault(csv, "a line of more than half a million cells");
    place_t *places = realloc(csv->places, (size_t)most * sizeof(*places));
    if (places != NULL)
        csv->places = places;
    mb_csv_cell_t *cells = realloc(csv->cells, (size_t)most * sizeof(*cells));
    if (cells != NULL)
        csv->cells = cells;
    if (places == NULL || cells == NULL)
        return mb_error_memory(csv->path, (size_t)most * sizeof(*cells));
    csv->most = most;
    return MB_OK;
}

static mb_status_t put(mb_csv_t *csv, char c)
{
    if (csv->length == csv->capacity)
        MB_TRY(grow_text(csv));
    csv->text[csv->length++] = c;
    return MB_OK;
}

static mb_status_t begin_cell(mb_csv_t *csv)
{
    if (csv->n == csv->most)
        MB_TRY(grow_cells(csv));
    csv->places[csv->n] = (place_t){.begin = csv->length};
    return MB_OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static mb_status_t end_cell(mb_csv_t *csv)
{
    place_t *place = &csv->places[csv->n];
    size_t begin = place->begin, end = csv->length;
    while (!place->quoted && end > begin && is_space(csv->text[end - 1]))
        end--;
    while (!place->quoted && begin < end && is_space(csv->text[begin]))
        begin++;
    place->begin = begin;
    place->length = end - begin;
    csv->length = end;
    MB_TRY(put(csv, '\0'));
    csv->n++;
    return MB_OK;
}

/* A character inside or at the begin of a cell that is no delimiter and no line end. */
static mb_status_t take_inside(mb_csv_t *csv, char c, state_t *state)
{
    if (*state == START && c == '"') {
        csv->places[csv->n].quoted = true;
        *state = QUOTED;
        return MB_OK;
    }
    if (c == '"')
        return fault(csv, "a quote inside a cell that does not begin with one; put the cell into "
                          "quotes and write the quote twice");
    *state = *state == START && is_space(c) ? START : PLAIN;
    return *state == START ? MB_OK : put(csv, c);
}

static mb_status_t take_quoted(mb_csv_t *csv, char c, state_t *state)
{
    if (*state == QUOTED && c == '"') {
        *state = QUOTE;
        return MB_OK;
    }
    if (*state == QUOTED)
        return put(csv, c);
    if (c != '"')
        return is_space(c) ? MB_OK : fault(csv, "text behind the closing quote of a cell");
    *state = QUOTED;
    return put(csv, c);
}

/* Takes one character; *ended when it ended the record. */
static mb_status_t take(mb_csv_t *csv, char c, state_t *state, bool *ended)
{
    csv->line += c == '\n';
    if (c == '\0')
        return fault(csv, "a zero byte: this is no text");
    if (*state != QUOTED && (c == csv->delimiter || c == '\n')) {
        if (c == '\n' && *state == PLAIN && csv->text[csv->length - 1] == '\r')
            csv->length--;
        *ended = c == '\n';
        *state = START;
        MB_TRY(end_cell(csv));
        return *ended ? MB_OK : begin_cell(csv);
    }
    if (*state == QUOTE && c == '\r')
        return MB_OK;
    return *state == QUOTED || *state == QUOTE ? take_quoted(csv, c, state)
                                               : take_inside(csv, c, state);
}

static mb_status_t read_record(mb_csv_t *csv)
{
    state_t state = START;
    bool ended = false;
    csv->n = 0;
    csv->length = 0;
    csv->record_line = csv->line;
    MB_TRY(begin_cell(csv));
    while (!ended) {
        if (csv->at == csv->filled)
            MB_TRY(refill(csv));
        if (csv->ended)
            break;
        MB_TRY(take(csv, csv->buffer[csv->at++], &state, &ended));
    }
    if (state == QUOTED)
        return fault(csv, "the file ends inside a quoted cell");
    return ended ? MB_OK : end_cell(csv);
}

static bool is_empty(const mb_csv_t *csv)
{
    return csv->n == 1 && csv->places[0].length == 0 && !csv->places[0].quoted;
}

mb_status_t mb_csv_next(mb_csv_t *csv, const mb_csv_cell_t **cells, int *n)
{
    *n = 0;
    do {
        if (csv->ended)
            return MB_OK;
        MB_TRY(read_record(csv));
    } while (is_empty(csv));
    for (int i = 0; i < csv->n; i++) {
        const place_t *place = &csv->places[i];
        csv->cells[i] = (mb_csv_cell_t){csv->text + place->begin, place->length, place->quoted};
    }
    *cells = csv->cells;
    *n = csv->n;
    return MB_OK;
}

/* Over the first line, quoted parts left out. */
static char find_delimiter(const mb_csv_t *csv)
{
    static const char candidates[] = ",;\t";
    bool seen[3] = {false, false, false}, quoted = false;
    for (size_t i = csv->at; i < csv->filled && (quoted || csv->buffer[i] != '\n'); i++) {
        char c = csv->buffer[i];
        quoted = c == '"' ? !quoted : quoted;
        for (int k = 0; k < 3 && !quoted; k++)
            seen[k] = seen[k] || c == candidates[k];
    }
    for (int k = 0; k < 3; k++) {
        if (seen[k])
            return candidates[k];
    }
    return ',';
}

static mb_status_t start(mb_csv_t *csv)
{
    static const char byte_order_mark[3] = {'\xEF', '\xBB', '\xBF'};
    int file = open(csv->path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: the table cannot be opened: %s", csv->path,
                            strerror(errno));
    csv->stream = gzdopen(file, "rb");
    if (csv->stream == NULL) {
        close(file);
        return mb_error_memory("a table's reader", BUFFER_BYTES);
    }
    MB_TRY(refill(csv));
    if (csv->filled >= 3 && memcmp(csv->buffer, byte_order_mark, 3) == 0)
        csv->at = 3;
    csv->delimiter = has_tabs(csv->path) ? '\t' : find_delimiter(csv);
    return MB_OK;
}

mb_status_t mb_csv_open(const char *path, mb_csv_t **out)
{
    mb_csv_t *csv = calloc(1, sizeof(*csv));
    if (csv == NULL)
        return mb_error_memory("a table's reader", sizeof(*csv));
    csv->line = 1;
    csv->path = strdup(path);
    mb_status_t status = csv->path == NULL ? mb_error_memory(path, strlen(path)) : start(csv);
    if (status == MB_OK)
        *out = csv;
    else
        mb_csv_close(csv);
    return status;
}

void mb_csv_close(mb_csv_t *csv)
{
    if (csv == NULL)
        return;
    if (csv->stream != NULL)
        gzclose(csv->stream);
    free(csv->text);
    free(csv->places);
    free(csv->cells);
    free(csv->path);
    free(csv);
}

int64_t mb_csv_line(const mb_csv_t *csv)
{
    return csv->record_line;
}

int64_t mb_csv_bytes(const mb_csv_t *csv)
{
    return csv->stream == NULL ? 0 : (int64_t)gzoffset(csv->stream);
}
