/* NCCL between processes, one rank each. */
#include "cudasim/test_nccl.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace
{

constexpr int RANKS = 3;
using floats = std::vector<float>;
using body = bool (*)(nccl_rank *self, const ncclUniqueId &id);

/* Runs BODY as each rank in a child; how many ended well. */
int run_ranks(body what)
{
    ncclUniqueId id = new_id();
    pid_t children[RANKS];
    int good = 0;
    fflush(stdout);
    for (int r = 0; r < RANKS; r++)
        if ((children[r] = fork()) == 0) {
            nccl_rank self;
            self.number = r;
            mb_cudasim_seed((uint64_t)r + 10);
            _exit(!what(&self, id));
        }
    for (pid_t child : children) {
        int status = 0;
        waitpid(child, &status, 0);
        good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good;
}

void join(nccl_rank *self, const ncclUniqueId &id)
{
    NCCL(self->start(id, RANKS, self->number, 0));
    NCCL(self->settle());
}

bool leave(nccl_rank *self)
{
    NCCL(ncclCommFinalize(self->comm));
    bool well = self->settle() == ncclSuccess && ncclCommDestroy(self->comm) == ncclSuccess;
    reset_device();
    return well;
}

/* Each waits by asking NCCL only, as a program that waits for MPI beside it does. */
bool go_around(nccl_rank *self, const ncclUniqueId &id)
{
    const size_t n = 50001;
    const int next = (self->number + 1) % RANKS, last = (self->number + RANKS - 1) % RANKS;
    join(self, id);
    bool right = true;
    float *from = self->floats(n, (float)self->number + 1.0f), *to = self->floats(n, 0.0f);
    cudaEvent_t arrived;
    CUDA(cudaEventCreateWithFlags(&arrived, cudaEventDisableTiming));
    for (int i = 0; i < 5; i++) {
        NCCL(ncclGroupStart());
        NCCL(self->send(from, n, next));
        NCCL(self->receive(to, n, last));
        NCCL(ncclGroupEnd());
        NCCL(self->settle());
        CUDA(cudaEventRecord(arrived, self->stream));
        while (cudaEventQuery(arrived) == cudaErrorNotReady)
            NCCL(self->settle());
        right = right && self->read(to, n) == floats(n, (float)last + 1.0f);
    }
    return leave(self) && right;
}

bool add_up(nccl_rank *self, const ncclUniqueId &id)
{
    const size_t n = 20000;
    join(self, id);
    float *p = self->floats(n, 1.0f / (float)(3 + self->number));
    NCCL(ncclAllReduce(p, p, n, ncclFloat32, ncclSum, self->comm, self->stream));
    NCCL(self->settle());
    CUDA(cudaStreamSynchronize(self->stream));
    bool right = self->read(p, n) == floats(n, 1.0f / 3.0f + 1.0f / 4.0f + 1.0f / 5.0f);
    return leave(self) && right;
}

/* Sizes differ: both ranks are told. */
bool differ(nccl_rank *self, const ncclUniqueId &id)
{
    join(self, id);
    if (self->number == 2)
        return ncclCommAbort(self->comm) == ncclSuccess;
    float *p = self->floats(9, 1.0f);
    NCCL(self->number ? self->receive(p, 9, 0) : self->send(p, 8, 1));
    (void)self->settle();
    bool told = cudaStreamSynchronize(self->stream) == cudaErrorLaunchFailure &&
                self->settle() == ncclInvalidUsage;
    return told && ncclCommAbort(self->comm) == ncclSuccess;
}

/* The last rank dies; the others wait, until they give up. */
bool lose_one(nccl_rank *self, const ncclUniqueId &id)
{
    join(self, id);
    if (self->number == RANKS - 1)
        raise(SIGKILL);
    float *p = self->floats(9, 1.0f);
    NCCL(self->receive(p, 9, RANKS - 1));
    for (int i = 0; i < 300; i++)
        NCCL(self->settle());
    bool waits = cudaStreamQuery(self->stream) == cudaErrorNotReady;
    NCCL(ncclCommAbort(self->comm));
    return waits && cudaStreamSynchronize(self->stream) == cudaSuccess;
}

/* Dies before the others have come, who cannot know. */
bool never_meet(nccl_rank *self, const ncclUniqueId &id)
{
    NCCL(self->start(id, RANKS + 1, self->number, 0));
    ncclResult_t found = ncclSuccess;
    for (int i = 0; i < 300; i++)
        NCCL(ncclCommGetAsyncError(self->comm, &found));
    if (self->number == 0)
        raise(SIGKILL);
    return found == ncclInProgress;
}

/* Both ranks are on device 0, which is the same in each process. */
bool share(nccl_rank *self, const ncclUniqueId &id)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    CUDA(cudaSetDevice(0));
    NCCL(ncclCommInitRankConfig(&self->comm, RANKS, id, self->number, &config));
    return self->settle() == ncclInvalidUsage && ncclCommAbort(self->comm) == ncclSuccess;
}

int count_of_descriptors()
{
    int n = 0;
    DIR *open = opendir("/proc/self/fd");
    while (open && readdir(open))
        n++;
    if (open)
        closedir(open);
    return n;
}

bool is_mapped()
{
    std::string all;
    char some[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    for (size_t n; maps && (n = fread(some, 1, sizeof some, maps)) > 0;)
        all.append(some, n);
    if (maps)
        fclose(maps);
    return all.find("cudasim-nccl") != std::string::npos;
}

int names_in_shm()
{
    int n = 0;
    DIR *open = opendir("/dev/shm");
    while (const dirent *entry = open ? readdir(open) : nullptr)
        n += strstr(entry->d_name, "cudasim") || strstr(entry->d_name, "nccl");
    if (open)
        closedir(open);
    return n;
}

void test_leftovers()
{
    std::vector<nccl_rank> ranks = new_ranks(2);
    end_ranks(&ranks);
    int before = count_of_descriptors();
    ranks = new_ranks(2);
    bool mapped = is_mapped();
    end_ranks(&ranks);
    nccl_rank alone; /* gives up before anybody has come */
    NCCL(alone.start(new_id(), 2, 0, 0));
    NCCL(ncclCommAbort(alone.comm));
    reset_devices(1);
    check(mapped && !is_mapped() && count_of_descriptors() == before,
          "a communicator leaves no memory and no descriptor");
}

} // namespace

void test_nccl_processes()
{
    int names = names_in_shm();
    check(run_ranks(go_around) == RANKS, "messages go around between processes");
    check(run_ranks(add_up) == RANKS, "so do those of an all-reduce");
    check(run_ranks(differ) == RANKS, "a message that does not match is told to both processes");
    check(run_ranks(share) == RANKS, "ranks in different processes do not share a device");
    check(run_ranks(lose_one) == RANKS - 1, "a lost process is waited for until an abort");
    check(run_ranks(never_meet) == RANKS - 1, "also before all have come");
    check(names_in_shm() == names, "nothing is left in /dev/shm, whoever died");
    test_leftovers();
}
