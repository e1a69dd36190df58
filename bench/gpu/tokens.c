/* A data file of random tokens, for timings whose text does not matter:
 *
 *     tokens COUNT VOCABULARY OUT.h5 */
#include <stdio.h>
#include <stdlib.h>

#include "base/philox.h"
#include "data/output.h"

static const mb_random_key_t key = {.seed = 1, .purpose = MB_RANDOM_SHUFFLE};

static mb_status_t fill(const mb_output_t *output, int64_t offset, int64_t count, uint32_t most)
{
    int32_t block[4096];
    for (int64_t at = 0; at < count; at += 4096) {
        int64_t n = count - at < 4096 ? count - at : 4096;
        for (int64_t i = 0; i < n; i++)
            block[i] = (int32_t)(mb_random_word(&key, 0, (uint32_t)(at + i)) % most);
        MB_TRY(mb_output_write(output, offset + at * (int64_t)sizeof *block, block,
                               (size_t)n * sizeof *block));
    }
    return MB_OK;
}

static mb_status_t write_tokens(int64_t count, uint32_t vocabulary, const char *path)
{
    mb_output_t output;
    mb_output_dataset_t tokens = {
        .name = "tokens", .dtype = MB_I32, .shape = {.rank = 1, .dim = {count}}};
    MB_TRY(mb_output_create(path, &tokens, 1, &output));
    mb_status_t status = fill(&output, tokens.offset, count, vocabulary);
    if (status == MB_OK)
        status = mb_output_commit(&output);
    mb_output_close(&output);
    return status;
}

int main(int argc, char **argv)
{
    long long count = argc == 4 ? atoll(argv[1]) : 0, vocabulary = argc == 4 ? atoll(argv[2]) : 0;
    if (count < 1 || count > UINT32_MAX || vocabulary < 1 || vocabulary > INT32_MAX) {
        fprintf(stderr, "usage: tokens COUNT VOCABULARY OUT.h5\n");
        return 2;
    }
    if (write_tokens(count, (uint32_t)vocabulary, argv[3]) == MB_OK)
        return 0;
    fprintf(stderr, "tokens: %s\n", mb_error_get());
    return 1;
}
