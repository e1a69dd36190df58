/* Who is there, where the ranks of a job could not be brought together. */
#ifndef MB_CLI_ROLL_H
#define MB_CLI_ROLL_H

#include <stddef.h>

/* On ranks 0 and 1, for a second: "; rank 2 has not come" in TEXT, "" where all have, or nothing
 * can be said. The others tell that they have come. Not collective; MPI is lost afterwards. */
void mb_roll_call(char *text, size_t capacity);

#endif
