/* What compile() was given, cut up by output: losses, their weights and metrics may each stand
 * once, in a list in the order of the outputs, or in a dict by the outputs' names. */
#ifndef MB_MODEL_LOSSES_COMPILE_H
#define MB_MODEL_LOSSES_COMPILE_H

#include "model/losses/class.h"

/* Reads the metrics of one output into its loss, whose kind and shapes are set. VALUE: what
 * training_config holds for all outputs, as "metrics" or "weighted_metrics"; WHERE names the file.
 */
mb_status_t mb_metrics_take(const mb_graph_t *graph, int output, const json_t *value, bool weighted,
                            const char *where, mb_loss_t *loss);

/* What logs call the metrics of all outputs. */
mb_status_t mb_metrics_name(const mb_graph_t *graph, mb_loss_t *losses);

/* The accuracy that is counted when no metric was asked for. */
void mb_metrics_default(const mb_loss_class_t *class_, mb_loss_t *loss);

/* The output with this name; -1 if none. */
int mb_output_find(const mb_graph_t *graph, const char *name);

#endif
