/* See time_text.h. Each table: a head, its rows, and the whole that they add up to. */
#include "cli/time_text.h"

#include <stdio.h>

#include "base/str.h"

static void rate(const mb_time_row_t *row, char *text, size_t capacity)
{
    text[0] = '\0';
    if (row->flops > 0)
        snprintf(text, capacity, "%.1f GFLOP/s", row->flops * 1e-9);
    else if (row->bytes > 0)
        snprintf(text, capacity, "%.1f GB/s", row->bytes * 1e-9);
}

static void say_row(const mb_time_report_t *report, const mb_time_row_t *row,
                    char line[MB_TIME_LINE])
{
    char mean[32], most[32], speed[32], rank[32] = "";
    rate(row, speed, sizeof speed);
    if (report->ranks > 1)
        snprintf(rank, sizeof rank, "%12s on %d", mb_str_seconds(row->most, most, sizeof most),
                 row->most_rank);
    snprintf(line, MB_TIME_LINE, "%-10s%-26s%9lld%12s%8.2f %%%s%s%s", "", row->name,
             (long long)row->count, mb_str_seconds(row->mean, mean, sizeof mean),
             report->seconds > 0 ? 100 * row->mean / report->seconds : 0, rank,
             speed[0] == '\0' ? "" : "   ", speed);
}

static void say_head(const mb_time_report_t *report, const char *lead, const char *what,
                     char line[MB_TIME_LINE])
{
    snprintf(line, MB_TIME_LINE, "%-10s%-26s%9s%12s%10s%s", lead, what, "count", "time", "share",
             report->ranks > 1 ? "        most" : "");
}

static void say_whole(const mb_time_report_t *report, char line[MB_TIME_LINE])
{
    char seconds[32], name[64];
    snprintf(name, sizeof name, "%lld step%s", (long long)report->steps,
             report->steps == 1 ? "" : "s");
    snprintf(line, MB_TIME_LINE, "%-10s%-26s%9s%12s%8.2f %%", "", name, "",
             mb_str_seconds(report->seconds, seconds, sizeof seconds), 100.0);
}

bool mb_time_line(const mb_time_report_t *report, int i, char line[MB_TIME_LINE])
{
    int second = report->n_activities + 2, end = second + report->n_operations + 2;
    if (i >= end)
        return false;
    if (i == 0)
        say_head(report, "profile", "by action", line);
    else if (i == second)
        say_head(report, "", "by operation", line);
    else if (i == second - 1 || i == end - 1)
        say_whole(report, line);
    else
        say_row(report,
                i < second ? &report->activities[i - 1] : &report->operations[i - second - 1],
                line);
    return true;
}

static json_t *rows_of(const mb_time_row_t *rows, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        const mb_time_row_t *row = &rows[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:f, s:f, s:i, s:f, s:f}", "name",
                                              row->name, "count", (json_int_t)row->count, "seconds",
                                              row->mean, "most_seconds", row->most, "most_rank",
                                              row->most_rank, "flops_per_second", row->flops,
                                              "bytes_per_second", row->bytes));
    }
    return list;
}

json_t *mb_time_json(const mb_time_report_t *report)
{
    return json_pack("{s:s, s:I, s:i, s:f, s:o, s:o}", "event", "profile", "steps",
                     (json_int_t)report->steps, "ranks", report->ranks, "seconds", report->seconds,
                     "actions", rows_of(report->activities, report->n_activities), "operations",
                     rows_of(report->operations, report->n_operations));
}
