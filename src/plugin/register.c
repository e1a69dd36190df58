/* What a plugin, or the program itself, registers. */
#include "plugin/register.h"

#include "base/philox.h"
#include "plugin/inside.h"

static mb_status_t add_all(const mb_plugin_t *plugin)
{
    for (int i = 0; i < plugin->n_layers; i++) {
        const mb_layer_class_t *class_;
        MB_TRY(mb_plugin_class_of(plugin->layers[i], &class_));
        MB_TRY(mb_layer_class_add(class_));
    }
    for (int i = 0; i < plugin->n_losses; i++) {
        const mb_loss_class_t *class_;
        MB_TRY(mb_plugin_loss_class_of(plugin->losses[i], &class_));
        MB_TRY(mb_loss_class_add(class_));
    }
    for (int i = 0; i < plugin->n_sources; i++)
        MB_TRY(mb_source_plugin_add(plugin->sources[i]));
    return MB_OK;
}

mb_status_t mb_plugin_enter(mb_plugin_entry_t entry)
{
    mb_plugin_t plugin = {.n_layers = 0};
    MB_TRY(entry(&mb_plugin_host, &plugin));
    return add_all(&plugin);
}

/* ---- of the program's own */

enum { MOST_ENTERED = 64 };
static struct {
    mb_plugin_entry_t entry;
    uint64_t names;
} entered[MOST_ENTERED];
static int n_entered;

static uint64_t add_name(uint64_t digest, const char *name)
{
    return digest * 31 + mb_hash_name(name);
}

/* Of what ranks must register alike. */
static uint64_t digest_names(const mb_plugin_t *plugin)
{
    uint64_t digest = 1;
    for (int i = 0; i < plugin->n_layers; i++)
        digest = add_name(digest, plugin->layers[i]->name);
    for (int i = 0; i < plugin->n_losses; i++)
        digest = add_name(digest, plugin->losses[i]->name);
    for (int i = 0; i < plugin->n_sources; i++)
        digest = add_name(digest, plugin->sources[i]->ending);
    return digest;
}

static int find(mb_plugin_entry_t entry)
{
    int i = 0;
    while (i < n_entered && entered[i].entry != entry)
        i++;
    return i;
}

/* Called by as many contexts as there are, it registers once. */
static mb_status_t enter_once(mb_plugin_entry_t entry, uint64_t *names)
{
    mb_plugin_t plugin = {.n_layers = 0};
    int at = find(entry);
    if (at < n_entered) {
        *names = entered[at].names;
        return MB_OK;
    }
    if (n_entered == MOST_ENTERED)
        return mb_error_set(MB_ERR_ARGUMENT, "%d functions have registered, which is the most",
                            MOST_ENTERED);
    MB_TRY(entry(&mb_plugin_host, &plugin));
    MB_TRY(add_all(&plugin));
    *names = digest_names(&plugin);
    entered[n_entered].entry = entry;
    entered[n_entered++].names = *names;
    return MB_OK;
}

mb_status_t mb_plugins_register_all(mb_comm_t *comm, mb_plugin_entry_t entry)
{
    uint64_t own = 0;
    MB_TRY(mb_comm_agree(comm, enter_once(entry, &own)));
    uint64_t first = own;
    MB_TRY(mb_comm_broadcast(comm, &first, sizeof first, 0));
    mb_status_t status = MB_OK;
    if (first != own)
        status = mb_error_set(MB_ERR_ARGUMENT,
                              "rank %d registers other names than rank 0: every rank registers the "
                              "same",
                              mb_comm_rank(comm));
    return mb_comm_agree(comm, status);
}
