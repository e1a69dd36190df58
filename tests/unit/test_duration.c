/* Spans of time, as they are written. */
#include <check.h>

#include "base/duration.h"

static const struct {
    const char *text;
    double seconds; /* 0: refused */
} texts[] = {{"90s", 90},
             {"30min", 1800},
             {"30m", 1800},
             {"2h", 7200},
             {"1.5h", 5400},
             {"2d", 172800},
             {"1h30min", 5400},
             {"1d2h3m4s", 93784},
             {"10:30", 630},
             {"02:30:00", 9000},
             {"1-12", 129600},
             {"1-12:30", 131400},
             {"1-12:00:05", 129605},
             {"", 0},
             {"0s", 0},
             {"00:00:00", 0},
             {"90", 0},
             {"h", 0},
             {"2 h", 0},
             {"2hours", 0},
             {"-2h", 0},
             {"1h-2", 0},
             {"1:2:3:4", 0},
             {"1-2:3:4:5", 0},
             {":30", 0},
             {"1:", 0},
             {"1-", 0},
             {"infs", 0},
             {"nans", 0},
             {"1e300d", 93784e300}};

START_TEST(a_duration_is_read_or_refused)
{
    double seconds = -1;
    bool read = mb_duration_parse(texts[_i].text, &seconds);
    ck_assert_msg(read == (texts[_i].seconds > 0), "'%s'", texts[_i].text);
    if (read && texts[_i].seconds < 1e9)
        ck_assert_double_eq(seconds, texts[_i].seconds);
}
END_TEST

START_TEST(a_duration_is_written_as_slurm_reads_it)
{
    char text[MB_DURATION_TEXT];
    ck_assert_str_eq(mb_duration_slurm(0.2, text, sizeof text), "00:00:01");
    ck_assert_str_eq(mb_duration_slurm(9000, text, sizeof text), "02:30:00");
    ck_assert_str_eq(mb_duration_slurm(86400, text, sizeof text), "1-00:00:00");
    ck_assert_str_eq(mb_duration_slurm(129605, text, sizeof text), "1-12:00:05");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("duration");
    TCase *tcase = tcase_create("duration");
    tcase_add_loop_test(tcase, a_duration_is_read_or_refused, 0, sizeof texts / sizeof texts[0]);
    tcase_add_test(tcase, a_duration_is_written_as_slurm_reads_it);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
