/* Short work shows nothing: the first line comes after half a second. */
#include "cli/bar.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

#define FIRST_SECONDS 0.5
#define LIVE_SECONDS 0.1
enum { MOST_CELLS = 40, AROUND = 40 };

void mb_bar_begin(mb_bar_t *bar, bool quiet)
{
    *bar = (mb_bar_t){.live = !quiet && isatty(STDERR_FILENO)};
}

void mb_bar_end(mb_bar_t *bar)
{
    if (bar->shown)
        fputs("\r\033[K", stderr);
    bar->shown = false;
}

static int width(void)
{
    struct winsize window;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1;
    return known ? window.ws_col - 1 : 79;
}

static void draw(mb_bar_t *bar, double share, double seconds)
{
    char cells[MOST_CELLS + 1], left[32], line[256];
    int all = width() - AROUND, full;
    all = all > MOST_CELLS ? MOST_CELLS : all < 0 ? 0 : all;
    full = (int)(share * all);
    memset(cells, '=', (size_t)full);
    memset(cells + full, ' ', (size_t)(all - full));
    cells[all] = '\0';
    double rest = share > 0 ? seconds * (1 - share) / share : 0;
    int n = snprintf(line, sizeof line, "%s  [%s]  %3.0f %%", bar->what, cells, 100 * share);
    if (share > 0 && rest >= 1 && n > 0 && n < (int)sizeof line)
        snprintf(line + n, sizeof line - (size_t)n, "  %s left",
                 mb_str_seconds(rest, left, sizeof left));
    fprintf(stderr, "\r%.*s\033[K", width(), line);
    bar->shown = true;
}

void mb_bar_show(mb_bar_t *bar, const char *what, int64_t done, int64_t total)
{
    double now = mb_time_seconds();
    if (!bar->live || total <= 0)
        return;
    if (bar->what == NULL || strcmp(bar->what, what) != 0) {
        bar->what = what;
        bar->begun = bar->drawn = now;
    }
    if (now - bar->begun < FIRST_SECONDS || now - bar->drawn < LIVE_SECONDS)
        return;
    double share = (double)done / (double)total;
    draw(bar, share < 0 ? 0 : share > 1 ? 1 : share, now - bar->begun);
    bar->drawn = now;
}
