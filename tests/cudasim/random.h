/* Numbers drawn from the seed: which stream moves next, in which order threads and blocks run. The
 * generator is splitmix64 (Steele, Lea, Flood 2014). */
#ifndef MB_CUDASIM_RANDOM_H
#define MB_CUDASIM_RANDOM_H

#include <stdint.h>

#include <numeric>

namespace mb_cudasim
{

class random_numbers
{
  public:
    explicit random_numbers(uint64_t seed) : state_(seed)
    {
    }
    uint64_t next()
    {
        uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
    }
    /* 0 .. n - 1; n below 2^32 is drawn evenly enough. */
    uint64_t below(uint64_t n)
    {
        return n >> 32 ? next() % n : (next() >> 32) * n >> 32;
    }

  private:
    uint64_t state_;
};

/* The one of this process; seeded by MB_CUDASIM_SEED and, under MPI, the rank. */
random_numbers &draw();

/* Visits 0 .. n - 1 once each in one of many orders: a start and a step without a common divisor
 * with n. Costs an addition a visit. */
class walk
{
  public:
    explicit walk(uint64_t n) : n_(n), at_(draw().below(n)), step_(1)
    {
        if (n < 2)
            return;
        do
            step_ = 1 + draw().below(n - 1);
        while (std::gcd(step_, n) != 1);
    }
    uint64_t next()
    {
        uint64_t now = at_;
        at_ = at_ >= n_ - step_ ? at_ - (n_ - step_) : at_ + step_;
        return now;
    }
    /* The same step from another start. */
    void restart()
    {
        at_ = draw().below(n_);
    }

  private:
    uint64_t n_, at_, step_;
};

} // namespace mb_cudasim

#endif
