/* A shallow-water solver that learns a surrogate of itself while it runs, and is then replaced by
 * it.
 *
 *     mpirun -np 4 ./shallow_water [cells=256] [share=0.3] [steps=4000] [use=120] [each=0]
 *
 * Water of mean depth 1 under gravity 1 fills a periodic square. Each rank holds a block of its
 * cells and steps it by Godunov's scheme with the fluxes of Harten, Lax and van Leer (SIAM Review
 * 25, 1983; speeds of waves as in Toro, Shock-Capturing Methods for Free-Surface Shallow Flows,
 * 2001, 10.4).
 *
 * The surrogate makes one large step in place of STRIDE small ones: from the cells around a face it
 * predicts the flux through it, averaged over these steps. Cells then change by differences of
 * fluxes as they do in the solver, so that no water is lost however little it has learnt. A face
 * across y is to it one across x, turned.
 *
 * While the solver runs, each rank puts some faces of every large step into a reservoir, and a
 * training from it takes `share` of the solver's time, until it has made `steps` steps; or `each`
 * steps beside every large step, which gives the same numbers every time. Then no
 * more drops fall, and three copies of the water go on for `use` large steps: by the solver, by the
 * surrogate alone, and by the surrogate with the solver at every SOLVED-th. Errors are relative to
 * the waves: the root of the mean square of what the depth is off, over that of the solver's waves.
 * They go to shallow_water.csv, depths at the end to shallow_water.solver and .surrogate;
 * picture.py draws them. */
#include <mb/mb.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HALO = 2,
    STRIDE = 2, /* small steps in a large one */
    ALONG = 4,  /* cells across a face that the surrogate sees, half of them on each side */
    BESIDE = 3, /* and along it */
    PATCH = ALONG * BESIDE * 3,
    TAKEN = 128,     /* faces that a rank learns from in a large step */
    KEPT = 65536,    /* faces that all ranks together train from */
    RENEW = 50,      /* large steps after which the training sees what was added */
    DROP_EVERY = 10, /* large steps between two drops */
    SOLVED = 4
};
static const double GRAVITY = 1, COURANT = 0.4, FASTEST = 1.8;
/* Of waves, and of the fluxes that they make: the surrogate's numbers are then of the order of 1.
 */
static const double SCALE = 0.1, RUFFLE = 0.01;

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != MB_OK) {                                                                     \
            fprintf(stderr, "%s\n", mb_error_message());                                           \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
        }                                                                                          \
    } while (0)

/* The part of the square that this rank holds, and its neighbours. */
typedef struct {
    MPI_Comm comm;
    int rank, cells, nx, ny, x0, y0;
    int down[2], up[2];                     /* neighbours along x and y */
    MPI_Datatype send[2][2], receive[2][2]; /* the borders: of x or y, at the low or high end */
    double dx, dt;
} grid_t;

/* Depth and momenta of the block and its halo, as they are and as they were before a large step;
 * and the fluxes through the faces in front of cells, across x and across y, summed over its small
 * steps. */
typedef struct {
    double *q, *before, *fx, *fy;
    int drops, steps;
} water_t;

static size_t at(const grid_t *g, int k, int j, int i)
{
    return ((size_t)k * (size_t)(g->ny + 2 * HALO) + (size_t)(j + HALO)) *
               (size_t)(g->nx + 2 * HALO) +
           (size_t)(i + HALO);
}

static size_t volume(const grid_t *g)
{
    return at(g, 3, -HALO, -HALO);
}

/* ---- the grid */

static MPI_Datatype border(const grid_t *g, int axis, int first)
{
    int sizes[3] = {3, g->ny + 2 * HALO, g->nx + 2 * HALO};
    int lengths[3] = {3, g->ny + 2 * HALO, g->nx + 2 * HALO};
    int starts[3] = {0, 0, 0};
    MPI_Datatype type;
    lengths[2 - axis] = HALO;
    starts[2 - axis] = first;
    MPI_Type_create_subarray(3, sizes, lengths, starts, MPI_ORDER_C, MPI_DOUBLE, &type);
    MPI_Type_commit(&type);
    return type;
}

static grid_t make_grid(MPI_Comm comm, int cells)
{
    grid_t g = {.cells = cells, .dx = 1.0 / cells};
    int size, dims[2] = {0, 0}, periodic[2] = {1, 1}, place[2];
    MPI_Comm_size(comm, &size);
    MPI_Dims_create(size, 2, dims);
    MPI_Cart_create(comm, 2, dims, periodic, 0, &g.comm);
    MPI_Comm_rank(g.comm, &g.rank);
    MPI_Cart_coords(g.comm, g.rank, 2, place);
    g.x0 = cells * place[0] / dims[0];
    g.y0 = cells * place[1] / dims[1];
    g.nx = cells * (place[0] + 1) / dims[0] - g.x0;
    g.ny = cells * (place[1] + 1) / dims[1] - g.y0;
    g.dt = COURANT * g.dx / FASTEST;
    for (int axis = 0; axis < 2; axis++) {
        int length = axis == 0 ? g.nx : g.ny;
        MPI_Cart_shift(g.comm, axis, 1, &g.down[axis], &g.up[axis]);
        g.send[axis][0] = border(&g, axis, HALO);
        g.send[axis][1] = border(&g, axis, length);
        g.receive[axis][0] = border(&g, axis, 0);
        g.receive[axis][1] = border(&g, axis, length + HALO);
    }
    return g;
}

/* Along x first, then along y with the halos of x, so that the corners come too. */
static void exchange(const grid_t *g, double *q)
{
    for (int axis = 0; axis < 2; axis++) {
        MPI_Sendrecv(q, 1, g->send[axis][1], g->up[axis], 0, q, 1, g->receive[axis][0],
                     g->down[axis], 0, g->comm, MPI_STATUS_IGNORE);
        MPI_Sendrecv(q, 1, g->send[axis][0], g->down[axis], 1, q, 1, g->receive[axis][1],
                     g->up[axis], 1, g->comm, MPI_STATUS_IGNORE);
    }
}

static void *room(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return memory;
}

static water_t make_water(const grid_t *g)
{
    size_t bytes = volume(g) * sizeof(double);
    water_t w = {room(bytes), room(bytes), room(bytes), room(bytes), 0, 0};
    for (int j = 0; j < g->ny; j++)
        for (int i = 0; i < g->nx; i++)
            w.q[at(g, 0, j, i)] = 1;
    return w;
}

/* A hump at a place and of a height that the count of drops gives; as much water evaporates
 * everywhere. */
static void drop(const grid_t *g, water_t *w, int count)
{
    double x = fmod(count * 0.7548776662 + 0.3, 1), y = fmod(count * 0.5698402910 + 0.6, 1);
    double height = 0.1 + 0.2 * fmod(count * 0.6180339887, 1), width = 0.06;
    for (int j = 0; j < g->ny; j++) {
        for (int i = 0; i < g->nx; i++) {
            double a = (g->x0 + i + 0.5) * g->dx - x, b = (g->y0 + j + 0.5) * g->dx - y;
            a -= round(a);
            b -= round(b);
            w->q[at(g, 0, j, i)] +=
                height * (exp(-(a * a + b * b) / (2 * width * width)) - 2 * M_PI * width * width);
        }
    }
}

/* A number from 0 to 1 for each N. */
static double chance(uint32_t n)
{
    n = (n ^ n >> 16) * 0x45d9f3bu;
    n = (n ^ n >> 16) * 0x45d9f3bu;
    return (n ^ n >> 16) / 4294967296.0;
}

/* Before each large step: now and then a large drop, and always a shower that ruffles every cell.
 * Without it all water is smooth, what a surrogate does to short waves stays undecided, and they
 * grow. */
static void rain(const grid_t *g, water_t *w)
{
    if (w->steps++ % DROP_EVERY == 0)
        drop(g, w, w->drops++);
    for (int k = 0; k < 3; k++)
        for (int j = 0; j < g->ny; j++)
            for (int i = 0; i < g->nx; i++) {
                int cell = ((w->steps * 3 + k) * g->cells + g->y0 + j) * g->cells + g->x0 + i;
                w->q[at(g, k, j, i)] += RUFFLE * (2 * chance((uint32_t)cell) - 1);
            }
}

/* ---- the solver */

/* Flux of depth, of momentum across the face and of momentum along it, of one side. */
static void side_flux(const double u[3], double f[3])
{
    double speed = u[1] / u[0];
    f[0] = u[1];
    f[1] = u[1] * speed + 0.5 * GRAVITY * u[0] * u[0];
    f[2] = u[2] * speed;
}

static void hll(const double l[3], const double r[3], double f[3])
{
    double fl[3], fr[3];
    double cl = sqrt(GRAVITY * l[0]), cr = sqrt(GRAVITY * r[0]);
    double slow = fmin(fmin(l[1] / l[0] - cl, r[1] / r[0] - cr), 0);
    double fast = fmax(fmax(l[1] / l[0] + cl, r[1] / r[0] + cr), 0);
    side_flux(l, fl);
    side_flux(r, fr);
    for (int k = 0; k < 3; k++)
        f[k] = (fast * fl[k] - slow * fr[k] + slow * fast * (r[k] - l[k])) / (fast - slow);
}

/* Adds the flux through the face in front of a cell, across x (axis 0) or y. */
static void add_flux(const grid_t *g, const double *q, double *f, int axis, int j, int i)
{
    int across = 1 + axis, beside = 2 - axis, pj = j - axis, pi = i - 1 + axis;
    double l[3] = {q[at(g, 0, pj, pi)], q[at(g, across, pj, pi)], q[at(g, beside, pj, pi)]};
    double r[3] = {q[at(g, 0, j, i)], q[at(g, across, j, i)], q[at(g, beside, j, i)]}, flux[3];
    hll(l, r, flux);
    f[at(g, 0, j, i)] += flux[0];
    f[at(g, across, j, i)] += flux[1];
    f[at(g, beside, j, i)] += flux[2];
}

/* What has come through the faces since the large step began. */
static void apply(const grid_t *g, water_t *w)
{
    double factor = g->dt / g->dx;
    for (int k = 0; k < 3; k++)
        for (int j = 0; j < g->ny; j++)
            for (int i = 0; i < g->nx; i++) {
                size_t c = at(g, k, j, i);
                w->q[c] = w->before[c] - factor * (w->fx[at(g, k, j, i + 1)] - w->fx[c] +
                                                   w->fy[at(g, k, j + 1, i)] - w->fy[c]);
            }
}

static void begin(const grid_t *g, water_t *w)
{
    size_t bytes = volume(g) * sizeof(double);
    exchange(g, w->q);
    memcpy(w->before, w->q, bytes);
    memset(w->fx, 0, bytes);
    memset(w->fy, 0, bytes);
}

/* What has begun, by STRIDE small steps. */
static void go_on(const grid_t *g, water_t *w)
{
    for (int n = 0; n < STRIDE; n++) {
        if (n > 0)
            exchange(g, w->q);
        for (int j = 0; j <= g->ny; j++) {
            for (int i = 0; i <= g->nx; i++) {
                add_flux(g, w->q, w->fx, 0, j, i);
                add_flux(g, w->q, w->fy, 1, j, i);
            }
        }
        apply(g, w);
    }
}

/* A large step. */
static void solve(const grid_t *g, water_t *w)
{
    begin(g, w);
    go_on(g, w);
}

/* ---- what the surrogate sees of a face, and what it says */

static int faces(const grid_t *g)
{
    return g->ny * (g->nx + 1) + (g->ny + 1) * g->nx;
}

/* The axis across face NUMBER, and the cell behind it. */
static int find_face(const grid_t *g, int number, int *j, int *i)
{
    int across_x = g->ny * (g->nx + 1), axis = number >= across_x;
    int row = axis == 0 ? g->nx + 1 : g->nx;
    number -= axis * across_x;
    *j = number / row;
    *i = number % row;
    return axis;
}

static void see(const grid_t *g, const double *q, int number, float *patch)
{
    int j, i, axis = find_face(g, number, &j, &i);
    for (int a = -ALONG / 2; a < ALONG / 2; a++) {
        for (int b = -(BESIDE / 2); b <= BESIDE / 2; b++) {
            int cj = axis == 0 ? j + b : j + a, ci = axis == 0 ? i + a : i + b;
            *patch++ = (float)((q[at(g, 0, cj, ci)] - 1) / SCALE);
            *patch++ = (float)(q[at(g, 1 + axis, cj, ci)] / SCALE);
            *patch++ = (float)(q[at(g, 2 - axis, cj, ci)] / SCALE);
        }
    }
}

/* The pressure of water at rest pushes from both sides of a cell, and is left out. */
static const double AT_REST[3] = {0, 0.5, 0};

static void tell(const grid_t *g, const water_t *w, int number, float *flux)
{
    int j, i, axis = find_face(g, number, &j, &i);
    const double *f = axis == 0 ? w->fx : w->fy;
    const int component[3] = {0, 1 + axis, 2 - axis};
    for (int k = 0; k < 3; k++)
        flux[k] = (float)((f[at(g, component[k], j, i)] / STRIDE - AT_REST[k]) / SCALE);
}

static void take(const grid_t *g, water_t *w, int number, const float *flux)
{
    int j, i, axis = find_face(g, number, &j, &i);
    double *f = axis == 0 ? w->fx : w->fy;
    const int component[3] = {0, 1 + axis, 2 - axis};
    for (int k = 0; k < 3; k++)
        f[at(g, component[k], j, i)] = STRIDE * (flux[k] * SCALE + AT_REST[k]);
}

/* ---- learning */

typedef struct {
    mb_context_t *context;
    mb_reservoir_t *reservoir;
    mb_trainer_t *trainer;
    mb_predictor_t *predictor;
    float *patches, *fluxes; /* of all faces of the block */
} surrogate_t;

/* A linear part, as waves of small height are linear, and what a hidden layer adds to it. */
static void make_model(mb_context_t *context, const char *path)
{
    const int64_t shape[1] = {PATCH};
    const char *patch[1] = {"patch"}, *hidden[1] = {"hidden"}, *parts[2] = {"linear", "curved"};
    mb_model_t *model;
    CHECK(mb_model_create("surrogate", &model));
    CHECK(mb_model_add_input(model, "patch", MB_FLOAT32, 1, shape));
    CHECK(mb_model_add(model, "Dense", "linear", "units=3", 1, patch));
    CHECK(mb_model_add(model, "Dense", "hidden", "units=32 activation=tanh", 1, patch));
    CHECK(mb_model_add(model, "Dense", "curved", "units=3", 1, hidden));
    CHECK(mb_model_add(model, "Add", "flux", NULL, 2, parts));
    CHECK(mb_model_set(model, "loss", "mean_squared_error"));
    CHECK(mb_model_set(model, "optimizer", "adam"));
    CHECK(mb_model_set(model, "lr", "0.004"));
    CHECK(mb_model_save(model, context, path));
    CHECK(mb_model_destroy(model));
}

static surrogate_t make_surrogate(const grid_t *g, const char *share, const char *steps)
{
    char schedule[64];
    surrogate_t s;
    const int64_t patch[1] = {PATCH}, flux[1] = {3};
    CHECK(mb_context_create(g->comm, &s.context));
    make_model(s.context, "surrogate.h5");
    MPI_Barrier(g->comm);
    CHECK(mb_reservoir_create(s.context, "uniform", KEPT, 1, &s.reservoir));
    CHECK(mb_reservoir_set_shape(s.reservoir, "patch", MB_FLOAT32, 1, patch));
    CHECK(mb_reservoir_set_shape(s.reservoir, "flux", MB_FLOAT32, 1, flux));

    CHECK(mb_trainer_create(s.context, "surrogate.h5", &s.trainer));
    CHECK(mb_trainer_set(s.trainer, "epochs", "1000"));
    snprintf(schedule, sizeof schedule, "cosine:steps=%s", steps);
    CHECK(mb_trainer_set(s.trainer, "lr-schedule", schedule));
    CHECK(mb_trainer_set(s.trainer, "batch", "256"));
    CHECK(mb_trainer_set(s.trainer, "threads", "1"));
    CHECK(mb_trainer_set(s.trainer, "share", share));
    CHECK(mb_trainer_set_reservoir(s.trainer, s.reservoir));

    CHECK(mb_predictor_create(s.context, "surrogate.h5", &s.predictor));
    CHECK(mb_predictor_set(s.predictor, "independent", "yes"));
    CHECK(mb_predictor_set(s.predictor, "batch", "512"));
    CHECK(mb_predictor_set(s.predictor, "threads", "1"));
    s.patches = room((size_t)faces(g) * PATCH * sizeof(float));
    s.fluxes = room((size_t)faces(g) * 3 * sizeof(float));
    return s;
}

/* A large step of the solver's, of which some faces go to the reservoir. */
static void solve_and_show(const grid_t *g, water_t *w, surrogate_t *s)
{
    static float patches[TAKEN][PATCH], fluxes[TAKEN][3];
    const void *arrays[2] = {patches, fluxes};
    int numbers[TAKEN];
    begin(g, w);
    for (int k = 0; k < TAKEN; k++) {
        numbers[k] = rand() % faces(g);
        see(g, w->q, numbers[k], patches[k]);
    }
    go_on(g, w);
    for (int k = 0; k < TAKEN; k++)
        tell(g, w, numbers[k], fluxes[k]);
    CHECK(mb_reservoir_add(s->reservoir, TAKEN, arrays));
}

/* A large step of the surrogate's. */
static void predict(const grid_t *g, water_t *w, surrogate_t *s)
{
    begin(g, w);
    for (int n = 0; n < faces(g); n++)
        see(g, w->q, n, s->patches + (size_t)n * PATCH);
    CHECK(mb_predictor_run(s->predictor));
    for (int n = 0; n < faces(g); n++)
        take(g, w, n, s->fluxes + (size_t)n * 3);
    apply(g, w);
}

/* Large steps by the solver alone; returns the seconds of one. */
static double run_alone(const grid_t *g, water_t *w, int steps)
{
    double start = MPI_Wtime();
    for (int n = 0; n < steps; n++) {
        rain(g, w);
        solve(g, w);
    }
    return (MPI_Wtime() - start) / steps;
}

/* Steps of the training, EACH of them or, for none, as many as its share allows. */
static int64_t train(surrogate_t *s, int each)
{
    int64_t made = each;
    for (int k = 0; k < each; k++)
        CHECK(mb_trainer_step(s->trainer, NULL, NULL));
    if (each == 0)
        CHECK(mb_trainer_run_for(s->trainer, INFINITY, &made));
    return made;
}

/* The solver runs on, and the training beside it, until it has made STEPS steps; returns the
 * seconds of a large step, all that belongs to the training included. */
static double learn(const grid_t *g, water_t *w, surrogate_t *s, int64_t steps, int each)
{
    int64_t done = 0;
    int n = 0;
    for (; n < RENEW; n++) {
        rain(g, w);
        solve_and_show(g, w, s);
    }
    CHECK(mb_trainer_start(s->trainer));
    double start = MPI_Wtime();
    for (n = 0; done < steps; n++) {
        if (n > 0 && n % RENEW == 0)
            CHECK(mb_trainer_renew(s->trainer));
        rain(g, w);
        solve_and_show(g, w, s);
        done += train(s, each);
    }
    double seconds = (MPI_Wtime() - start) / n;
    if (g->rank == 0)
        printf("%d large steps of the solver, %lld steps of the training beside them\n", n,
               (long long)done);
    return seconds;
}

/* ---- using what was learnt */

static water_t copy(const grid_t *g, const water_t *w)
{
    water_t other = make_water(g);
    memcpy(other.q, w->q, volume(g) * sizeof(double));
    return other;
}

static double sum(const grid_t *g, double own)
{
    double all;
    MPI_Allreduce(&own, &all, 1, MPI_DOUBLE, MPI_SUM, g->comm);
    return all;
}

static double mass(const grid_t *g, const water_t *w)
{
    double own = 0;
    for (int j = 0; j < g->ny; j++)
        for (int i = 0; i < g->nx; i++)
            own += w->q[at(g, 0, j, i)];
    return sum(g, own) * g->dx * g->dx;
}

/* Root of the mean square of what depths differ by; from a depth where there is no other water. */
static double distance(const grid_t *g, const water_t *w, const water_t *other, double depth)
{
    double own = 0;
    for (int j = 0; j < g->ny; j++) {
        for (int i = 0; i < g->nx; i++) {
            size_t c = at(g, 0, j, i);
            double difference = w->q[c] - (other == NULL ? depth : other->q[c]);
            own += difference * difference;
        }
    }
    return sqrt(sum(g, own)) * g->dx;
}

/* Depths of the whole square, a row a line. */
static void write_depths(const grid_t *g, const water_t *w, const char *path)
{
    size_t count = (size_t)g->cells * (size_t)g->cells;
    double *own = room(count * sizeof *own), *all = room(count * sizeof *all);
    for (int j = 0; j < g->ny; j++)
        for (int i = 0; i < g->nx; i++)
            own[(size_t)(g->y0 + j) * (size_t)g->cells + (size_t)(g->x0 + i)] =
                w->q[at(g, 0, j, i)];
    MPI_Reduce(own, all, (int)count, MPI_DOUBLE, MPI_SUM, 0, g->comm);
    FILE *file = g->rank == 0 ? fopen(path, "w") : NULL;
    for (size_t c = 0; file != NULL && c < count; c++)
        fprintf(file, "%.4f%c", all[c], (c + 1) % (size_t)g->cells == 0 ? '\n' : ' ');
    if (file != NULL)
        fclose(file);
    free(own);
    free(all);
}

static void give_faces(const grid_t *g, surrogate_t *s)
{
    const int64_t shape[2] = {faces(g), PATCH};
    CHECK(mb_predictor_set_array(s->predictor, "patch", MB_FLOAT32, 2, shape, s->patches));
    CHECK(mb_predictor_set_output(s->predictor, "flux", 3 * (int64_t)faces(g), s->fluxes));
    CHECK(mb_predictor_load_trainer(s->predictor, s->trainer));
}

/* Returns whether the surrogate is nearer to the solver in the end than water that stands still. */
static int use(const grid_t *g, water_t *w, surrogate_t *s, int steps)
{
    water_t still = copy(g, w), alone = copy(g, w), mixed = copy(g, w);
    double level = mass(g, w), off[3] = {0}, seconds = 0, start;
    FILE *file = g->rank == 0 ? fopen("shallow_water.csv", "w") : NULL;
    give_faces(g, s);
    if (file != NULL)
        fprintf(file, "time,surrogate,mixed,still,mass\n");
    for (int n = 1; n <= steps; n++) {
        solve(g, w);
        start = MPI_Wtime();
        predict(g, &alone, s);
        seconds += MPI_Wtime() - start;
        if (n % SOLVED == 0)
            solve(g, &mixed);
        else
            predict(g, &mixed, s);
        double waves = distance(g, w, NULL, level), lost = mass(g, &alone) / level - 1;
        off[0] = distance(g, &alone, w, 0) / waves;
        off[1] = distance(g, &mixed, w, 0) / waves;
        off[2] = distance(g, &still, w, 0) / waves;
        if (file != NULL)
            fprintf(file, "%.5f,%.5f,%.5f,%.5f,%.3g\n", n * STRIDE * g->dt, off[0], off[1], off[2],
                    lost);
    }
    if (file != NULL)
        fclose(file);
    write_depths(g, w, "shallow_water.solver");
    write_depths(g, &alone, "shallow_water.surrogate");
    double lost = mass(g, &alone) / level - 1;
    if (g->rank == 0)
        printf("after %d large steps of %.2f ms the surrogate is off by %.1f %% of the waves, with "
               "the solver "
               "at every %dth by %.1f %%, still water by %.0f %%; it gained %.1e of the water\n",
               steps, 1e3 * seconds / steps, 100 * off[0], SOLVED, 100 * off[1], 100 * off[2],
               lost);
    return off[0] < off[2];
}

/* The value of KEY=VALUE among the arguments. */
static const char *option(int argc, char **argv, const char *key, const char *value)
{
    size_t length = strlen(key);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], key, length) == 0 && argv[i][length] == '=')
            value = argv[i] + length + 1;
    return value;
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    const char *share = option(argc, argv, "share", "0.3");
    grid_t g = make_grid(MPI_COMM_WORLD, atoi(option(argc, argv, "cells", "256")));
    water_t w = make_water(&g);
    const char *steps = option(argc, argv, "steps", "4000");
    surrogate_t s = make_surrogate(&g, share, steps);
    srand((unsigned)g.rank + 1);

    run_alone(&g, &w, RENEW); /* pages are taken, caches filled */
    double before = run_alone(&g, &w, 4 * RENEW);
    int each = atoi(option(argc, argv, "each", "0"));
    double beside = learn(&g, &w, &s, atoi(steps), each);
    double alone = (before + run_alone(&g, &w, 4 * RENEW)) / 2;
    if (g.rank == 0 && each == 0) /* a fixed number of steps asks for no share */
        printf(
            "a large step takes %.2f ms alone and %.2f ms beside the training: slower by %.1f %%, "
            "asked for were %.1f %%\n",
            1e3 * alone, 1e3 * beside, 100 * (beside / alone - 1), 100 * atof(share));
    int better = use(&g, &w, &s, atoi(option(argc, argv, "use", "120")));

    CHECK(mb_predictor_destroy(s.predictor));
    CHECK(mb_trainer_destroy(s.trainer));
    CHECK(mb_reservoir_destroy(s.reservoir));
    CHECK(mb_context_destroy(s.context));
    MPI_Finalize();
    return better ? EXIT_SUCCESS : EXIT_FAILURE;
}
