/* The batch script of mbrun submit. */
#ifndef MB_CLI_SUBMIT_SCRIPT_H
#define MB_CLI_SUBMIT_SCRIPT_H

#include "base/str.h"
#include "cli/layouts_text.h"

#define MB_SCRIPT_MARK "# Written by mbrun submit" /* its second line begins so */

typedef struct {
    const mb_args_t *args; /* the command line */
    const char *mbrun;     /* the program's path */
    const char *name;      /* of the job */
    const char *folder;    /* it runs in */
    int nodes, ranks;      /* ranks of all nodes */
    int gpus, cpus;        /* of a node; of a rank; 0: not asked for */
    int requeues;
    double seconds;
    const char *options;      /* of the run, as they were given, a line each */
    const mb_layouts_t *plan; /* its first is taken */
    bool goes_on;             /* the run was begun: replicas and micro-batches are its own */
} mb_script_t;

void mb_script_write(const mb_script_t *script, mb_str_t *out);
/* WORD for a shell, and what stands in front of it. */
void mb_script_quote(mb_str_t *out, const char *before, const char *word);
/* The options of the run on the command line, " \\\n    --key=value" each. */
void mb_script_options(const mb_args_t *args, mb_str_t *out);

#endif
