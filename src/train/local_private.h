/* Between the files of local_tier.h. */
#ifndef MB_TRAIN_LOCAL_PRIVATE_H
#define MB_TRAIN_LOCAL_PRIVATE_H

#include "train/local_tier.h"
#include "train/settings.h"
#include "train/trainer_private.h"

struct mb_local_tier {
    mb_comm_t *comm;
    const mb_log_t *log;
    char *own, *copies; /* folders; copies NULL: none are made */
    uint64_t run, start;
    uint64_t last_start; /* whose sets may be taken; 0: nobody's */
    int partner;         /* that gets this rank's copy; -1: none */
    int n_clients;
    int *clients; /* ranks whose copies come here */
    int on_host;  /* ranks of this host */
    bool on;
    mb_cadence_t cadence;
    double last;
    int64_t saved, before; /* steps of the two newest sets; -1: none yet */
};

/* local_copies.c: who copies to whom. HOSTS: [size] hashes of names. A rank's partner is one of the
 * next host, in the order of the hosts' first ranks; on a single host the next rank. */
mb_status_t mb_local_pair(mb_local_tier_t *tier, const uint64_t *hosts);
/* Collective: IMAGE goes to the partner, and what comes is written. *WRITTEN: whether that could
 * be. Fails only where the ranks cannot talk. */
mb_status_t mb_local_exchange(mb_local_tier_t *tier, const mb_local_image_t *image,
                              mb_local_key_t key, mb_status_t *written);

#endif
