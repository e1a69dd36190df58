/* How far a long piece of work is: a line on a terminal that is drawn again and again, and nothing
 * anywhere else. */
#ifndef MB_CLI_BAR_H
#define MB_CLI_BAR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    bool live;
    bool shown;
    const char *what; /* of the work that is drawn */
    double begun, drawn;
} mb_bar_t;

void mb_bar_begin(mb_bar_t *bar, bool quiet);
/* DONE of TOTAL of a piece of work called WHAT; another name begins another piece. */
void mb_bar_show(mb_bar_t *bar, const char *what, int64_t done, int64_t total);
/* Makes room for what is printed next. */
void mb_bar_end(mb_bar_t *bar);

#endif
