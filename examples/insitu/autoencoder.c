/* A field is compressed where it is made: an auto-encoder learns from the blocks of the field while
 * the simulation goes on, and from then on a block of 64 numbers is stored as CODE.
 *
 *     mpirun -np 4 ./autoencoder [blocks=32] [times=40] [steps=100]
 *
 * Each rank has a strip of a field of waves that spread from a few sources. At every time its
 * blocks of 8 x 8 go into a reservoir of the newest ones, from which all ranks train together for
 * `steps` steps. Before that, the blocks of this time, which the auto-encoder has not seen, are
 * encoded and decoded: autoencoder.csv has the error relative to the field, beside that of as many
 * averages, the same room spent without a model. At the end encoder and decoder are files of their
 * own, as whoever reads the codes has only the decoder. */
#include <mb/mb.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, BLOCK = SIDE * SIDE, CODE = 8, SOURCES = 5 };

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != MB_OK) {                                                                     \
            fprintf(stderr, "%s\n", mb_error_message());                                           \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
        }                                                                                          \
    } while (0)

/* Blocks of the rank's strip, one behind the other, and what becomes of them. */
typedef struct {
    int rank, blocks, rows, first; /* blocks along x; rows of blocks, the first of them */
    int64_t count;
    float (*field)[BLOCK], (*decoded)[BLOCK], (*code)[CODE];
} strip_t;

static strip_t make_strip(MPI_Comm comm, int blocks)
{
    strip_t s = {.blocks = blocks};
    int size;
    MPI_Comm_rank(comm, &s.rank);
    MPI_Comm_size(comm, &size);
    s.first = blocks * s.rank / size;
    s.rows = blocks * (s.rank + 1) / size - s.first;
    s.count = (int64_t)s.rows * blocks;
    s.field = calloc((size_t)s.count + 1, sizeof *s.field);
    s.decoded = calloc((size_t)s.count + 1, sizeof *s.decoded);
    s.code = calloc((size_t)s.count + 1, sizeof *s.code);
    if (s.field == NULL || s.decoded == NULL || s.code == NULL)
        MPI_Abort(comm, 1);
    return s;
}

/* Waves from the sources, each of a length and a height of its own, weaker far away. */
static float wave(double x, double y, double time)
{
    double sum = 0;
    for (int k = 0; k < SOURCES; k++) {
        double far =
            hypot(x - fmod(k * 0.7548776662 + 0.2, 1), y - fmod(k * 0.5698402910 + 0.4, 1));
        double length = 0.06 + 0.02 * k;
        sum += cos(2 * M_PI * (far / length - time * (1 + 0.2 * k))) / (1 + 8 * far);
    }
    return (float)sum;
}

static void advance(const strip_t *s, double time)
{
    double cell = 1.0 / (s->blocks * SIDE);
    for (int64_t b = 0; b < s->count; b++) {
        int64_t bx = b % s->blocks, by = s->first + b / s->blocks;
        for (int c = 0; c < BLOCK; c++)
            s->field[b][c] = wave(((double)bx * SIDE + c % SIDE + 0.5) * cell,
                                  ((double)by * SIDE + c / SIDE + 0.5) * cell, time);
    }
}

/* ---- the models */

static void add_half(mb_model_t *model, const char *hidden, const char *last, int units)
{
    char config[32];
    CHECK(mb_model_add(model, "Dense", hidden, "units=48 activation=tanh", 0, NULL));
    snprintf(config, sizeof config, "units=%d", units);
    CHECK(mb_model_add(model, "Dense", last, config, 0, NULL));
}

/* The encoder, the decoder or, with both halves, what trains. */
static mb_model_t *make_model(int encoder, int decoder)
{
    const int64_t shape[1] = {encoder ? BLOCK : CODE};
    mb_model_t *model;
    CHECK(mb_model_create("autoencoder", &model));
    CHECK(mb_model_add_input(model, "block", MB_FLOAT32, 1, shape));
    if (encoder)
        add_half(model, "encode", "code", CODE);
    if (decoder)
        add_half(model, "decode", "decoded", BLOCK);
    CHECK(mb_model_set(model, "loss", "mean_squared_error"));
    CHECK(mb_model_set(model, "lr", "0.003"));
    return model;
}

/* A half of the trained model as a file of its own. */
static void save_half(mb_context_t *context, const char *trained, const char *path, int decoder)
{
    static float values[BLOCK * BLOCK];
    mb_model_t *from, *half = make_model(!decoder, decoder);
    int count, rank;
    CHECK(mb_model_load(trained, &from));
    CHECK(mb_model_count_weights(half, &count));
    for (int i = 0; i < count; i++) {
        const char *name;
        int64_t shape[MB_MAX_DIMS], size = 1;
        CHECK(mb_model_describe_weight(half, i, &name, &rank, shape));
        for (int k = 0; k < rank; k++)
            size *= shape[k];
        CHECK(mb_model_get_weight(from, name, size, values));
        CHECK(mb_model_set_weight(half, name, size, values));
    }
    CHECK(mb_model_save(half, context, path));
    CHECK(mb_model_destroy(half));
    CHECK(mb_model_destroy(from));
}

/* ---- errors, relative to the field */

static double relative(double off, double all)
{
    double own[2] = {off, all}, sums[2];
    MPI_Allreduce(own, sums, 2, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return sqrt(sums[0] / sums[1]);
}

static double error_of_code(const strip_t *s)
{
    double off = 0, all = 0;
    for (int64_t b = 0; b < s->count; b++) {
        for (int c = 0; c < BLOCK; c++) {
            double difference = s->decoded[b][c] - s->field[b][c];
            off += difference * difference;
            all += (double)s->field[b][c] * s->field[b][c];
        }
    }
    return relative(off, all);
}

/* Of CODE averages in place of a block, each of 4 x 2 cells. */
static double error_of_averages(const strip_t *s)
{
    double off = 0, all = 0;
    for (int64_t b = 0; b < s->count; b++) {
        double sum[CODE] = {0};
        for (int c = 0; c < BLOCK; c++)
            sum[c / SIDE / 2 * 2 + c % SIDE / 4] += s->field[b][c];
        for (int c = 0; c < BLOCK; c++) {
            double difference = sum[c / SIDE / 2 * 2 + c % SIDE / 4] / 8 - s->field[b][c];
            off += difference * difference;
            all += (double)s->field[b][c] * s->field[b][c];
        }
    }
    return relative(off, all);
}

/* ---- */

static void give_arrays(mb_predictor_t *predictor, int64_t count, int width, const float *in,
                        int width_out, float *out)
{
    const int64_t shape[2] = {count, width};
    CHECK(mb_predictor_set_array(predictor, "x", MB_FLOAT32, 2, shape, in));
    CHECK(mb_predictor_set_output(predictor, "y", count * width_out, out));
}

static mb_predictor_t *make_predictor(mb_context_t *context, const char *path)
{
    mb_predictor_t *predictor;
    CHECK(mb_predictor_create(context, path, &predictor));
    CHECK(mb_predictor_set(predictor, "independent", "yes"));
    CHECK(mb_predictor_set(predictor, "threads", "1"));
    return predictor;
}

/* From the two files: the field becomes codes, and the codes a field. */
static void store_and_read(mb_context_t *context, const strip_t *s)
{
    mb_predictor_t *encoder = make_predictor(context, "encoder.h5");
    mb_predictor_t *decoder = make_predictor(context, "decoder.h5");
    memset(s->decoded, 0, (size_t)s->count * sizeof *s->decoded);
    give_arrays(encoder, s->count, BLOCK, s->field[0], CODE, s->code[0]);
    give_arrays(decoder, s->count, CODE, s->code[0], BLOCK, s->decoded[0]);
    CHECK(mb_predictor_run(encoder));
    CHECK(mb_predictor_run(decoder));
    CHECK(mb_predictor_destroy(encoder));
    CHECK(mb_predictor_destroy(decoder));
}

/* The whole field, a row a line. */
static void write_field(const strip_t *s, float (*blocks)[BLOCK], const char *path)
{
    int side = s->blocks * SIDE;
    size_t count = (size_t)side * (size_t)side;
    float *own = calloc(count, sizeof *own), *all = calloc(count, sizeof *all);
    if (own == NULL || all == NULL)
        MPI_Abort(MPI_COMM_WORLD, 1);
    for (int64_t b = 0; b < s->count; b++)
        for (int c = 0; c < BLOCK; c++)
            own[((s->first + b / s->blocks) * SIDE + c / SIDE) * side + b % s->blocks * SIDE +
                c % SIDE] = blocks[b][c];
    MPI_Reduce(own, all, (int)count, MPI_FLOAT, MPI_SUM, 0, MPI_COMM_WORLD);
    FILE *file = s->rank == 0 ? fopen(path, "w") : NULL;
    for (size_t c = 0; file != NULL && c < count; c++)
        fprintf(file, "%.3f%c", all[c], (c + 1) % (size_t)side == 0 ? '\n' : ' ');
    if (file != NULL)
        fclose(file);
    free(own);
    free(all);
}

typedef struct {
    mb_context_t *context;
    mb_reservoir_t *reservoir;
    mb_trainer_t *trainer;
    mb_predictor_t *both;
} learner_t;

static learner_t make_learner(const strip_t *s)
{
    learner_t l;
    const int64_t shape[1] = {BLOCK};
    mb_model_t *model = make_model(1, 1);
    CHECK(mb_context_create(MPI_COMM_WORLD, &l.context));
    CHECK(mb_model_save(model, l.context, "autoencoder.h5"));
    CHECK(mb_model_destroy(model));
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(mb_reservoir_create(l.context, "newest", 8 * (int64_t)s->blocks * s->blocks, 1,
                              &l.reservoir));
    CHECK(mb_reservoir_set_shape(l.reservoir, "x", MB_FLOAT32, 1, shape));
    CHECK(mb_reservoir_set_shape(l.reservoir, "y", MB_FLOAT32, 1, shape));
    CHECK(mb_trainer_create(l.context, "autoencoder.h5", &l.trainer));
    CHECK(mb_trainer_set(l.trainer, "epochs", "1000"));
    CHECK(mb_trainer_set(l.trainer, "batch", "128"));
    CHECK(mb_trainer_set(l.trainer, "threads", "1"));
    CHECK(mb_trainer_set_reservoir(l.trainer, l.reservoir));
    l.both = make_predictor(l.context, "autoencoder.h5");
    give_arrays(l.both, s->count, BLOCK, s->field[0], BLOCK, s->decoded[0]);
    return l;
}

/* One time: what the model of the times before makes of this one; then it learns from it. */
static void observe(const strip_t *s, learner_t *l, int time, int steps, FILE *file)
{
    const void *arrays[2] = {s->field, s->field};
    advance(s, 0.05 * time);
    CHECK(mb_reservoir_add(l->reservoir, s->count, arrays));
    if (time == 0) {
        CHECK(mb_trainer_start(l->trainer));
    } else {
        CHECK(mb_predictor_load_trainer(l->both, l->trainer));
        CHECK(mb_predictor_run(l->both));
        double code = error_of_code(s), averages = error_of_averages(s);
        if (file != NULL)
            fprintf(file, "%d,%.5f,%.5f\n", time, code, averages);
        CHECK(mb_trainer_renew(l->trainer));
    }
    for (int n = 0; n < steps; n++)
        CHECK(mb_trainer_step(l->trainer, NULL, NULL));
}

static int option(int argc, char **argv, const char *key, int value)
{
    size_t length = strlen(key);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], key, length) == 0 && argv[i][length] == '=')
            value = atoi(argv[i] + length + 1);
    return value;
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    strip_t s = make_strip(MPI_COMM_WORLD, option(argc, argv, "blocks", 32));
    learner_t l = make_learner(&s);
    FILE *file = s.rank == 0 ? fopen("autoencoder.csv", "w") : NULL;
    if (file != NULL)
        fprintf(file, "time,code,averages\n");
    int times = option(argc, argv, "times", 40), steps = option(argc, argv, "steps", 100);
    for (int time = 0; time < times; time++)
        observe(&s, &l, time, steps, file);
    if (file != NULL)
        fclose(file);
    CHECK(mb_trainer_save(l.trainer, "autoencoder-trained.h5", 1));
    save_half(l.context, "autoencoder-trained.h5", "encoder.h5", 0);
    save_half(l.context, "autoencoder-trained.h5", "decoder.h5", 1);
    MPI_Barrier(MPI_COMM_WORLD);

    advance(&s, 0.05 * times);
    store_and_read(l.context, &s);
    double code = error_of_code(&s), averages = error_of_averages(&s);
    write_field(&s, s.field, "autoencoder.field");
    write_field(&s, s.decoded, "autoencoder.decoded");
    if (s.rank == 0)
        printf("%d numbers for %d: off by %.2f %% of the field, as many averages by %.1f %%\n",
               CODE, BLOCK, 100 * code, 100 * averages);
    CHECK(mb_predictor_destroy(l.both));
    CHECK(mb_trainer_destroy(l.trainer));
    CHECK(mb_reservoir_destroy(l.reservoir));
    CHECK(mb_context_destroy(l.context));
    MPI_Finalize();
    return code < averages ? EXIT_SUCCESS : EXIT_FAILURE;
}
