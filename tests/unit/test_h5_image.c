/* What HDF5 writes goes through memory into the file; a write that fails harms no host. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "store/h5_write.h"
#include "support/store_files.h"

#define LENGTH 5000

static void write_values(const mb_h5_writer_t *h5, const char *path, int first)
{
    int values[LENGTH];
    const mb_shape_t shape = {.rank = 1, .dim = {LENGTH}};
    for (int i = 0; i < LENGTH; i++)
        values[i] = first + i;
    ck_assert_int_eq(mb_h5_write_array(h5, path, H5T_STD_I32LE, H5T_NATIVE_INT, &shape, values),
                     MB_OK);
}

/* Through HDF5's own driver. */
static void check_values(const char *file_path, const char *path, int first)
{
    int values[LENGTH];
    hid_t file = H5Fopen(file_path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    ck_assert(dataset >= 0);
    ck_assert(H5Dread(dataset, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    for (int i = 0; i < LENGTH; i++)
        ck_assert_int_eq(values[i], first + i);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void make_file(const char *path)
{
    mb_h5_writer_t h5;
    ck_assert_int_eq(mb_h5_writer_create(path, path, &h5), MB_OK);
    write_values(&h5, "/deep/a", 1);
    ck_assert_int_eq(mb_h5_writer_finish(&h5, MB_OK), MB_OK);
}

START_TEST(a_new_file_is_what_any_reader_expects)
{
    make_file(scratch("a.h5"));
    check_values(scratch("a.h5"), "/deep/a", 1);
}
END_TEST

START_TEST(space_that_was_reserved_is_used_and_cut)
{
    make_file(scratch("a.h5"));
    int fd = open(scratch("b.h5"), O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(ftruncate(fd, 10 * file_size(scratch("a.h5"))), 0);
    close(fd);
    make_file(scratch("b.h5"));
    ck_assert(files_equal(scratch("a.h5"), scratch("b.h5")));
}
END_TEST

START_TEST(additions_leave_what_was_there)
{
    mb_h5_writer_t h5;
    make_file(scratch("a.h5"));
    ck_assert_int_eq(mb_h5_writer_update(scratch("a.h5"), "a.h5", &h5), MB_OK);
    write_values(&h5, "/deep/b", 7);
    ck_assert_int_eq(mb_h5_writer_finish(&h5, MB_OK), MB_OK);
    check_values(scratch("a.h5"), "/deep/a", 1);
    check_values(scratch("a.h5"), "/deep/b", 7);
}
END_TEST

START_TEST(a_file_whose_making_failed_is_not_written)
{
    mb_h5_writer_t h5;
    make_file(scratch("a.h5"));
    make_file(scratch("b.h5"));
    ck_assert_int_eq(mb_h5_writer_update(scratch("a.h5"), "a.h5", &h5), MB_OK);
    write_values(&h5, "/deep/b", 7);
    ck_assert_int_eq(mb_h5_writer_finish(&h5, MB_ERR_FORMAT), MB_ERR_FORMAT);
    ck_assert(files_equal(scratch("a.h5"), scratch("b.h5")));
}
END_TEST

/* In a process of its own, which ends as a host program does: through HDF5's exit handler. */
static void write_too_much(void)
{
    mb_h5_writer_t h5;
    const struct rlimit limit = {8192, 8192};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (mb_h5_writer_create(scratch("a.h5"), "a.h5", &h5) != MB_OK)
        exit(2);
    write_values(&h5, "/deep/a", 1);
    mb_status_t status = mb_h5_writer_finish(&h5, MB_OK);
    exit(status == MB_ERR_IO && message_has("File too large") ? 0 : 3);
}

START_TEST(a_host_whose_write_failed_ends_as_it_wants)
{
    int result = -1;
    pid_t child = fork();
    if (child == 0)
        write_too_much();
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert_int_eq(result, 0);
}
END_TEST

START_TEST(a_file_that_outlives_its_image_closes)
{
    mb_h5_image_t *image;
    ck_assert_int_eq(mb_h5_image_open(scratch("a.h5"), true, &image), MB_OK);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    ck_assert(mb_h5_image_use(image, access));
    hid_t file = H5Fcreate("a.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    ck_assert(file >= 0);
    mb_h5_image_free(image);
    ck_assert(H5Fclose(file) >= 0);
    ck_assert_int_eq(file_size(scratch("a.h5")), 0);
}
END_TEST

/* With this, freed memory is filled with other bytes at once: HDF5 reads some while it closes a
 * file unless we hold it. */
static void begin_again_with_perturbed_memory(char **argv)
{
    static const char tunables[] = "glibc.malloc.perturb=90:glibc.malloc.tcache_count=0";
    if (getenv("GLIBC_TUNABLES") != NULL || setenv("GLIBC_TUNABLES", tunables, 1) != 0)
        return;
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_again_with_perturbed_memory(argv);
    Suite *suite = suite_create("h5_image");
    TCase *cases = tcase_create("h5_image");
    tcase_add_checked_fixture(cases, scratch_create, scratch_remove);
    tcase_add_test(cases, a_new_file_is_what_any_reader_expects);
    tcase_add_test(cases, space_that_was_reserved_is_used_and_cut);
    tcase_add_test(cases, additions_leave_what_was_there);
    tcase_add_test(cases, a_file_whose_making_failed_is_not_written);
    tcase_add_test(cases, a_host_whose_write_failed_ends_as_it_wants);
    tcase_add_test(cases, a_file_that_outlives_its_image_closes);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
