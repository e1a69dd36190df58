/* What can be told of the program that started this rank. */
#ifndef MB_ENGINE_LAUNCHER_H
#define MB_ENGINE_LAUNCHER_H

#include <stdbool.h>

/* Ranks of the job that Open MPI's launcher started; 0: it was another one, or none. */
int mb_launcher_ranks(void);
/* The process on this node of which it is a child, or a child's child: mpirun, or its daemon; 0: it
 * cannot be told. */
int mb_launcher_process(void);
/* Whether somebody told it which cores ranks are bound to: its settings, or its command line, which
 * PROCESS has on one node of the job. */
bool mb_launcher_was_asked(int process);

#endif
