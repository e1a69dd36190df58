/* CRC-32C against RFC 3720, appendix B.4. The source is included once more under other names, so
 * that the table is tested where the processor has the instruction. */
#define mb_crc32c second_crc32c
#define mb_crc32c_combine second_crc32c_combine
#include "base/crc32c.c"
#undef mb_crc32c
#undef mb_crc32c_combine
uint32_t mb_crc32c(uint32_t crc, const void *data, size_t bytes);
uint32_t mb_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t bytes_b);

#include <check.h>
#include <stdlib.h>

static const unsigned char read_command[48] = {
    0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18,
    0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

static void check_both(const void *data, size_t bytes, uint32_t expected)
{
    ck_assert_uint_eq(mb_crc32c(0, data, bytes), expected);
    ck_assert_uint_eq(~by_table(~UINT32_C(0), data, bytes), expected);
}

START_TEST(crc_gives_the_published_vectors)
{
    unsigned char bytes[32];
    memset(bytes, 0, sizeof(bytes));
    check_both(bytes, sizeof(bytes), 0x8A9136AA);
    memset(bytes, 0xFF, sizeof(bytes));
    check_both(bytes, sizeof(bytes), 0x62A8AB43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    check_both(bytes, sizeof(bytes), 0x46DD794E);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)(31 - i);
    check_both(bytes, sizeof(bytes), 0x113FDB5C);
    check_both(read_command, sizeof(read_command), 0xD9963A56);
    check_both("123456789", 9, 0xE3069283);
    check_both("", 0, 0);
}
END_TEST

static void fill(unsigned char *bytes, size_t count)
{
    uint32_t state = 12345;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(state >> 24);
    }
}

START_TEST(crc_of_pieces_is_the_crc_of_the_whole_at_any_cut_and_alignment)
{
    unsigned char bytes[300];
    fill(bytes, sizeof(bytes));
    for (size_t start = 0; start < 9; start++) {
        for (size_t length = 0; length + start < sizeof(bytes); length += 7) {
            uint32_t whole = mb_crc32c(0, bytes + start, length);
            ck_assert_uint_eq(whole, ~by_table(~UINT32_C(0), bytes + start, length));
            size_t cut = length / 3;
            uint32_t first = mb_crc32c(0, bytes + start, cut);
            ck_assert_uint_eq(mb_crc32c(first, bytes + start + cut, length - cut), whole);
        }
    }
}
END_TEST

START_TEST(combine_joins_two_crcs_by_the_length_of_the_second)
{
    unsigned char bytes[300];
    fill(bytes, sizeof(bytes));
    uint32_t whole = mb_crc32c(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint32_t a = mb_crc32c(0, bytes, cut);
        uint32_t b = mb_crc32c(0, bytes + cut, sizeof(bytes) - cut);
        ck_assert_uint_eq(mb_crc32c_combine(a, b, sizeof(bytes) - cut), whole);
    }
}
END_TEST

START_TEST(combine_takes_lengths_beyond_four_gigabytes)
{
    /* Zeros in 2^33 bytes: by doubling, and at once by combining with the CRC of that many. */
    unsigned char zero = 0;
    uint32_t zeros = mb_crc32c(0, &zero, 1);
    for (uint64_t length = 1; length < UINT64_C(1) << 33; length *= 2)
        zeros = mb_crc32c_combine(zeros, zeros, length);
    uint32_t a = mb_crc32c(0, "abc", 3);
    uint32_t at_once = mb_crc32c_combine(a, zeros, UINT64_C(1) << 33);
    uint32_t half = mb_crc32c(0, &zero, 1);
    for (uint64_t length = 1; length < UINT64_C(1) << 32; length *= 2)
        half = mb_crc32c_combine(half, half, length);
    uint32_t twice = mb_crc32c_combine(a, half, UINT64_C(1) << 32);
    twice = mb_crc32c_combine(twice, half, UINT64_C(1) << 32);
    ck_assert_uint_eq(at_once, twice);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("crc32c");
    TCase *t = tcase_create("crc32c");
    tcase_add_test(t, crc_gives_the_published_vectors);
    tcase_add_test(t, crc_of_pieces_is_the_crc_of_the_whole_at_any_cut_and_alignment);
    tcase_add_test(t, combine_joins_two_crcs_by_the_length_of_the_second);
    tcase_add_test(t, combine_takes_lengths_beyond_four_gigabytes);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
