/* Makes, finds and lays out the shared memory; see nccl_segment.h. */
#include "cudasim/nccl_segment.h"

#include "cudasim/nccl_error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

namespace mb_cudasim
{

struct segment_header {
    uint64_t nonce;
    std::atomic<int32_t> ranks; /* 0: nobody has come yet */
    std::atomic<int32_t> attached;
    rank_line lines[];
};

namespace
{

constexpr size_t PAGE_BYTES = 4096;
constexpr char MAGIC[] = "cudasim";

/* What an ncclUniqueId holds. */
struct address {
    char magic[8];
    int32_t pid, descriptor;
    uint64_t nonce;
};
static_assert(sizeof(address) <= NCCL_UNIQUE_ID_BYTES);

address address_of(const ncclUniqueId &id)
{
    address a;
    memcpy(&a, id.internal, sizeof a);
    return a;
}

/* Of the memories that this process has made, by nonce. */
std::map<uint64_t, int> &descriptors()
{
    static auto *all = new std::map<uint64_t, int>;
    return *all;
}

size_t head_bytes(int ranks)
{
    size_t bytes = sizeof(segment_header) + (size_t)ranks * sizeof(rank_line);
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

size_t total_bytes(int ranks)
{
    return head_bytes(ranks) + N_CHANNELS * (size_t)ranks * (size_t)ranks * sizeof(mailbox);
}

void *map_bytes(int descriptor, size_t bytes)
{
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    return p == MAP_FAILED ? nullptr : p;
}

int open_segment(const address &a)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", a.pid, a.descriptor);
    return open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

/* The process may be gone and its number have been given to another one. */
bool is_the_one(const segment_header *header, int descriptor, uint64_t nonce)
{
    struct stat now;
    return header && fstat(descriptor, &now) == 0 && now.st_size >= (off_t)PAGE_BYTES &&
           header->nonce == nonce;
}

/* The first to come says how many there are. */
bool agree(segment_header *header, int ranks)
{
    int32_t found = 0;
    return header->ranks.compare_exchange_strong(found, ranks) || found == ranks;
}

} // namespace

ncclResult_t segment_make(ncclUniqueId *id)
{
    address a = {};
    memcpy(a.magic, MAGIC, sizeof MAGIC);
    a.pid = getpid();
    a.descriptor = memfd_create("cudasim-nccl", MFD_CLOEXEC);
    if (a.descriptor < 0 || ftruncate(a.descriptor, PAGE_BYTES) ||
        getrandom(&a.nonce, sizeof a.nonce, 0) != sizeof a.nonce ||
        pwrite(a.descriptor, &a.nonce, sizeof a.nonce, 0) != sizeof a.nonce)
        return nccl_refuse(ncclSystemError, "ncclGetUniqueId: no shared memory: %s",
                           strerror(errno));
    descriptors()[a.nonce] = a.descriptor;
    memset(id, 0, sizeof *id);
    memcpy(id->internal, &a, sizeof a);
    return ncclSuccess;
}

void segment_close(const ncclUniqueId &id)
{
    auto found = descriptors().find(address_of(id).nonce);
    if (address_of(id).pid != getpid() || found == descriptors().end())
        return;
    close(found->second);
    descriptors().erase(found);
}

segment::~segment()
{
    if (header_)
        munmap(header_, total_bytes(ranks_));
}

ncclResult_t segment::attach(const ncclUniqueId &id, int ranks, int rank, int device)
{
    address a = address_of(id);
    ranks_ = ranks;
    rank_ = rank;
    if (memcmp(a.magic, MAGIC, sizeof MAGIC) != 0)
        return nccl_refuse(ncclInvalidArgument, "rank %d: the unique id is none", rank);
    int descriptor = open_segment(a);
    if (descriptor < 0)
        return nccl_refuse(ncclSystemError,
                           "rank %d: process %d, which made the unique id, does not answer, or all "
                           "its ranks have come: %s",
                           rank, a.pid, strerror(errno));
    ncclResult_t result = map(descriptor, a.nonce);
    close(descriptor);
    NCCL_TRY(result);
    return claim(device);
}

/* The size depends on the number of ranks, which all have to agree on in the first page. */
ncclResult_t segment::map(int descriptor, uint64_t nonce)
{
    auto first = (segment_header *)map_bytes(descriptor, PAGE_BYTES);
    if (!first || !is_the_one(first, descriptor, nonce))
        return nccl_refuse(ncclSystemError, "rank %d: the unique id's process is gone", rank_);
    bool agreed = agree(first, ranks_);
    int others = first->ranks;
    munmap(first, PAGE_BYTES);
    if (!agreed)
        return nccl_refuse(ncclInvalidArgument,
                           "rank %d says that there are %d ranks, another one that there are %d",
                           rank_, ranks_, others);
    if (ftruncate(descriptor, (off_t)total_bytes(ranks_)) == 0)
        header_ = (segment_header *)map_bytes(descriptor, total_bytes(ranks_));
    if (!header_)
        return nccl_refuse(ncclSystemError, "rank %d: no shared memory of %zu bytes: %s", rank_,
                           total_bytes(ranks_), strerror(errno));
    return ncclSuccess;
}

ncclResult_t segment::claim(int device)
{
    rank_line &mine = line(rank_);
    int32_t free = 0;
    if (!mine.claimed.compare_exchange_strong(free, 1))
        return nccl_refuse(ncclInvalidArgument, "rank %d of the communicator is taken", rank_);
    mine.pid = getpid();
    mine.device = device;
    header_->attached.fetch_add(1, std::memory_order_release);
    return ncclSuccess;
}

bool segment::complete() const
{
    return header_->attached.load(std::memory_order_acquire) == ranks_;
}

rank_line &segment::line(int rank) const
{
    return header_->lines[rank];
}

mailbox *segment::box(channel which, int from, int to) const
{
    auto boxes = (mailbox *)((char *)header_ + head_bytes(ranks_));
    return &boxes[((size_t)which * (size_t)ranks_ + (size_t)from) * (size_t)ranks_ + (size_t)to];
}

} // namespace mb_cudasim
