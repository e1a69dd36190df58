/* Signals held back while kernels run that are not to be interrupted: oneDNN's products move the
 * stack pointer into a buffer of theirs (seen in 2.6.3), and the frame of a handler that does not
 * ask for a stack of its own is then written over what lies below it. Threads of a team have all
 * signals blocked from the start; this is for their caller, which is the host's thread. */
#ifndef MB_DEVICE_CPU_HOLD_H
#define MB_DEVICE_CPU_HOLD_H

/* From the first call on, until the release, this thread takes no signals but those of its own
 * faults. A pair costs about as much as two system calls: one pair for all the kernels of an
 * operation. */
void mb_hold_signals(void);
void mb_release_signals(void);

#endif
