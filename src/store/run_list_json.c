/* See run_list_json.h. */
#include "store/run_list_json.h"

#include "base/json_value.h"

static json_t *entry_json(const mb_run_entry_t *entry)
{
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:b, s:o, s:s}", "name", entry->name, "bytes",
                  (json_int_t)entry->bytes, "modified", (json_int_t)entry->modified, "seal_holds",
                  (int)entry->holds, "why", mb_json_text(entry->why), "stored", entry->stored);
    json_object_set_new(object, "step", entry->step < 0 ? json_null() : json_integer(entry->step));
    if (entry->has_state) {
        json_object_set_new(object, "epoch", json_integer(entry->epoch));
        json_object_set_new(object, "step_in_epoch", json_integer(entry->step_in_epoch));
    }
    return object;
}

static json_t *lease_json(const mb_lease_view_t *lease)
{
    static const char *const marks[] = {[MB_LEASE_NONE] = "none",
                                        [MB_LEASE_HELD] = "held",
                                        [MB_LEASE_STALE] = "stale",
                                        [MB_LEASE_UNREADABLE] = "unreadable"};
    if (lease->mark == MB_LEASE_NONE || lease->mark == MB_LEASE_UNREADABLE)
        return json_pack("{s:s}", "mark", marks[lease->mark]);
    return json_pack("{s:s, s:s, s:I, s:s, s:f}", "mark", marks[lease->mark], "host",
                     lease->owner.host, "pid", (json_int_t)lease->owner.pid, "job",
                     lease->owner.job, "age_seconds", lease->age);
}

json_t *mb_run_list_json(const mb_run_list_t *list, const char *path)
{
    json_t *files = json_array(), *leftovers = json_array();
    for (int i = 0; i < list->n_entries; i++)
        json_array_append_new(files, entry_json(&list->entries[i]));
    for (int i = 0; i < list->n_leftovers; i++)
        json_array_append_new(leftovers, json_string(list->leftovers[i]));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:s}", "run", path, "files", files,
                     "leftovers", leftovers, "lease", lease_json(&list->lease), "resume",
                     mb_json_text(list->next), "finished", (int)list->finished, "why", list->why);
}
