/* Schedules by name: the one list of generators. */
#include "pipeline/schedule_private.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { ACTIONS_OF_A_MICRO = 3, MOST_PER_STAGE = 64 };

typedef struct {
    const char *name;
    const char *shown; /* with what may stand behind it */
    int per_stage;     /* 0: as the choice says */
} kind_t;

static const kind_t kinds[] = {
    [MB_SCHEDULE_GPIPE] = {"gpipe", "gpipe", 1},
    [MB_SCHEDULE_1F1B] = {"1f1b", "1f1b", 1},
    [MB_SCHEDULE_INTERLEAVED] = {"interleaved", "interleaved[:CHUNKS]", 0},
    [MB_SCHEDULE_ZB_H1] = {"zb-h1", "zb-h1", 1},
    [MB_SCHEDULE_ZB_H2] = {"zb-h2", "zb-h2", 1},
    [MB_SCHEDULE_ZB_V] = {"zb-v", "zb-v", 2},
    [MB_SCHEDULE_AUTO] = {"auto", "auto[:CHUNKS]", 0},
    [MB_SCHEDULE_FILE] = {"file", "file:PATH", 0},
    [MB_SCHEDULE_UNORDERED] = {"unordered", "unordered:PATH", 0},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static mb_status_t refuse_name(const char *text)
{
    const char *names[N_KINDS];
    mb_str_t known = {0};
    for (size_t i = 0; i < N_KINDS; i++) {
        names[i] = kinds[i].name;
        mb_str_addf(&known, "%s%s", i == 0 ? "" : ", ", kinds[i].shown);
    }
    const char *nearest = mb_str_nearest(text, names, N_KINDS);
    mb_status_t status = mb_error_set(
        MB_ERR_ARGUMENT, "schedule '%s' is not known; there are: %s%s%s", text,
        known.text == NULL ? "" : known.text, nearest == NULL ? "" : "; the nearest one is ",
        nearest == NULL ? "" : nearest);
    mb_str_free(&known);
    return status;
}

/* What stands behind the colon; NULL: there is none. */
static mb_status_t take_rest(const char *text, const char *rest, mb_schedule_choice_t *out)
{
    char *end;
    out->any_order = out->kind == MB_SCHEDULE_UNORDERED;
    if (out->kind == MB_SCHEDULE_FILE || out->any_order) {
        out->kind = MB_SCHEDULE_FILE;
        out->path = rest;
        return rest != NULL && rest[0] != '\0'
                   ? MB_OK
                   : mb_error_set(MB_ERR_ARGUMENT, "schedule '%s': no file is named", text);
    }
    if (rest == NULL)
        return MB_OK;
    long chunks = strtol(rest, &end, 10);
    bool counts = out->kind == MB_SCHEDULE_INTERLEAVED || out->kind == MB_SCHEDULE_AUTO;
    if (!counts || end == rest || *end != '\0')
        return refuse_name(text);
    if (chunks < 2 || chunks > MOST_PER_STAGE)
        return mb_error_set(MB_ERR_ARGUMENT, "schedule '%s': a stage may have from 2 to %d chunks",
                            text, MOST_PER_STAGE);
    out->per_stage = (int)chunks;
    return MB_OK;
}

mb_status_t mb_schedule_parse(const char *text, mb_schedule_choice_t *out)
{
    const char *colon = strchr(text, ':');
    size_t length = colon == NULL ? strlen(text) : (size_t)(colon - text);
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strlen(kinds[i].name) != length || strncmp(kinds[i].name, text, length) != 0)
            continue;
        *out = (mb_schedule_choice_t){.kind = (mb_schedule_kind_t)i,
                                      .per_stage = i == MB_SCHEDULE_AUTO ? 1 : 2};
        return take_rest(text, colon == NULL ? NULL : colon + 1, out);
    }
    return refuse_name(text);
}

static int per_stage(const mb_schedule_choice_t *choice)
{
    return kinds[choice->kind].per_stage > 0 ? kinds[choice->kind].per_stage : choice->per_stage;
}

int mb_schedule_chunks(const mb_schedule_choice_t *choice, int stages)
{
    return choice->kind == MB_SCHEDULE_FILE ? 0 : stages * per_stage(choice);
}

void mb_program_add(mb_program_t *program, mb_action_kind_t kind, int chunk, int micro)
{
    program->actions[program->n++] = (mb_action_t){
        .kind = kind, .chunk = chunk, .micro = micro, .edge = -1, .peer = -1, .tag = -1};
}

static mb_status_t link_chunks(mb_schedule_t *schedule, mb_arena_t *arena)
{
    schedule->first_chunk = MB_ARENA_ARRAY(arena, int, schedule->stages);
    schedule->next_chunk = MB_ARENA_ARRAY(arena, int, schedule->chunks);
    if (schedule->first_chunk == NULL || schedule->next_chunk == NULL)
        return mb_error_memory("a schedule", (size_t)schedule->chunks * sizeof(int));
    for (int s = 0; s < schedule->stages; s++)
        schedule->first_chunk[s] = -1;
    for (int c = schedule->chunks - 1; c >= 0; c--) {
        schedule->next_chunk[c] = schedule->first_chunk[schedule->stage_of[c]];
        schedule->first_chunk[schedule->stage_of[c]] = c;
    }
    return MB_OK;
}

mb_status_t mb_schedule_room(mb_schedule_t *schedule, mb_arena_t *arena)
{
    MB_TRY(link_chunks(schedule, arena));
    size_t most = (size_t)schedule->micros * ACTIONS_OF_A_MICRO;
    schedule->slots = MB_ARENA_ARRAY(arena, int, schedule->chunks);
    schedule->programs = MB_ARENA_ARRAY(arena, mb_program_t, schedule->stages);
    if (schedule->slots == NULL || schedule->programs == NULL)
        return mb_error_memory("a schedule", sizeof(mb_program_t));
    for (int s = 0; s < schedule->stages; s++) {
        size_t chunks = 0;
        for (int c = schedule->first_chunk[s]; c >= 0; c = schedule->next_chunk[c])
            chunks++;
        schedule->programs[s].actions = MB_ARENA_ARRAY(arena, mb_action_t, most * chunks);
        if (schedule->programs[s].actions == NULL)
            return mb_error_memory("a schedule", most * chunks * sizeof(mb_action_t));
    }
    return MB_OK;
}

int mb_schedule_stage_of(mb_schedule_kind_t kind, int stages, int chunk)
{
    bool turns = kind == MB_SCHEDULE_ZB_V || kind == MB_SCHEDULE_AUTO;
    bool back = turns && chunk / stages % 2 != 0;
    return back ? stages - 1 - chunk % stages : chunk % stages;
}

static mb_status_t place_chunks(const mb_schedule_choice_t *choice, mb_arena_t *arena,
                                mb_schedule_t *out)
{
    out->chunks = mb_schedule_chunks(choice, out->stages);
    out->stage_of = MB_ARENA_ARRAY(arena, int, out->chunks);
    if (out->stage_of == NULL)
        return mb_error_memory("a schedule", (size_t)out->chunks);
    for (int c = 0; c < out->chunks; c++)
        out->stage_of[c] = mb_schedule_stage_of(choice->kind, out->stages, c);
    return mb_schedule_room(out, arena);
}

static mb_status_t generate(const mb_schedule_choice_t *choice, bool training, mb_arena_t *arena,
                            mb_schedule_t *out)
{
    bool one = per_stage(choice) == 1; /* on one stage, too, zero bubbles are 1F1B */
    bool v = choice->kind == MB_SCHEDULE_ZB_V && training && out->micros >= 2 * out->stages;
    if (choice->kind == MB_SCHEDULE_AUTO && training)
        return mb_schedule_auto(choice, out);
    if (choice->kind == MB_SCHEDULE_GPIPE || (one && !training))
        mb_schedule_gpipe(out, training);
    else if (choice->kind == MB_SCHEDULE_1F1B || (one && out->stages == 1))
        mb_schedule_1f1b(out);
    else if (v)
        mb_schedule_v(out);
    else
        return mb_schedule_limited(choice->kind, training, arena, out);
    return MB_OK;
}

/* ---- slots */

static bool ends_use(bool training, mb_action_kind_t kind)
{
    return training ? kind == MB_ACTION_W || kind == MB_ACTION_BW : kind == MB_ACTION_F;
}

/* Micro-batches in flight at most in chunk C: what the later chunks of its stage read stays until
 * they are done with it, too. DONE: [chunks] room for counting. */
static int most_in_flight(const mb_schedule_t *schedule, bool training, int c, int *done)
{
    const mb_program_t *program = &schedule->programs[schedule->stage_of[c]];
    int begun = 0, most = 0, freed = 0;
    for (int other = c; other >= 0; other = schedule->next_chunk[other])
        done[other] = 0;
    for (int i = 0; i < program->n; i++) {
        const mb_action_t *action = &program->actions[i];
        begun += action->chunk == c && action->kind == MB_ACTION_F;
        most = begun - freed > most ? begun - freed : most;
        done[action->chunk] += ends_use(training, action->kind);
        freed = begun;
        for (int other = c; other >= 0; other = schedule->next_chunk[other])
            freed = done[other] < freed ? done[other] : freed;
    }
    return most;
}

/* Without a backward two slots keep messages and computation apart, where there are messages. A
 * micro-batch has one of its own where they do not go back in the order that they came in. */
static mb_status_t count_slots(mb_schedule_t *schedule, bool training, mb_arena_t *arena)
{
    int spare = training || schedule->stages == 1 ? 1 : 2;
    int *done = MB_ARENA_ARRAY(arena, int, schedule->chunks);
    if (done == NULL)
        return mb_error_memory("a schedule", (size_t)schedule->chunks * sizeof(int));
    for (int c = 0; c < schedule->chunks; c++) {
        int most = schedule->turns != NULL ? schedule->micros
                                           : most_in_flight(schedule, training, c, done);
        most = most < spare ? spare : most;
        schedule->slots[c] = most < schedule->micros ? most : schedule->micros;
    }
    return MB_OK;
}

/* ---- recomputation */

typedef struct {
    const mb_schedule_t *schedule;
    const bool *again; /* [chunks] NULL: all of them */
    mb_action_t *actions;
    int n;
    int chunk, micro; /* that the stage's place for what is not kept was written for */
} recomputing_t;

static void add_with_forward(recomputing_t *r, const mb_action_t *action)
{
    bool again = r->again == NULL || r->again[action->chunk];
    bool held = r->chunk == action->chunk && r->micro == action->micro;
    if (!again && action->kind == MB_ACTION_R)
        return;
    if (again && action->kind != MB_ACTION_F && action->kind != MB_ACTION_R && !held) {
        r->actions[r->n] = *action;
        r->actions[r->n++].kind = MB_ACTION_R;
    }
    if (!mb_chunk_lasts(r->schedule->slots[action->chunk], again)) {
        r->chunk = action->chunk;
        r->micro = action->micro;
    }
    r->actions[r->n++] = *action;
}

mb_status_t mb_schedule_recompute(mb_schedule_t *schedule, const bool *again, mb_arena_t *arena)
{
    recomputing_t r = {.schedule = schedule, .again = again};
    for (int s = 0; s < schedule->stages; s++) {
        mb_program_t *program = &schedule->programs[s];
        r.n = 0;
        r.chunk = r.micro = -1;
        r.actions = MB_ARENA_ARRAY(arena, mb_action_t, 2 * (size_t)program->n);
        if (r.actions == NULL)
            return mb_error_memory("a schedule", 2 * (size_t)program->n * sizeof(mb_action_t));
        for (int i = 0; i < program->n; i++)
            add_with_forward(&r, &program->actions[i]);
        program->actions = r.actions;
        program->n = r.n;
    }
    return MB_OK;
}

static mb_status_t finish(mb_schedule_t *schedule, bool training, mb_arena_t *arena)
{
    for (int s = 0; s < schedule->stages; s++) {
        mb_program_t *program = &schedule->programs[s];
        for (int i = 0; i < program->n; i++)
            program->splits_backward =
                program->splits_backward || program->actions[i].kind == MB_ACTION_W;
    }
    return count_slots(schedule, training, arena);
}

/* Forward only, the chunks of a file go as those of an interleaved schedule, wherever they lie. */
static mb_status_t make_from_file(const mb_schedule_choice_t *choice, bool training,
                                  mb_arena_t *arena, mb_schedule_t *out)
{
    int stages = out->stages, micros = out->micros;
    MB_TRY(mb_schedule_read(choice, arena, out));
    if (out->stages != stages)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: a schedule of %d stages (a line each), but there are %d: say "
                            "--stages %d",
                            choice->path, out->stages, stages, out->stages);
    if (!training) {
        out->turns = NULL;
        out->micros = micros;
        MB_TRY(mb_schedule_room(out, arena));
        return mb_schedule_limited(choice->kind, false, arena, out);
    }
    if (out->micros == micros)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: a schedule of %d micro-batches, but a pipeline has %d in a step: "
                        "choose --batch, --micro-batch and --replicas so that it has as many",
                        choice->path, out->micros, micros);
}

/* Without segments, slots and what is computed again. */
static mb_status_t make_whole(const mb_schedule_choice_t *choice, int segments, bool training,
                              mb_arena_t *arena, mb_schedule_t *out)
{
    mb_schedule_choice_t whole = *choice;
    if (choice->kind == MB_SCHEDULE_FILE)
        return make_from_file(choice, training, arena, out);
    MB_TRY(place_chunks(choice, arena, out));
    if (segments > 1)
        MB_TRY(mb_schedule_join_segments(&whole, out->chunks, segments, arena));
    return generate(&whole, training, arena, out);
}

mb_status_t mb_schedule_make(const mb_schedule_choice_t *choice, bool training, int stages,
                             int micros, mb_arena_t *arena, mb_schedule_t *out)
{
    int segments = mb_schedule_segments(choice, training);
    *out = (mb_schedule_t){.stages = stages, .micros = micros};
    MB_TRY(make_whole(choice, segments, training, arena, out));
    if (segments > 1)
        MB_TRY(mb_schedule_cut_segments(out, segments, arena));
    MB_TRY(finish(out, training, arena));
    return training && choice->recomputes ? mb_schedule_recompute(out, choice->again, arena)
                                          : MB_OK;
}
