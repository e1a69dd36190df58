/* What each layer computes, written plainly in double precision: the truth that tests compare with.
 */
#ifndef MB_TESTS_LAYER_REFERENCE_H
#define MB_TESTS_LAYER_REFERENCE_H

#include "unit/layer_fixture.h"

typedef enum { TRUE_VALID, TRUE_SAME, TRUE_CAUSAL } true_padding_t;

/* The settings of a layer as numbers; each reference reads those that concern it. */
typedef struct {
    const char *activation; /* NULL: linear */
    double p0, p1, p2;      /* leaky slope; relu: slope, largest, threshold */
    bool no_bias;
    int spatial;
    int64_t kernel[2], stride[2], dilation[2]; /* 0: 1 */
    int64_t groups;                            /* 0: 1 */
    true_padding_t padding;
    bool average;
    int axis; /* concatenation: among a sample's dimensions */
    int64_t front, back;
    double epsilon;
    bool no_center, no_scale, frozen, rms, rms_scaling;
    int64_t heads, key_dim, value_dim;
    bool causal;
    enum { TRUE_DOT, TRUE_CONCAT, TRUE_ADDITIVE } scores;
    double dropout, deviation;
    int64_t noise[MB_MAX_RANK]; /* 1 along axes that share one number */
    bool for_samples;
    mb_cell_t cell;
    int64_t units;
    const char *gate;
    bool backwards, apart;
    double recurrent_dropout;
    const char *merge;      /* NULL: one direction */
    bool sequences, states; /* returns them: sequences is read where states are */
    bool blank, by_steps;
    int n_masks; /* of the inputs, the last ones */
    enum { TRUE_PRODUCT, TRUE_LARGEST, TRUE_SMALLEST } merging;
} truth_t;

typedef void (*reference_t)(const truth_t *truth, const layer_fixture_t *fixture,
                            double *const *inputs, double *const *params, double *output);

double reference_activate(const truth_t *truth, double x);
/* Of dropout: 0, or by which a number is multiplied. */
double reference_keep(const layer_fixture_t *fixture, uint32_t purpose, double rate, int64_t sample,
                      int64_t element);
/* Two cells of one kind and size. */
void true_stack(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                double *);
void true_conv_lstm(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                    double *);
/* Of calls whose inputs have masks. */
void true_masked_merge(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                       double *);
void true_masked_batchnorm(const truth_t *, const layer_fixture_t *, double *const *,
                           double *const *, double *);
void true_dense(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                double *);
void true_conv(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
               double *);
void true_pool(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
               double *);
void true_global_pool(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                      double *);
void true_activation(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                     double *);
void true_add(const truth_t *, const layer_fixture_t *, double *const *, double *const *, double *);
void true_multiply(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                   double *);
void true_concatenate(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                      double *);
void true_cropping(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                   double *);
void true_dropout(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                  double *);
void true_noise_shape(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                      double *);
void true_alpha_dropout(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                        double *);
void true_gaussian_noise(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                         double *);
void true_gaussian_dropout(const truth_t *, const layer_fixture_t *, double *const *,
                           double *const *, double *);
void true_softmax_axes(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                       double *);
void true_glu(const truth_t *, const layer_fixture_t *, double *const *, double *const *, double *);
void true_prelu(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                double *);
void true_norm_axes(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                    double *);
void true_group_norm(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                     double *);
void true_unit_norm(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                    double *);
void true_batchnorm_axis(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                         double *);
void true_batchnorm(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                    double *);
void true_layernorm(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                    double *);
void true_embedding(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                    double *);
void true_recurrent(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                    double *);
void true_attention(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                    double *);
/* Attended are the axes with 1 in `noise`. */
void true_attention_axes(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                         double *);
void true_scores(const truth_t *, const layer_fixture_t *, double *const *, double *const *,
                 double *);

#endif
