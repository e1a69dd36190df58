/* Fills static shared memory with NaN; see shared_static.h. */
#include "cudasim/shared_static.h"

#include "cudasim/random.h"

#include <string.h>

#include <algorithm>
#include <unordered_map>

namespace mb_cudasim
{

namespace
{

constexpr size_t PIECE = 64;
constexpr unsigned FIRST_BLOCKS = 16; /* of a kernel, looked over always */
constexpr unsigned LATER_BLOCKS = 64; /* one in so many, after that */

bool filled(const unsigned char *begin, const unsigned char *end)
{
    static const std::vector<unsigned char> pattern(PIECE, 0xff);
    return memcmp(begin, pattern.data(), (size_t)(end - begin)) == 0;
}

} // namespace

static_shared &static_shared::of(const launch_shape &shape)
{
    static auto *all = new std::unordered_map<const void *, static_shared>;
    static_shared &s = (*all)[shape.function];
    if (!s.all_.begin && shape.static_begin) {
        s.all_ = {shape.static_begin, shape.static_end};
        s.written_.resize((size_t)(shape.static_end - shape.static_begin + (PIECE - 1)) / PIECE);
    }
    return s;
}

void static_shared::before_block()
{
    if (!all_.begin)
        return;
    learning_ = blocks_ < FIRST_BLOCKS || draw().below(LATER_BLOCKS) == 0;
    blocks_ = std::min(blocks_ + 1, FIRST_BLOCKS);
    if (learning_)
        memset(all_.begin, 0xff, (size_t)(all_.end - all_.begin));
    else
        for (const range &r : known_)
            memset(r.begin, 0xff, (size_t)(r.end - r.begin));
}

void static_shared::after_block()
{
    if (learning_)
        look_over();
}

void static_shared::look_over()
{
    known_.clear();
    for (size_t i = 0; i < written_.size(); i++) {
        unsigned char *begin = all_.begin + i * PIECE;
        unsigned char *end = std::min(begin + PIECE, all_.end);
        written_[i] = written_[i] || !filled(begin, end);
        if (!written_[i])
            continue;
        if (!known_.empty() && known_.back().end == begin)
            known_.back().end = end;
        else
            known_.push_back({begin, end});
    }
}

} // namespace mb_cudasim
