/* What MPI does without a look at deadlines: its start, its end, and its abort. A rank that does
 * not come, or a host that is cut off, would keep the others in it for ever. */
#ifndef MB_CLI_BOUNDED_H
#define MB_CLI_BOUNDED_H

/* From now on the process ends with CODE when SECONDS have passed, and says so: WHAT, a clause.
 * NULL: it ends in silence. RANK: others give the lower ones the time to speak first. */
void mb_bounded_begin(double seconds, int rank, const char *what, int code);
void mb_bounded_end(void);

#endif
