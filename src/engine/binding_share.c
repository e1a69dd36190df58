/* See binding.h: the cores of one rank among those of its node. */
#include "engine/binding.h"

#include <stdlib.h>

typedef struct { /* the allowed cores in the order of the topology, and where domains begin */
    hwloc_topology_t topology;
    hwloc_const_bitmap_t allowed;
    hwloc_obj_type_t type; /* HWLOC_OBJ_CORE; where there are none, HWLOC_OBJ_PU */
    int cores, domains;
    int *begin; /* [domains + 1] cores in front of each domain */
} places_t;

static int count_inside(const places_t *p, hwloc_const_bitmap_t set)
{
    int n = hwloc_get_nbobjs_inside_cpuset_by_type(p->topology, set, p->type);
    return n > 0 ? n : 0;
}

static void add_domain(places_t *p, hwloc_const_bitmap_t set, hwloc_bitmap_t part)
{
    hwloc_bitmap_and(part, set, p->allowed);
    int cores = count_inside(p, part);
    if (cores == 0)
        return;
    p->begin[p->domains + 1] = p->begin[p->domains] + cores;
    p->domains++;
}

/* Caches of the third level, or nodes of memory. Where they do not hold all cores, there are none.
 */
static void find_domains(places_t *p)
{
    hwloc_obj_type_t type = hwloc_get_nbobjs_by_type(p->topology, HWLOC_OBJ_L3CACHE) > 0
                                ? HWLOC_OBJ_L3CACHE
                                : HWLOC_OBJ_NUMANODE;
    hwloc_bitmap_t part = hwloc_bitmap_alloc();
    int n = hwloc_get_nbobjs_by_type(p->topology, type);
    p->begin = calloc((size_t)(n < 0 ? 0 : n) + 2, sizeof *p->begin);
    for (hwloc_obj_t at = hwloc_get_next_obj_by_type(p->topology, type, NULL);
         at != NULL && p->begin != NULL; at = hwloc_get_next_obj_by_type(p->topology, type, at))
        add_domain(p, at->cpuset, part);
    if (p->begin == NULL || p->begin[p->domains] != p->cores)
        p->domains = 0;
    hwloc_bitmap_free(part);
}

/* round(a * b / c) */
static int scaled(int a, int b, int c)
{
    return (int)((2 * (long long)a * b + c) / (2 * (long long)c));
}

/* As many ranks as domains or more: a domain's ranks share it evenly, and each of them has the
 * LEAST that it would have elsewhere. */
static bool fit_into_domains(const places_t *p, int ranks, int rank, int least, int *first,
                             int *end)
{
    for (int d = 0, before = 0; d < p->domains; d++) {
        int behind = scaled(p->begin[d + 1], ranks, p->cores), inside = behind - before;
        int cores = p->begin[d + 1] - p->begin[d];
        if (inside == 0 || cores / inside < least)
            return false;
        if (rank >= before && rank < behind) {
            *first = p->begin[d] + cores * (rank - before) / inside;
            *end = p->begin[d] + cores * (rank - before + 1) / inside;
        }
        before = behind;
    }
    return true;
}

/* The boundary of domains that is nearest to CORE. */
static int nearest_boundary(const places_t *p, int core)
{
    int nearest = 0;
    for (int d = 0; d <= p->domains; d++) {
        if (abs(p->begin[d] - core) < abs(nearest - core))
            nearest = p->begin[d];
    }
    return nearest;
}

/* Fewer ranks than domains: each has whole ones. */
static bool take_whole_domains(const places_t *p, int ranks, int rank, int least, int *first,
                               int *end)
{
    int before = 0;
    for (int r = 0; r < ranks; r++) {
        int behind = nearest_boundary(p, scaled(p->cores, r + 1, ranks));
        if (behind - before < least)
            return false;
        if (r == rank) {
            *first = before;
            *end = behind;
        }
        before = behind;
    }
    return true;
}

static void choose_places(const places_t *p, int ranks, int rank, int *first, int *end)
{
    int least = p->cores / ranks;
    *first = p->cores * rank / ranks;
    *end = p->cores * (rank + 1) / ranks;
    if (least == 0) {
        *first = rank % p->cores;
        *end = *first + 1;
        return;
    }
    int begins = *first, ends = *end;
    bool fits = p->domains > 1 &&
                (ranks < p->domains ? take_whole_domains(p, ranks, rank, least, &begins, &ends)
                                    : fit_into_domains(p, ranks, rank, least, &begins, &ends));
    if (fits) {
        *first = begins;
        *end = ends;
    }
}

int mb_binding_share(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int ranks, int rank,
                     hwloc_bitmap_t share)
{
    places_t p = {.topology = topology, .allowed = allowed, .type = HWLOC_OBJ_CORE};
    int first, end;
    p.cores = count_inside(&p, allowed);
    if (p.cores == 0)
        p.type = HWLOC_OBJ_PU;
    if (p.cores == 0)
        p.cores = count_inside(&p, allowed);
    hwloc_bitmap_zero(share);
    if (p.cores == 0)
        return 1;
    find_domains(&p);
    choose_places(&p, ranks, rank, &first, &end);
    for (int c = first; c < end; c++) {
        hwloc_obj_t core =
            hwloc_get_obj_inside_cpuset_by_type(topology, allowed, p.type, (unsigned)c);
        if (core != NULL)
            hwloc_bitmap_or(share, share, core->cpuset);
    }
    hwloc_bitmap_and(share, share, allowed);
    free(p.begin);
    return end - first;
}
