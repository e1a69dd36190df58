/* Every parser of bytes that somebody else may have written, each as a function of bytes. One
 * program replays the kept inputs in the check (replay.c, any compiler), another gives them to
 * libFuzzer (libfuzzer.c). A target may refuse its input; it must not crash, leak, hang, or take
 * more memory than a limit that does not depend on what the input says. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name; /* of its folder in the corpus, too */
    void (*run)(const uint8_t *data, size_t size);
} mb_fuzz_target_t;

extern const mb_fuzz_target_t mb_fuzz_targets[];
extern const size_t mb_fuzz_target_count;
const mb_fuzz_target_t *mb_fuzz_find(const char *name); /* NULL: none */

/* The bytes as a file without a name; its path in PATH, and the descriptor, to be closed. */
enum { MB_FUZZ_PATH = 64 };
int mb_fuzz_file(const uint8_t *data, size_t size, char path[MB_FUZZ_PATH]);
/* The bytes as FOLDER/NAME of a folder of this process's own; the path until the next call. */
const char *mb_fuzz_named(const char *name, const uint8_t *data, size_t size);
void mb_fuzz_clean(void); /* removes that folder */
/* The bytes as a text, malloc'ed; a program out of memory ends. */
char *mb_fuzz_text(const uint8_t *data, size_t size);

/* What a target chooses by, byte by byte; zeros behind the end. */
typedef struct {
    const uint8_t *at;
    size_t left;
} mb_fuzz_input_t;
unsigned mb_fuzz_take(mb_fuzz_input_t *in);

#endif
