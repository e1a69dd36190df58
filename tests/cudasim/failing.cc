/* Counts calls, above all those of the function that is to fail; see failing.h. */
#include "cudasim/failing.h"

#include "cudasim/call.h"
#include "cudasim/cudasim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>

namespace mb_cudasim
{

namespace
{

struct plan {
    char name[64] = "";
    unsigned long call = 0;
    int rank = -1; /* -1: every process */
    std::atomic<unsigned long> calls{0};
};

bool is_mine(const plan &p)
{
    return p.name[0] && (p.rank < 0 || p.rank == process_rank());
}

/* A mistake in a test's own wish must not look like a run without failures. */
void read_plan(const char *text, plan *p)
{
    char rest;
    p->name[0] = '\0';
    p->rank = -1;
    p->calls = 0;
    if (!text || !*text)
        return;
    int found = sscanf(text, "%63[A-Za-z0-9]:%lu:%d%c", p->name, &p->call, &p->rank, &rest);
    bool ends = found == 3 || (found == 2 && strchr(text, ':') == strrchr(text, ':'));
    if (ends && p->call > 0)
        return;
    say("MB_CUDASIM_FAIL is %s, where NAME:K or NAME:K:RANK is wanted", text);
    abort();
}

plan &the_plan();

/* A name that no call has would make a test of failures pass. */
void say_if_unreached()
{
    const plan &p = the_plan();
    if (is_mine(p) && p.calls < p.call)
        say("MB_CUDASIM_FAIL: %s was called %lu times, and call %lu was to fail", p.name,
            p.calls.load(), p.call);
}

plan &the_plan()
{
    static plan *once = [] {
        auto p = new plan;
        read_plan(getenv("MB_CUDASIM_FAIL"), p);
        atexit(say_if_unreached);
        return p;
    }();
    return *once;
}

/* What MB_CUDASIM_CALLS asks for: how often each function was called. */
struct counts {
    const char *path = getenv("MB_CUDASIM_CALLS");
    std::mutex lock;
    std::map<std::string, unsigned long> of;
};

counts &the_counts();

void write_counts()
{
    counts &c = the_counts();
    std::string path = std::string(c.path) + "." + std::to_string(process_rank());
    FILE *file = fopen(path.c_str(), "w");
    if (!file) {
        say("MB_CUDASIM_CALLS: %s cannot be written", path.c_str());
        return;
    }
    for (const auto &[name, calls] : c.of)
        fprintf(file, "%s %lu\n", name.c_str(), calls);
    fclose(file);
}

counts &the_counts()
{
    static counts *once = [] {
        auto c = new counts;
        if (c->path)
            atexit(write_counts);
        return c;
    }();
    return *once;
}

void count(const char *function)
{
    counts &c = the_counts();
    if (!c.path)
        return;
    std::lock_guard<std::mutex> hold(c.lock);
    c.of[function]++;
}

bool is_allocation(const char *function)
{
    for (const char *name : {"cudaMalloc", "cudaMallocAsync", "cudaMallocHost", "cudaHostAlloc"})
        if (strcmp(function, name) == 0)
            return true;
    return false;
}

} // namespace

bool must_fail(const char *function)
{
    plan &p = the_plan();
    count(function);
    if (!is_mine(p) || strcmp(function, p.name) != 0 || ++p.calls != p.call)
        return false;
    say("call %lu of %s fails, as MB_CUDASIM_FAIL wants", p.call, function);
    return true;
}

cudaError_t injected_error(const char *function)
{
    if (is_allocation(function))
        return cudaErrorMemoryAllocation;
    set_device_error(current_device(), cudaErrorLaunchFailure);
    return cudaErrorLaunchFailure;
}

} // namespace mb_cudasim

void mb_cudasim_fail(const char *what)
{
    mb_cudasim::read_plan(what, &mb_cudasim::the_plan());
}
