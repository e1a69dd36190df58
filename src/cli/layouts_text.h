/* The layouts of a number of ranks as `mbrun plan` prints them, and the flags that they follow
 * from.
 */
#ifndef MB_CLI_LAYOUTS_TEXT_H
#define MB_CLI_LAYOUTS_TEXT_H

#include "cli/command.h"
#include "train/layouts.h"

#define MB_FLAG_HARDWARE                                                                           \
    {                                                                                              \
        "hardware", '\0', "FILE.json", "what devices and links can do (doc/planning.md)"           \
    }
#define MB_FLAG_PROFILE                                                                            \
    {                                                                                              \
        "profile", '\0', "FILE.json",                                                              \
            "what layers take, measured: RUN/profile.json, or of mbrun bench --profile"            \
    }
#define MB_FLAG_MEMORY                                                                             \
    {                                                                                              \
        "memory", '\0', "SIZE",                                                                    \
            "what a rank may take: 80G, 512MiB (default: what the hardware file says)"             \
    }

/* What the command's settings and flags ask for: --ranks, --memory, --hardware, --profile. The
 * model is the first word. */
mb_status_t mb_planning_asked(const mb_args_t *args, mb_planning_request_t *out);

void mb_layouts_print(const mb_layouts_t *layouts);

#endif
