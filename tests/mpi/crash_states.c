/* Makes the states that crashes may leave of a recorded run, and checks that each can be gone on
 * from (support/crash_state.h and crash_check.h say what is possible and what is demanded).
 *
 *     crash_states states RECORD BEFORE FOLDER RUN SEED COUNT [EVERY SAMPLES]
 *     crash_states syncs  RECORD BEFORE FOLDER RUN SEED COUNT
 *
 * RECORD: of recording_io.c. BEFORE: a copy of the recorded directory as it was. FOLDER: where
 * states are laid. RUN: the run directory in it; "=RUN": the run replaces what is there
 * (--restart).
 *
 * "states" tries the state after each call, states in which one call is missing or alone, and COUNT
 * random ones by SEED; equal ones once. Each EVERY-th is also laid into a folder of SAMPLES, to be
 * resumed. "syncs" takes each sync in turn for not done: a sync without which no state breaks is
 * one too many. Prints what is wrong and a line of totals; the exit code is 1 when anything is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "support/crash_check.h"

enum { SEEN_SLOTS = 1 << 20 };

typedef struct {
    crash_record_t record;
    crash_check_t check;
    crash_state_t state;
    uint64_t *seen; /* hashes of states and demands; 0: free */
    size_t n_states, n_faults;
    size_t most_shown; /* faults */
    size_t every;      /* 0: no samples */
    const char *samples;
    const int64_t *usual; /* what lasts when no sync is omitted; NULL: any call is tried */
} campaign_t;

static bool is_new(campaign_t *campaign, uint64_t key)
{
    size_t slot = key % SEEN_SLOTS;
    key = key == 0 ? 1 : key;
    while (campaign->seen[slot] != 0) {
        if (campaign->seen[slot] == key)
            return false;
        slot = (slot + 1) % SEEN_SLOTS;
    }
    if (campaign->n_states > SEEN_SLOTS / 2)
        crash_give_up("more states than there is room for");
    campaign->seen[slot] = key;
    return true;
}

static void show(const campaign_t *campaign, const crash_recipe_t *recipe, const char *fault)
{
    static const char *const kinds[CRASH_KINDS] = {[CRASH_ALL] = "all",
                                                   [CRASH_NOTHING] = "only what lasts",
                                                   [CRASH_NAMES] = "names up to",
                                                   [CRASH_WITHOUT] = "without",
                                                   [CRASH_ALONE] = "only what lasts and",
                                                   [CRASH_RANDOM] = "random"};
    static const char *const fates[CRASH_FATES] = {"lost", "whole", "its length alone", "torn"};
    if (campaign->n_faults <= campaign->most_shown)
        printf("fault: after call %zu, %s %zu (%s), seed %llu: %s\n", recipe->end,
               kinds[recipe->kind], recipe->call, fates[recipe->fate],
               (unsigned long long)recipe->seed, fault);
}

static void lay_sample(const campaign_t *campaign)
{
    char path[4096];
    if (campaign->every == 0 || campaign->n_states % campaign->every != 0)
        return;
    snprintf(path, sizeof path, "%s/%zu", campaign->samples, campaign->n_states);
    if (mkdir(path, 0777) != 0)
        crash_give_up("cannot make '%s'", path);
    crash_state_lay(&campaign->state, path);
}

/* Whether the state is right, or was tried before. */
static bool try_state(campaign_t *campaign, const crash_recipe_t *recipe)
{
    crash_state_make(&campaign->state, recipe);
    uint64_t demand = crash_check_demand(&campaign->check, recipe->end);
    if (!is_new(campaign, crash_mix(crash_state_hash(&campaign->state), demand)))
        return true;
    campaign->n_states++;
    lay_sample(campaign);
    const char *fault = crash_check(&campaign->check, &campaign->state, recipe->end);
    if (fault == NULL)
        return true;
    campaign->n_faults++;
    show(campaign, recipe, fault);
    return false;
}

/* Whether something may become of a call by END: it does not last, though it would usually. */
static bool is_open(const campaign_t *campaign, size_t call, size_t end)
{
    const crash_call_t *about = &campaign->record.calls[call];
    return (crash_is_name_call(about) || crash_is_file_call(about)) &&
           campaign->state.lasts[call] >= (int64_t)end &&
           (campaign->usual == NULL || campaign->usual[call] != campaign->state.lasts[call]);
}

static bool try_without(campaign_t *campaign, size_t call, size_t end)
{
    crash_recipe_t recipe = {.kind = CRASH_WITHOUT, .end = end, .call = call};
    bool write = campaign->record.calls[call].kind == IO_WRITE, right = true;
    for (crash_fate_t fate = CRASH_LOST; fate < CRASH_FATES; fate++) {
        recipe.fate = fate;
        recipe.seed = crash_mix(end, call);
        if (fate == CRASH_LOST || (write && fate != CRASH_WHOLE))
            right = try_state(campaign, &recipe) && right;
    }
    return right;
}

static bool try_names(campaign_t *campaign, size_t call, size_t end)
{
    crash_recipe_t recipe = {.kind = CRASH_NAMES, .end = end, .call = call};
    bool right = true;
    for (crash_fate_t fate = CRASH_LOST; fate < CRASH_TORN; fate++) {
        recipe.fate = fate;
        right = try_state(campaign, &recipe) && right;
    }
    return right;
}

/* States in which one call has another fate than the others. */
static bool try_single_calls(campaign_t *campaign, size_t end)
{
    bool right = true;
    for (size_t call = 0; call < end; call++) {
        if (!is_open(campaign, call, end))
            continue;
        right = try_without(campaign, call, end) && right;
        if (crash_is_name_call(&campaign->record.calls[call]))
            right = try_names(campaign, call, end) && right;
        right =
            try_state(campaign, &(crash_recipe_t){.kind = CRASH_ALONE, .end = end, .call = call}) &&
            right;
    }
    return right;
}

/* Writes follow each other in rows, and what is true within a row is true at its end. */
static bool is_turn(const crash_record_t *record, size_t end)
{
    return end == 0 || end == record->n_calls || record->calls[end].kind != IO_WRITE ||
           record->calls[end - 1].kind != IO_WRITE ||
           record->calls[end].file != record->calls[end - 1].file;
}

static bool try_end(campaign_t *campaign, size_t end)
{
    bool right = try_state(campaign, &(crash_recipe_t){.kind = CRASH_ALL, .end = end});
    right = try_state(campaign, &(crash_recipe_t){.kind = CRASH_NOTHING, .end = end}) && right;
    return (!is_turn(&campaign->record, end) || try_single_calls(campaign, end)) && right;
}

static void try_random(campaign_t *campaign, uint64_t seed, size_t count)
{
    size_t ends = campaign->record.n_calls + 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t own = crash_mix(seed, i);
        try_state(campaign,
                  &(crash_recipe_t){.kind = CRASH_RANDOM, .end = own % ends, .seed = own});
    }
}

static void try_all(campaign_t *campaign, uint64_t seed, size_t count)
{
    for (size_t end = 0; end <= campaign->record.n_calls; end++)
        try_end(campaign, end);
    try_random(campaign, seed, count);
}

/* ---- each sync left out */

static const char *target_of(const crash_record_t *record, const crash_call_t *sync)
{
    const char *path = sync->path[0] == '\0' ? "the directory above" : sync->path;
    for (size_t i = 0; sync->kind == IO_SYNC && i < record->n_calls; i++) {
        const crash_call_t *call = &record->calls[i];
        if ((call->kind == IO_CREATE || call->kind == IO_OPEN || call->kind == IO_RENAME) &&
            call->file == sync->file)
            path = call->kind == IO_RENAME ? call->to : call->path;
    }
    return path;
}

static bool breaks_without(campaign_t *campaign, size_t sync, const int64_t *usual)
{
    bool right = true;
    crash_state_create(&campaign->record, (int64_t)sync, &campaign->state);
    campaign->usual = usual;
    for (size_t end = sync + 1; end <= campaign->record.n_calls && right; end++)
        right = try_end(campaign, end);
    crash_state_free(&campaign->state);
    return !right;
}

static void leave_syncs_out(campaign_t *campaign)
{
    crash_state_t usual = campaign->state;
    const crash_record_t *record = &campaign->record;
    size_t n = 0, needless = 0;
    for (size_t i = 0; i < record->n_calls; i++) {
        if (!crash_is_sync(&record->calls[i]))
            continue;
        n++;
        printf("sync %zu (call %zu), of %s by rank %d: ", n, i,
               target_of(record, &record->calls[i]), record->calls[i].rank);
        campaign->n_faults = 0;
        if (breaks_without(campaign, i, usual.lasts))
            continue;
        printf("nothing breaks without it\n");
        needless++;
    }
    campaign->state = usual;
    campaign->n_faults = needless;
    printf("syncs %zu, needless %zu\n", n, needless);
}

static size_t count_of(const char *text)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0')
        crash_give_up("'%s' is not a number", text);
    return (size_t)value;
}

int main(int argc, char **argv)
{
    bool syncs = argc == 8 && strcmp(argv[1], "syncs") == 0;
    if (!syncs && ((argc != 8 && argc != 10) || strcmp(argv[1], "states") != 0))
        crash_give_up("states|syncs RECORD BEFORE FOLDER RUN SEED COUNT [EVERY SAMPLES]");
    campaign_t campaign = {.seen = calloc(SEEN_SLOTS, sizeof *campaign.seen),
                           .most_shown = syncs ? 1 : 20};
    if (campaign.seen == NULL)
        crash_give_up("out of memory");
    crash_record_read(argv[2], argv[3], &campaign.record);
    campaign.check = (crash_check_t){.record = &campaign.record,
                                     .folder = argv[4],
                                     .run = argv[5] + (argv[5][0] == '='),
                                     .other_run = argv[5][0] == '='};
    if (argc == 10) {
        campaign.every = count_of(argv[8]);
        campaign.samples = argv[9];
    }
    crash_state_create(&campaign.record, -1, &campaign.state);
    if (syncs)
        leave_syncs_out(&campaign);
    else
        try_all(&campaign, count_of(argv[6]), count_of(argv[7]));
    printf("calls %zu, saves %zu, states %zu, faults %zu\n", campaign.record.n_calls,
           campaign.record.n_promises, campaign.n_states, campaign.n_faults);
    crash_state_free(&campaign.state);
    return campaign.n_faults > 0;
}
