/* Inputs as files and texts. */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[32];

static void write_all(int file, const uint8_t *data, size_t size)
{
    if (file < 0 || (size > 0 && write(file, data, size) != (ssize_t)size))
        abort();
}

int mb_fuzz_file(const uint8_t *data, size_t size, char path[MB_FUZZ_PATH])
{
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    write_all(file, data, size);
    snprintf(path, MB_FUZZ_PATH, "/proc/self/fd/%d", file);
    return file;
}

const char *mb_fuzz_named(const char *name, const uint8_t *data, size_t size)
{
    static char path[128];
    if (folder[0] == '\0') {
        strcpy(folder,
               access("/dev/shm", W_OK) == 0 ? "/dev/shm/mb-fuzz-XXXXXX" : "/tmp/mb-fuzz-XXXXXX");
        if (mkdtemp(folder) == NULL)
            abort();
        atexit(mb_fuzz_clean);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    write_all(file, data, size);
    close(file);
    return path;
}

void mb_fuzz_clean(void)
{
    DIR *open = folder[0] == '\0' ? NULL : opendir(folder);
    for (struct dirent *entry = open == NULL ? NULL : readdir(open); entry != NULL;
         entry = readdir(open)) {
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(open), entry->d_name, 0);
    }
    if (open == NULL)
        return;
    closedir(open);
    rmdir(folder);
    folder[0] = '\0';
}

char *mb_fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

unsigned mb_fuzz_take(mb_fuzz_input_t *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}
