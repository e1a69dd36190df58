/* What stands behind the incomplete types of mb/plugin.h. */
#ifndef MB_PLUGIN_INSIDE_H
#define MB_PLUGIN_INSIDE_H

#include <mb/plugin.h>

#include "data/source_plugin.h"
#include "model/layer.h"
#include "model/losses/class.h"

enum { MB_PLUGIN_MOST = 32 }; /* of a kind that one plugin may bring */

/* What a plugin has registered so far: nothing is added before all of it is right. */
struct mb_plugin {
    int n_layers, n_losses, n_sources;
    const mb_plugin_layer_t *layers[MB_PLUGIN_MOST];
    const mb_plugin_loss_t *losses[MB_PLUGIN_MOST];
    const mb_plugin_source_t *sources[MB_PLUGIN_MOST];
};

/* A layer of a plugin: what its class keeps as the layer's config. */
typedef struct {
    const mb_plugin_layer_t *layer;
    void *settings;
    int n_weights;
    mb_param_spec_t specs[MB_PLUGIN_WEIGHTS];
    mb_plugin_shape_t shapes[MB_PLUGIN_WEIGHTS]; /* from declare */
} mb_plugin_kept_t;

struct mb_plugin_config {
    mb_config_t *config;
    mb_arena_t *arena;
    mb_plugin_kept_t *kept; /* NULL: not a layer's */
};

struct mb_plugin_weights {
    const mb_call_t *call;
    mb_param_list_t *list; /* NULL: shapes are only compared */
    int n;
    mb_plugin_shape_t shapes[MB_PLUGIN_WEIGHTS];
};

struct mb_plugin_inside {
    const mb_run_t *run;
};

extern const mb_plugin_host_t mb_plugin_host;

mb_plugin_shape_t mb_plugin_shape_of(const mb_shape_t *shape);
mb_shape_t mb_plugin_shape_in(const mb_plugin_shape_t *shape);
static inline const mb_plugin_kept_t *mb_plugin_kept(const mb_call_t *call)
{
    return call->layer->config;
}

/* config.c */
mb_status_t mb_plugin_integer(mb_plugin_config_t *c, const char *key, int64_t otherwise,
                              int64_t *out);
mb_status_t mb_plugin_real(mb_plugin_config_t *c, const char *key, double otherwise, double *out);
mb_status_t mb_plugin_boolean(mb_plugin_config_t *c, const char *key, int otherwise, int *out);
mb_status_t mb_plugin_text(mb_plugin_config_t *c, const char *key, const char *otherwise,
                           const char **out);
void *mb_plugin_allocate(mb_plugin_config_t *c, size_t bytes);
mb_status_t mb_plugin_take_weight(mb_plugin_config_t *c, const char *name, const char *initializer,
                                  int product);

/* layer.c */
mb_status_t mb_plugin_shape_weight(mb_plugin_weights_t *weights, const mb_plugin_shape_t *shape);
mb_status_t mb_plugin_class_of(const mb_plugin_layer_t *layer, const mb_layer_class_t **out);

/* loss.c */
mb_status_t mb_plugin_loss_class_of(const mb_plugin_loss_t *loss, const mb_loss_class_t **out);

/* run.c */
mb_status_t mb_plugin_map(const mb_plugin_run_t *run, const char *function, int n,
                          const mb_plugin_operand_t *operands, const mb_plugin_result_t *y);
mb_status_t mb_plugin_linear(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                             const void *x, void *y);
mb_status_t mb_plugin_linear_input(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                                   const void *dy, void *dx);
mb_status_t mb_plugin_linear_weights(const mb_plugin_run_t *run, const mb_plugin_linear_t *linear,
                                     const void *x, const void *dy);
mb_status_t mb_plugin_rows(const mb_plugin_run_t *run, const mb_plugin_rows_t *work, int64_t rows,
                           const mb_plugin_read_t *reads, const mb_plugin_write_t *writes,
                           const mb_plugin_write_t *sums);

#endif
