/* The inside of a check, shared by its files. */
#ifndef MB_TRAIN_CHECK_PRIVATE_H
#define MB_TRAIN_CHECK_PRIVATE_H

#include "train/check.h"
#include "train/digests.h"

typedef struct {               /* the micro-batch that is checked, in this step */
    int64_t number;            /* among those of the global batch */
    int64_t position;          /* of its first sample */
    int index;                 /* in its own group */
    bool adds;                 /* its gradients of weights go into a sum with those before it */
    int owner, partner, third; /* groups; the third may be the owner again */
} mb_checked_t;

enum { MB_CHECK_TEXT = 1536 };

typedef struct { /* of all ranks the one with the lowest key counts */
    int64_t key; /* INT64_MAX: nothing differs */
    bool of_micro;
    int stage, part, node;
    char text[MB_CHECK_TEXT];
} mb_verdict_t;

struct mb_check {
    mb_check_options_t options;
    mb_digests_t own;
    mb_digester_t digester;
    mb_look_t look;
    mb_checked_t checked;
    char *messages; /* [groups] of the stage, on its rank of group 0; NULL elsewhere */
};

/* check_compare.c: what the stage's messages say; on the rank that has them. */
void mb_check_compare(const mb_check_t *check, mb_verdict_t *out);
/* Whose fault it is, of what VERDICT says differs and a third computation has come to. */
void mb_check_blame(const mb_check_t *check, const uint64_t *third, mb_verdict_t *verdict);

#endif
