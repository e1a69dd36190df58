/* The numbers that messages are told apart by. */
#ifndef MB_COMM_TAGS_H
#define MB_COMM_TAGS_H

/* Tags: the transport's messages use [0, MB_TAG_TRANSPORT_END), reductions and small exchanges what
 * follows, up to 32767. */
enum {
    MB_TAG_TRANSPORT_END = 28000,
    MB_TAG_REDUCE = 28000,
    MB_TAG_REDUCE_END = 32000,
    MB_TAG_REDUCE_EACH = 4, /* of each sum that may be under way */
    MB_TAG_EXCHANGE = 32300,
    MB_TAG_SCALARS = 32400,
    MB_TAG_NORMS = 32500,
    MB_TAG_JUDGE = 32600,   /* whether a step's numbers are finite, and where the first is not */
    MB_TAG_CHECK = 32610,   /* digests */
    MB_TAG_COPIES = 32700,  /* of local checkpoints */
    MB_TAG_SAMPLES = 32720, /* that ranks hold: moved at the start */
    MB_TAG_SAMPLES_ASK = 32730,
    MB_TAG_SAMPLES_SENT = 32731
};

#endif
