/* What mbrun supervise reads of launchers, and the commands that it makes of others. */
#define _GNU_SOURCE
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/supervise_hosts.h"
#include "cli/supervise_notice.h"

/* The last line of each text is the one that says it. */
static const struct {
    const char *line;
    int kind; /* 0: nothing of the kind */
    const char *ranks, *host, *signal;
} lines[] = {
    {"mpirun noticed that process rank 1 with PID 0 on node n2 exited on signal 9 (Killed).",
     MB_NOTICE_KILLED, "1", "n2", "9 (Killed)"},
    {"prterun noticed that process rank 12 with PID 77 on node a-b.c exited on signal 11 "
     "(Segmentation fault).",
     MB_NOTICE_KILLED, "12", "a-b.c", "11 (Segmentation fault)"},
    {"  Remote daemon: [[30110,0],1] on node n2", MB_NOTICE_HOST_LOST, "", "n2", ""},
    {"  target node:  n3", MB_NOTICE_HOST_LOST, "", "n3", ""},
    {"ssh: connect to host n4 port 22: No route to host", MB_NOTICE_HOST_LOST, "", "n4", ""},
    {"ssh: Could not resolve hostname n5: Name or service not known", MB_NOTICE_HOST_LOST, "", "n5",
     ""},
    {"srun: error: n1: task 1: Killed", MB_NOTICE_KILLED, "1", "n1", "Killed"},
    {"srun: error: n1: tasks 0-3: Segmentation fault (core dumped)", MB_NOTICE_KILLED, "0-3", "n1",
     "Segmentation fault (core dumped)"},
    {"srun: error: n1: task 0: Out Of Memory", MB_NOTICE_KILLED, "0", "n1", "Out Of Memory"},
    {"srun: error: n1: task 0: Exited with exit code 1", 0, "", "", ""},
    {"srun: error: n1: tasks 2,5: Exited with exit code 85", 0, "", "", ""},
    {"srun: error: Node failure on n2", MB_NOTICE_HOST_LOST, "", "n2", ""},
    {"=   PID 412 RUNNING AT n2\nYOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal "
     "9)",
     MB_NOTICE_KILLED, "", "n2", "9 (Killed)"},
    {"mbrun: error: the run directory 'm.run' is in use by process 7 on n1 (seen 3 s ago); wait",
     MB_NOTICE_BUSY, "", "", ""},
    {"epoch 1/2  step 3/40  loss 0.5", 0, "", "", ""},
    {"Primary job  terminated normally, but 1 process returned", 0, "", "", ""},
    {"", 0, "", "", ""}};

START_TEST(a_launchers_notice_names_rank_host_and_signal)
{
    mb_notice_t notice = {0};
    mb_notice_reader_t reader = {.host = ""};
    char text[512], *rest = text;
    bool found = false;
    snprintf(text, sizeof text, "%s\n", lines[_i].line);
    for (char *line; (line = strsep(&rest, "\n")) != NULL && rest != NULL;)
        found = mb_notice_read(&reader, line, &notice);
    ck_assert_int_eq(found ? (int)notice.kind : 0, lines[_i].kind);
    if (!found)
        return;
    ck_assert_str_eq(notice.ranks, lines[_i].ranks);
    ck_assert_str_eq(notice.host, lines[_i].host);
    ck_assert_str_eq(notice.signal, lines[_i].signal);
}
END_TEST

/* LOST: by the name that the launcher uses. %s: of the hosts file, which is n1 slots=2, # a
 * comment, n2 slots=2, n3 slots=4. */
static const struct {
    const char *command, *hostfile, *lost, *wanted;
} commands[] = {
    {"mpirun -np 4 -H a:2,b:2 mbrun m.h5", NULL, "b", "mpirun -np 2 -H a:2 mbrun m.h5"},
    {"mpirun -np 4 -H a:2,b:2,c:2 mbrun m.h5", NULL, "b", "mpirun -np 4 -H a:2,c:2 mbrun m.h5"},
    {"mpirun -H a,a,b.cluster,b.cluster mbrun m.h5", NULL, "b", "mpirun -H a:2 mbrun m.h5"},
    {"mpirun --host a,b --oversubscribe -n 8 mbrun m.h5", NULL, "b",
     "mpirun --host a:1 --oversubscribe -n 4 mbrun m.h5"},
    {"mpirun -np 8 --hostfile %s mbrun m.h5 -n 3", NULL, "n2",
     "mpirun -np 6 --hostfile LEFT mbrun m.h5 -n 3"},
    {"mpiexec -n 8 mbrun m.h5", "%s", "n3", "mpiexec --hostfile LEFT -n 4 mbrun m.h5"},
    {"mpiexec -n 8 mbrun m.h5", "%s", NULL, "mpiexec --hostfile %s -n 8 mbrun m.h5"},
    {"/opt/bin/mpirun -np 4 -H a:2,b:2 mbrun m.h5 --stages 4 --seed 3", NULL, "a",
     "/opt/bin/mpirun -np 2 -H b:2 mbrun m.h5 --seed 3"},
    {"mpirun -np 4 -H a:2,b:2 mbrun m.h5 --stages=2", NULL, "a",
     "mpirun -np 2 -H b:2 mbrun m.h5 --stages=2"},
    {"env X=1 mpirun -np 2 -H a,b mbrun m.h5", NULL, "a", "env X=1 mpirun -np 1 -H b:1 mbrun m.h5"},
    {"mpirun -np 4 mbrun m.h5", NULL, NULL, "mpirun -np 4 mbrun m.h5"},
    {"sh train.sh", NULL, NULL, "sh train.sh"}};

static int split(char *text, char **words)
{
    int n = 0;
    for (char *word; (word = strsep(&text, " ")) != NULL;)
        words[n++] = word;
    words[n] = NULL;
    return n;
}

/* TEXT, with the name of the file that was made as LEFT. */
static void join(const mb_supervised_t *command, mb_str_t *out)
{
    char *const *words = mb_supervised_words(command);
    for (int i = 0; words[i] != NULL; i++) {
        bool left = command->left_file[0] != '\0' && strcmp(words[i], command->left_file) == 0;
        mb_str_addf(out, "%s%s", i == 0 ? "" : " ", left ? "LEFT" : words[i]);
    }
}

static void write_hosts(char *path)
{
    strcpy(path, "/tmp/mb-hosts.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    fputs("n1 slots=2\n# a comment\nn2 slots=2 max_slots=4\nn3 slots=4\n", file);
    fclose(file);
}

static void check_left(const char *path)
{
    char text[256] = "";
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    ck_assert_uint_gt(n, 0);
    ck_assert_ptr_nonnull(strstr(text, "n1 slots=2\n# a comment\n"));
}

START_TEST(a_command_is_made_for_the_hosts_that_are_left)
{
    char hosts[32], text[512], file[64], wanted[512], *words[32];
    mb_supervised_t command;
    mb_str_t made = {0};
    write_hosts(hosts);
    snprintf(text, sizeof text, commands[_i].command, hosts);
    snprintf(file, sizeof file, commands[_i].hostfile == NULL ? "" : "%s", hosts);
    snprintf(wanted, sizeof wanted, commands[_i].wanted, hosts);
    int n = split(text, words);
    ck_assert_int_eq(
        mb_supervised_open(words, n, commands[_i].hostfile == NULL ? NULL : file, &command), MB_OK);
    if (commands[_i].lost != NULL) {
        mb_host_t *host = mb_supervised_host(&command, commands[_i].lost);
        ck_assert_ptr_nonnull(host);
        host->lost = true;
        ck_assert_int_eq(mb_supervised_rewrite(&command), MB_OK);
    }
    join(&command, &made);
    ck_assert_str_eq(made.text, wanted);
    if (strstr(made.text, "LEFT") != NULL)
        check_left(command.left_file);
    mb_str_free(&made);
    mb_supervised_close(&command);
    unlink(hosts);
}
END_TEST

START_TEST(hosts_in_two_places_are_refused)
{
    char *words[] = {"mpirun", "-H", "a,b", "mbrun", "m.h5", NULL}, hosts[32];
    char *other[] = {"sh", "train.sh", NULL};
    mb_supervised_t command;
    write_hosts(hosts);
    ck_assert_int_eq(mb_supervised_open(words, 5, hosts, &command), MB_ERR_ARGUMENT);
    mb_supervised_close(&command);
    ck_assert_int_eq(mb_supervised_open(other, 2, hosts, &command), MB_ERR_ARGUMENT);
    mb_supervised_close(&command);
    unlink(hosts);
    ck_assert_int_eq(mb_supervised_open(words, 5, "/nowhere", &command), MB_ERR_ARGUMENT);
    mb_supervised_close(&command);
}
END_TEST

static const struct {
    const char *command, *wanted;
} of_job[] = {{"srun -n 6 -N3 --mpi=pmix mbrun m.h5",
               "srun --exclude=n2 --nodes=2 --ntasks=4 --mpi=pmix mbrun m.h5"},
              {"srun mbrun m.h5", "srun --exclude=n2 --nodes=2 --ntasks=4 mbrun m.h5"},
              {"mpirun -np 6 mbrun m.h5", "mpirun -host n1:2,n3:2 -np 4 mbrun m.h5"}};

/* An scontrol that knows three nodes. */
static void fake_scontrol(const char *folder)
{
    char path[64], all[512];
    snprintf(path, sizeof path, "%s/scontrol", folder);
    FILE *file = fopen(path, "w");
    fputs("#!/bin/sh\nprintf 'n1\\nn2\\nn3\\n'\n", file);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0700), 0);
    snprintf(all, sizeof all, "%s:%s", folder, getenv("PATH"));
    setenv("PATH", all, 1);
    setenv("SLURM_JOB_NODELIST", "n[1-3]", 1);
    setenv("SLURM_NTASKS", "6", 1);
}

START_TEST(without_hosts_of_its_own_a_command_has_those_of_the_job)
{
    char folder[] = "/tmp/mb-scontrol.XXXXXX", path[64], text[256], *words[32];
    mb_supervised_t command;
    mb_str_t made = {0};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    fake_scontrol(folder);
    snprintf(text, sizeof text, "%s", of_job[_i].command);
    int n = split(text, words);
    ck_assert_int_eq(mb_supervised_open(words, n, NULL, &command), MB_OK);
    ck_assert_int_eq(command.n_hosts, 3);
    mb_supervised_host(&command, "n2")->lost = true;
    ck_assert_int_eq(mb_supervised_rewrite(&command), MB_OK);
    join(&command, &made);
    ck_assert_str_eq(made.text, of_job[_i].wanted);
    mb_str_free(&made);
    mb_supervised_close(&command);
    snprintf(path, sizeof path, "%s/scontrol", folder);
    unlink(path);
    rmdir(folder);
    unsetenv("SLURM_JOB_NODELIST");
    unsetenv("SLURM_NTASKS");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("supervise");
    TCase *tcase = tcase_create("supervise");
    unsetenv("SLURM_JOB_NODELIST");
    tcase_add_loop_test(tcase, a_launchers_notice_names_rank_host_and_signal, 0,
                        sizeof lines / sizeof lines[0]);
    tcase_add_loop_test(tcase, a_command_is_made_for_the_hosts_that_are_left, 0,
                        sizeof commands / sizeof commands[0]);
    tcase_add_loop_test(tcase, without_hosts_of_its_own_a_command_has_those_of_the_job, 0,
                        sizeof of_job / sizeof of_job[0]);
    tcase_add_test(tcase, hosts_in_two_places_are_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
