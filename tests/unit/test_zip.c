/* Archives: what is written is read, what is damaged or dishonest is refused by one message, and
 * nothing that an archive says leads outside of it. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "store/zip.h"
#include "store/zip_write.h"
#include "support/store_files.h"

enum { MOST_BYTES = 1 << 16, MUTATIONS = 4000 };

/* A member as a test wants it; what is 0 or NULL is as an honest writer has it. */
typedef struct {
    const char *name;
    const char *text;
    bool deflated, wide;
    unsigned flags, method;
    uint64_t claimed;       /* bytes */
    const char *local_name; /* in the member's own header */
    int64_t moved;          /* added to its place in the directory */
} spec_t;

typedef struct {
    unsigned char bytes[MOST_BYTES];
    size_t length;
} image_t;

static void put(image_t *image, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        image->bytes[image->length++] = (unsigned char)(value >> (8 * i));
}

static void put_string(image_t *image, const char *text)
{
    memcpy(image->bytes + image->length, text, strlen(text));
    image->length += strlen(text);
}

static size_t pack(const spec_t *spec, unsigned char *out)
{
    z_stream stream = {.next_in = NULL};
    size_t bytes = strlen(spec->text);
    if (!spec->deflated) {
        memcpy(out, spec->text, bytes);
        return bytes;
    }
    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)spec->text;
    stream.avail_in = (uInt)bytes;
    stream.next_out = out;
    stream.avail_out = MOST_BYTES;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return MOST_BYTES - stream.avail_out;
}

static unsigned method_of(const spec_t *spec)
{
    return spec->method != 0 ? spec->method : spec->deflated ? 8 : 0;
}

static void put_facts(image_t *image, const spec_t *spec, size_t packed)
{
    uint64_t bytes = spec->claimed != 0 ? spec->claimed : strlen(spec->text);
    put(image, 20, 2);
    put(image, spec->flags, 2);
    put(image, method_of(spec), 2);
    put(image, 0, 4);
    put(image, crc32(0, (const Bytef *)spec->text, (uInt)strlen(spec->text)), 4);
    put(image, spec->wide ? 0xffffffff : packed, 4);
    put(image, spec->wide ? 0xffffffff : bytes, 4);
}

static void put_member(image_t *image, const spec_t *spec, size_t *packed)
{
    static unsigned char content[MOST_BYTES];
    const char *name = spec->local_name != NULL ? spec->local_name : spec->name;
    *packed = pack(spec, content);
    put(image, 0x04034b50, 4);
    put_facts(image, spec, *packed);
    put(image, strlen(name), 2);
    put(image, 0, 2);
    put_string(image, name);
    memcpy(image->bytes + image->length, content, *packed);
    image->length += *packed;
}

static void put_entry(image_t *image, const spec_t *spec, size_t packed, size_t place)
{
    put(image, 0x02014b50, 4);
    put(image, 20, 2);
    put_facts(image, spec, packed);
    put(image, strlen(spec->name), 2);
    put(image, spec->wide ? 28 : 0, 2);
    put(image, 0, 6);
    put(image, 0, 4);
    put(image, spec->wide ? 0xffffffff : (uint64_t)((int64_t)place + spec->moved), 4);
    put_string(image, spec->name);
    if (!spec->wide)
        return;
    put(image, 1, 2);
    put(image, 24, 2);
    put(image, spec->claimed != 0 ? spec->claimed : strlen(spec->text), 8);
    put(image, packed, 8);
    put(image, place, 8);
}

static void put_end(image_t *image, int count, size_t directory)
{
    put(image, 0x06054b50, 4);
    put(image, 0, 4);
    put(image, (uint64_t)count, 2);
    put(image, (uint64_t)count, 2);
    put(image, image->length - directory - 12, 4);
    put(image, directory, 4);
    put(image, 0, 2);
}

static void make(image_t *image, const spec_t *specs, int count)
{
    size_t places[8], packed[8];
    image->length = 0;
    for (int i = 0; i < count; i++) {
        places[i] = image->length;
        put_member(image, &specs[i], &packed[i]);
    }
    size_t directory = image->length;
    for (int i = 0; i < count; i++)
        put_entry(image, &specs[i], packed[i], places[i]);
    put_end(image, count, directory);
}

/* Reads every member; *SUM tells their contents apart. */
static mb_status_t read_all(const char *path, uint64_t *sum)
{
    mb_zip_t zip;
    mb_arena_t *arena = mb_arena_create();
    int fd = open(path, O_RDONLY);
    off_t bytes = lseek(fd, 0, SEEK_END);
    mb_status_t status = mb_zip_open(fd, bytes, path, arena, &zip);
    *sum = 0;
    for (int i = 0; status == MB_OK && i < zip.n_members; i++) {
        char *text = NULL;
        status = mb_zip_read_text(&zip, &zip.members[i], MOST_BYTES, arena, &text);
        for (int64_t k = 0; status == MB_OK && k < zip.members[i].bytes; k++)
            *sum = *sum * 31 + (unsigned char)text[k];
    }
    mb_arena_destroy(arena);
    close(fd);
    return status;
}

static mb_status_t read_image(const image_t *image, uint64_t *sum)
{
    const char *path = scratch("a.zip");
    file_write(path, image->bytes, image->length);
    return read_all(path, sum);
}

static void refuses(const spec_t *specs, int count, mb_status_t expected, const char *message)
{
    image_t image;
    uint64_t sum;
    make(&image, specs, count);
    ck_assert_int_eq(read_image(&image, &sum), expected);
    ck_assert_msg(strstr(mb_error_get(), message) != NULL, "%s", mb_error_get());
}

static const char prose[] = "the same again, the same again, the same again, the same again\n";
static const spec_t honest[] = {{.name = "config.json", .text = "{\"class_name\": \"Model\"}"},
                                {.name = "assets/words.txt", .text = prose, .deflated = true},
                                {.name = "nothing", .text = ""}};
enum { N_HONEST = sizeof honest / sizeof honest[0] };

START_TEST(stored_and_deflated_members_are_read)
{
    image_t image;
    mb_zip_t zip;
    make(&image, honest, N_HONEST);
    const char *path = scratch("a.zip");
    file_write(path, image.bytes, image.length);
    mb_arena_t *arena = mb_arena_create();
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(mb_zip_open(fd, (int64_t)image.length, path, arena, &zip), MB_OK);
    ck_assert_int_eq(zip.n_members, N_HONEST);
    for (int i = 0; i < N_HONEST; i++) {
        char *text = NULL;
        const mb_zip_member_t *member = mb_zip_find(&zip, honest[i].name);
        ck_assert_ptr_nonnull(member);
        ck_assert_int_eq(mb_zip_read_text(&zip, member, MOST_BYTES, arena, &text), MB_OK);
        ck_assert_str_eq(text, honest[i].text);
    }
    ck_assert_ptr_null(mb_zip_find(&zip, "config"));
    mb_arena_destroy(arena);
    close(fd);
}
END_TEST

START_TEST(sizes_of_64_bits_are_read)
{
    const spec_t wide[] = {{.name = "a", .text = prose, .wide = true},
                           {.name = "b", .text = prose, .wide = true, .deflated = true}};
    const spec_t narrow[] = {{.name = "a", .text = prose}, {.name = "b", .text = prose}};
    image_t image;
    uint64_t found, expected;
    make(&image, narrow, 2);
    ck_assert_int_eq(read_image(&image, &expected), MB_OK);
    make(&image, wide, 2);
    ck_assert_int_eq(read_image(&image, &found), MB_OK);
    ck_assert_uint_eq(found, expected);
}
END_TEST

START_TEST(what_is_written_is_read_and_always_the_same_bytes)
{
    const char *content = scratch("content");
    file_write(content, prose, strlen(prose));
    const mb_zip_source_t members[] = {{.name = "metadata.json", .data = "{}", .bytes = 2},
                                       {.name = "model.weights.h5", .path = content}};
    char *first = strdup(scratch("first.zip")), *second = strdup(scratch("second.zip"));
    uint64_t sum, expected = 0;
    size_t n, m;
    ck_assert_int_eq(mb_zip_write(first, members, 2), MB_OK);
    ck_assert_int_eq(mb_zip_write(second, members, 2), MB_OK);
    ck_assert_int_eq(read_all(first, &sum), MB_OK);
    for (const char *c = "{}"; *c != '\0'; c++)
        expected = expected * 31 + (unsigned char)*c;
    for (const char *c = prose; *c != '\0'; c++)
        expected = expected * 31 + (unsigned char)*c;
    ck_assert_uint_eq(sum, expected);
    unsigned char *a = file_read(first, &n), *b = file_read(second, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_int_eq(memcmp(a, b, n), 0);
    free(a), free(b), free(first), free(second);
}
END_TEST

START_TEST(an_archive_cut_at_any_byte_is_refused)
{
    image_t image;
    uint64_t sum;
    make(&image, honest, N_HONEST);
    for (size_t length = image.length; length-- > 0;) {
        image.length = length;
        ck_assert_int_eq(read_image(&image, &sum), MB_ERR_FORMAT);
    }
}
END_TEST

/* Dates, versions and attributes may change without harm; contents may not. */
START_TEST(a_damaged_archive_is_refused_or_reads_as_it_was)
{
    image_t good, bad;
    uint64_t expected, sum, random = 20260729;
    int refused = 0;
    make(&good, honest, N_HONEST);
    ck_assert_int_eq(read_image(&good, &expected), MB_OK);
    for (int i = 0; i < MUTATIONS; i++) {
        bad = good;
        for (int k = 0; k <= i % 3; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            bad.bytes[(random >> 33) % bad.length] ^= (unsigned char)(1u << (random >> 61));
        }
        mb_status_t status = read_image(&bad, &sum);
        refused += status != MB_OK;
        ck_assert_msg(status == MB_ERR_FORMAT || status == MB_ERR_UNSUPPORTED || status == MB_OK,
                      "mutation %d: %s", i, mb_error_get());
        /* An entry whose name changed is another member with the same content. */
        ck_assert_msg(status != MB_OK || sum == expected, "mutation %d reads otherwise", i);
    }
    ck_assert_int_gt(refused, MUTATIONS / 2);
}
END_TEST

START_TEST(a_decompression_bomb_is_refused)
{
    const spec_t grown[] = {
        {.name = "a", .text = prose, .deflated = true, .claimed = UINT64_C(1) << 31}};
    const spec_t twice[] = {{.name = "a", .text = prose},
                            {.name = "b", .text = prose, .local_name = "a"}};
    image_t image;
    uint64_t sum;
    refuses(grown, 1, MB_ERR_UNSUPPORTED, "bomb");
    make(&image, twice, 2);
    /* b's entry points to a's content, where the names differ. */
    ck_assert_int_eq(read_image(&image, &sum), MB_ERR_FORMAT);
}
END_TEST

START_TEST(a_member_longer_or_shorter_than_it_says_is_refused)
{
    const spec_t shorter[] = {{.name = "a", .text = prose, .deflated = true, .claimed = 8}};
    const spec_t longer[] = {{.name = "a", .text = prose, .deflated = true, .claimed = 80}};
    const spec_t stored[] = {{.name = "a", .text = prose, .claimed = 80}};
    refuses(shorter, 1, MB_ERR_FORMAT, "longer than its directory says");
    refuses(longer, 1, MB_ERR_FORMAT, "shorter than its directory says");
    refuses(stored, 1, MB_ERR_FORMAT, "two sizes");
}
END_TEST

START_TEST(encrypted_and_otherwise_packed_members_are_refused_by_name)
{
    const spec_t encrypted[] = {{.name = "config.json", .text = prose, .flags = 1}};
    const spec_t packed[] = {{.name = "config.json", .text = prose, .method = 12}};
    refuses(encrypted, 1, MB_ERR_UNSUPPORTED, "'config.json' is encrypted");
    refuses(packed, 1, MB_ERR_UNSUPPORTED, "'config.json' is compressed by method 12");
}
END_TEST

START_TEST(names_that_lead_elsewhere_are_refused)
{
    static const char *const names[] = {"../config.json", "a/../../b", "/etc/passwd",
                                        "a\\b",           "c:x",       "a/.."};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const spec_t specs[] = {{.name = names[i], .text = prose}};
        refuses(specs, 1, MB_ERR_UNSUPPORTED, names[i]);
    }
    const spec_t dots[] = {{.name = "a..b/..c", .text = prose}};
    image_t image;
    uint64_t sum;
    make(&image, dots, 1);
    ck_assert_int_eq(read_image(&image, &sum), MB_OK);
}
END_TEST

START_TEST(a_name_that_stands_twice_is_refused)
{
    const spec_t specs[] = {{.name = "config.json", .text = "{}"},
                            {.name = "config.json", .text = prose}};
    refuses(specs, 2, MB_ERR_UNSUPPORTED, "'config.json' is there twice");
}
END_TEST

START_TEST(members_that_share_bytes_are_refused)
{
    const spec_t specs[] = {{.name = "a", .text = prose}, {.name = "b", .text = prose}};
    image_t image;
    uint64_t sum;
    make(&image, specs, 2);
    /* The first member's own header says that its name is followed by an extra field, which moves
     * its content into the second one's. */
    image.bytes[28] = 60;
    ck_assert_int_eq(read_image(&image, &sum), MB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "shares bytes"));
}
END_TEST

START_TEST(a_long_text_is_refused)
{
    image_t image;
    mb_zip_t zip;
    char *text = NULL;
    make(&image, honest, N_HONEST);
    const char *path = scratch("a.zip");
    file_write(path, image.bytes, image.length);
    mb_arena_t *arena = mb_arena_create();
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(mb_zip_open(fd, (int64_t)image.length, path, arena, &zip), MB_OK);
    ck_assert_int_eq(mb_zip_read_text(&zip, &zip.members[1], 8, arena, &text), MB_ERR_UNSUPPORTED);
    mb_arena_destroy(arena);
    close(fd);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("zip");
    TCase *cases = tcase_create("zip");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, scratch_create, scratch_remove);
    tcase_add_test(cases, stored_and_deflated_members_are_read);
    tcase_add_test(cases, sizes_of_64_bits_are_read);
    tcase_add_test(cases, what_is_written_is_read_and_always_the_same_bytes);
    tcase_add_test(cases, an_archive_cut_at_any_byte_is_refused);
    tcase_add_test(cases, a_damaged_archive_is_refused_or_reads_as_it_was);
    tcase_add_test(cases, a_decompression_bomb_is_refused);
    tcase_add_test(cases, a_member_longer_or_shorter_than_it_says_is_refused);
    tcase_add_test(cases, encrypted_and_otherwise_packed_members_are_refused_by_name);
    tcase_add_test(cases, names_that_lead_elsewhere_are_refused);
    tcase_add_test(cases, a_name_that_stands_twice_is_refused);
    tcase_add_test(cases, members_that_share_bytes_are_refused);
    tcase_add_test(cases, a_long_text_is_refused);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
