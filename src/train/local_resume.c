/* Going on from a local set. Rank 0 hears of all parts that the ranks have at hand, their own and
 * copies, and picks the newest step of which every part is there; who has one reads it, and a part
 * whose checksum does not hold is struck from the list. Then the parts are written into the run's
 * directory, as one checkpoint. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/local_private.h"

/* A part that a rank has. */
typedef struct {
    mb_local_found_t found;
    int64_t holder, index; /* that has it, its number there */
    bool struck;
} claim_t;

/* What is to be taken, as all ranks are told: parts in the order of the ranks that wrote them. */
typedef struct {
    int64_t step; /* -1: nothing */
    int64_t ranks;
    /* Of the newest set that is not complete; -1: there is none newer than what is taken. */
    int64_t lacking_step, lacking, lacking_ranks;
} choice_t;

typedef struct {
    mb_training_t *trainer;
    mb_local_tier_t *tier;
    int n;
    claim_t *own;
    int n_claims;
    claim_t *claims;  /* rank 0: of all */
    claim_t **sorted; /* the same */
    choice_t choice;
    claim_t *taken;         /* [choice.ranks] */
    mb_local_part_t *parts; /* [choice.ranks] those that are read here */
    bool *bad;              /* [n] of own */
} resume_t;

static mb_status_t list_folder(resume_t *r, const char *folder, bool copies)
{
    mb_local_found_t *found = NULL;
    int count = 0;
    MB_TRY(mb_local_list(folder, r->tier->run, &found, &count));
    claim_t *grown = realloc(r->own, (size_t)(r->n + count + 1) * sizeof *grown);
    if (grown == NULL) {
        free(found);
        return mb_error_memory("a list of local checkpoints", 0);
    }
    r->own = grown;
    for (int i = 0; i < count; i++) {
        if (found[i].copy != copies || found[i].key.start != r->tier->last_start)
            continue;
        claim_t *claim = &r->own[r->n];
        memset(claim, 0, sizeof *claim);
        claim->found = found[i];
        claim->holder = mb_comm_rank(r->tier->comm);
        claim->index = r->n++;
    }
    free(found);
    return MB_OK;
}

static mb_status_t list_own(resume_t *r)
{
    MB_TRY(list_folder(r, r->tier->own, false));
    if (r->tier->copies != NULL)
        MB_TRY(list_folder(r, r->tier->copies, true));
    r->bad = calloc((size_t)r->n + 1, sizeof *r->bad);
    return r->bad == NULL || r->own == NULL ? mb_error_memory("a list of local checkpoints", 0)
                                            : MB_OK;
}

static mb_status_t gather_claims(resume_t *r)
{
    size_t *bytes_of = NULL;
    void *all = NULL;
    MB_TRY(mb_comm_agree(r->tier->comm, list_own(r)));
    MB_TRY(
        mb_comm_gather(r->tier->comm, r->own, (size_t)r->n * sizeof *r->own, 0, &all, &bytes_of));
    for (int i = 0; bytes_of != NULL && i < mb_comm_size(r->tier->comm); i++)
        r->n_claims += (int)(bytes_of[i] / sizeof *r->claims);
    free(bytes_of);
    r->claims = all;
    r->sorted = calloc((size_t)r->n_claims + 1, sizeof *r->sorted);
    for (int i = 0; i < r->n_claims && r->sorted != NULL; i++)
        r->sorted[i] = &r->claims[i];
    return mb_comm_agree(r->tier->comm, r->sorted == NULL
                                            ? mb_error_memory("a list of local checkpoints", 0)
                                            : MB_OK);
}

static int compare_counts(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

/* Newest sets first, the parts of a set by rank; of a part the own one before the copy, and before
 * those that are struck. */
static int compare_claims(const void *a, const void *b)
{
    const claim_t *x = *(const claim_t *const *)a, *y = *(const claim_t *const *)b;
    const mb_local_key_t *p = &x->found.key, *q = &y->found.key;
    if (p->step != q->step)
        return compare_counts(q->step, p->step);
    if (p->start != q->start)
        return p->start < q->start ? -1 : 1;
    if (p->ranks != q->ranks)
        return compare_counts(p->ranks, q->ranks);
    if (p->rank != q->rank)
        return compare_counts(p->rank, q->rank);
    if (x->struck != y->struck)
        return x->struck ? 1 : -1;
    return compare_counts(x->found.copy, y->found.copy);
}

static bool same_set(const claim_t *a, const claim_t *b)
{
    return a->found.key.step == b->found.key.step && a->found.key.start == b->found.key.start &&
           a->found.key.ranks == b->found.key.ranks;
}

/* How many parts of the set that begins at AT are at hand; *END: where the next set begins. TAKEN
 * (may be NULL) gets them. */
static int64_t count_parts(const resume_t *r, int at, int *end, claim_t *taken)
{
    int64_t count = 0, last = -1;
    int i = at;
    for (; i < r->n_claims && same_set(r->sorted[i], r->sorted[at]); i++) {
        const claim_t *claim = r->sorted[i];
        if (claim->struck || claim->found.key.rank == last)
            continue;
        last = claim->found.key.rank;
        if (taken != NULL)
            taken[count] = *claim;
        count++;
    }
    *end = i;
    return count;
}

/* Rank 0: where the newest complete set past STEP begins; -1: there is none. */
static int choose(resume_t *r, int64_t step)
{
    choice_t *choice = &r->choice;
    *choice = (choice_t){.step = -1, .lacking_step = -1};
    if (r->n_claims > 0)
        qsort(r->sorted, (size_t)r->n_claims, sizeof *r->sorted, compare_claims);
    for (int at = 0, end; at < r->n_claims && r->sorted[at]->found.key.step > step; at = end) {
        const mb_local_key_t *key = &r->sorted[at]->found.key;
        int64_t there = count_parts(r, at, &end, NULL);
        if (there == key->ranks) {
            choice->step = key->step;
            choice->ranks = key->ranks;
            return at;
        }
        if (choice->lacking_step < 0) {
            choice->lacking_step = key->step;
            choice->lacking = key->ranks - there;
            choice->lacking_ranks = key->ranks;
        }
    }
    return -1;
}

static mb_status_t make_room(resume_t *r)
{
    size_t ranks = (size_t)r->choice.ranks;
    free(r->taken);
    free(r->parts);
    r->taken = calloc(ranks + 1, sizeof *r->taken);
    r->parts = calloc(ranks + 1, sizeof *r->parts);
    return r->taken == NULL || r->parts == NULL
               ? mb_error_memory("the parts of a local checkpoint", ranks * sizeof *r->taken)
               : MB_OK;
}

/* Collective: what rank 0 chose, and of whom. */
static mb_status_t agree_on_choice(resume_t *r, int64_t step)
{
    mb_comm_t *comm = r->tier->comm;
    int at = mb_comm_rank(comm) == 0 ? choose(r, step) : -1, end;
    MB_TRY(mb_comm_broadcast(comm, &r->choice, sizeof r->choice, 0));
    if (r->choice.step < 0)
        return MB_OK;
    MB_TRY(mb_comm_agree(comm, make_room(r)));
    if (at >= 0)
        count_parts(r, at, &end, r->taken);
    return mb_comm_broadcast(comm, r->taken, (size_t)r->choice.ranks * sizeof *r->taken, 0);
}

static void drop_parts(resume_t *r)
{
    for (int64_t rank = 0; r->parts != NULL && rank < r->choice.ranks; rank++)
        mb_local_part_free(&r->parts[rank]);
}

/* Reads what was chosen of this rank; *good: all of it could be. */
static void read_parts(resume_t *r, bool *good)
{
    mb_comm_doing(r->tier->comm, "reading a local checkpoint");
    *good = true;
    for (int64_t rank = 0; rank < r->choice.ranks; rank++) {
        const claim_t *claim = &r->taken[rank];
        if (claim->holder != mb_comm_rank(r->tier->comm))
            continue;
        const char *folder = claim->found.copy ? r->tier->copies : r->tier->own;
        if (mb_local_read(folder, &claim->found.key, claim->found.copy, &r->parts[rank]) == MB_OK)
            continue;
        mb_log(r->tier->log, MB_LOG_WARNING, "%s; it is passed over", mb_error_get());
        r->bad[claim->index] = true;
        *good = false;
    }
}

/* Rank 0 strikes what could not be read. */
static mb_status_t strike(resume_t *r)
{
    size_t *counts = NULL;
    void *all = NULL;
    MB_TRY(mb_comm_gather(r->tier->comm, r->bad, (size_t)r->n * sizeof *r->bad, 0, &all, &counts));
    for (int i = 0; all != NULL && i < r->n_claims; i++)
        r->claims[i].struck = ((const bool *)all)[i];
    free(all);
    free(counts);
    return MB_OK;
}

/* Until all parts of a set are in memory, each on one rank, or no set is left. */
static mb_status_t find_set(resume_t *r, int64_t step)
{
    int size = mb_comm_size(r->tier->comm);
    bool good = false, *all = calloc((size_t)size, sizeof *all);
    mb_status_t status = all == NULL ? mb_error_memory("a list of ranks", 0) : MB_OK;
    status = mb_comm_agree(r->tier->comm, status);
    while (status == MB_OK && !good) {
        bool own = true;
        status = agree_on_choice(r, step);
        if (status != MB_OK || r->choice.step < 0)
            break;
        read_parts(r, &own);
        status = mb_comm_allgather(r->tier->comm, &own, sizeof own, all);
        good = true;
        for (int i = 0; i < size && status == MB_OK; i++)
            good = good && all[i];
        if (status == MB_OK && !good) {
            drop_parts(r);
            status = strike(r);
        }
    }
    free(all);
    return status;
}

/* The layout lies in the first rank's part; everyone gets its bytes. */
static mb_status_t share_layout(resume_t *r, mb_arena_t *arena, mb_checkpoint_layout_t *layout)
{
    mb_comm_t *comm = r->tier->comm;
    int root = (int)r->taken[0].holder;
    uint64_t length = mb_comm_rank(comm) == root ? r->parts[0].layout_bytes : 0;
    MB_TRY(mb_comm_broadcast(comm, &length, sizeof length, root));
    unsigned char *bytes = mb_arena_alloc(arena, (size_t)length + 1);
    MB_TRY(mb_comm_agree(comm, bytes == NULL ? mb_error_memory("a layout", length) : MB_OK));
    if (mb_comm_rank(comm) == root)
        memcpy(bytes, r->parts[0].layout, (size_t)length);
    if (length > 0)
        MB_TRY(mb_comm_broadcast(comm, bytes, (size_t)length, root));
    return mb_comm_agree(comm, mb_local_layout_read(bytes, (size_t)length, arena, layout));
}

static mb_status_t list_pieces(const resume_t *r, mb_arena_t *arena, mb_piece_t **pieces, int *n)
{
    int most = 0;
    for (int64_t rank = 0; rank < r->choice.ranks; rank++)
        most += r->parts[rank].n_pieces;
    *n = 0;
    *pieces = MB_ARENA_ARRAY(arena, mb_piece_t, most + 1);
    if (*pieces == NULL)
        return mb_error_memory("the parts of a local checkpoint", 0);
    for (int64_t rank = 0; rank < r->choice.ranks; rank++) {
        for (int i = 0; i < r->parts[rank].n_pieces; i++)
            (*pieces)[(*n)++] = r->parts[rank].pieces[i];
    }
    return MB_OK;
}

static mb_status_t write_checkpoint(resume_t *r, mb_arena_t *arena, const char *path)
{
    mb_checkpoint_layout_t layout;
    mb_piece_t *pieces;
    int n;
    MB_TRY(share_layout(r, arena, &layout));
    MB_TRY(mb_comm_agree(r->tier->comm, list_pieces(r, arena, &pieces, &n)));
    layout.may_commit = mb_run_dir_check;
    layout.may_commit_user = r->trainer->dir;
    mb_comm_doing(r->tier->comm, "writing a local checkpoint into the run's directory");
    return mb_checkpoint_write(r->tier->comm, path, &layout, pieces, n);
}

/* The run then goes on as from any checkpoint. */
static mb_status_t reopen(mb_training_t *trainer, const char *path)
{
    mb_model_file_close(trainer->resume);
    trainer->resume = NULL;
    trainer->final_step = -1;
    return mb_model_file_open(path, true, false, &trainer->resume);
}

static mb_status_t promote(resume_t *r)
{
    char name[64];
    mb_comm_t *comm = r->tier->comm;
    mb_arena_t *arena = mb_arena_create();
    char *path =
        mb_run_dir_file(r->trainer->dir, mb_run_dir_step_name(r->choice.step, name, sizeof name));
    mb_status_t status =
        arena == NULL || path == NULL ? mb_error_memory("a local checkpoint", 0) : MB_OK;
    status = mb_comm_agree(comm, status);
    if (status == MB_OK)
        status = write_checkpoint(r, arena, path);
    if (status == MB_OK)
        status = mb_comm_agree(comm, reopen(r->trainer, path));
    free(path);
    if (arena != NULL)
        mb_arena_destroy(arena);
    return status;
}

static void say(resume_t *r, int64_t shared)
{
    const choice_t *choice = &r->choice;
    int64_t copies = 0;
    char newest[64] = "no checkpoint";
    if (shared >= 0)
        snprintf(newest, sizeof newest, "step %" PRId64, shared);
    for (int64_t rank = 0; rank < choice->ranks && choice->step >= 0; rank++)
        copies += r->taken[rank].found.copy;
    if (choice->step >= 0)
        mb_training_note(r->trainer,
                         "goes on from step %" PRId64 " of the nodes' local checkpoints (%" PRId64
                         " parts, %" PRId64 " of them partners' copies), newer than %s of the "
                         "run's directory",
                         choice->step, choice->ranks, copies, newest);
    if (choice->lacking_step > choice->step && choice->lacking_step >= 0)
        mb_training_note(
            r->trainer,
            "step %" PRId64 " of the nodes' local checkpoints is not taken: %" PRId64
            " of its %" PRId64 " parts are missing%s",
            choice->lacking_step, choice->lacking, choice->lacking_ranks,
            choice->step >= 0 || shared < 0 ? "" : "; the run goes on from its directory's newest");
}

static mb_status_t resume(resume_t *r)
{
    mb_training_t *trainer = r->trainer;
    int64_t shared = trainer->resume == NULL ? -1 : trainer->resume->state.step;
    MB_TRY(gather_claims(r));
    MB_TRY(find_set(r, shared));
    say(r, shared);
    return r->choice.step < 0 ? MB_OK : promote(r);
}

mb_status_t mb_training_take_local(mb_training_t *trainer)
{
    if (trainer->local == NULL)
        return MB_OK;
    resume_t r = {.trainer = trainer, .tier = trainer->local};
    mb_status_t status = resume(&r);
    drop_parts(&r);
    free(r.own);
    free(r.claims);
    free(r.sorted);
    free(r.taken);
    free(r.parts);
    free(r.bad);
    return status;
}
