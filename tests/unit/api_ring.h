/* A small problem for the tests of the public library: points of a square, in a ring or not; and a
 * folder of each test's own, which is the working directory. */
#ifndef TESTS_UNIT_API_RING_H
#define TESTS_UNIT_API_RING_H

#include <check.h>
#include <mb/mb.h>

#define RING_SAMPLES 96

extern float ring_x[RING_SAMPLES][2];
extern int32_t ring_y[RING_SAMPLES];
extern const int64_t ring_x_shape[2], ring_y_shape[1];
extern mb_context_t *ring_context; /* one rank alone */

/* Fixture: folder, context, "ring.h5". */
void ring_begin(void);
void ring_end(void);

#define OK(call) ck_assert_msg((call) == MB_OK, "%s: %s", #call, mb_error_message())
/* The call fails with STATUS and a message that contains PART. */
#define REFUSED(call, status, part) ring_refused((call), (status), (part), #call)
void ring_refused(mb_status_t found, mb_status_t wanted, const char *part, const char *call);

/* A trainer on the ring's arrays with batch 16, EPOCHS epochs, not started. */
mb_trainer_t *ring_trainer(const char *epochs);
mb_trainer_t *ring_trainer_without(const char *epochs); /* arrays */
/* A predictor with the ring's arrays and labels, and room for its outputs. */
mb_predictor_t *ring_predictor(const char *model, float (*logits)[2]);
uint64_t ring_digest(const char *path); /* weights + moments + step */
double ring_number(const mb_trainer_t *trainer, const char *name);
/* The arrays as a data file. */
void ring_write_data(const char *path);

int ring_main(int argc, char **argv, Suite *suite);

#endif
