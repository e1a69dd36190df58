/* Static shared memory. All kernels' arrays lie in one section, and filling all of it before every
 * block would cost more than most blocks. So it is learnt which part a kernel writes: its first
 * blocks, and some later ones by chance, find the whole section filled and are looked over
 * afterwards; before the others only the part that is known is filled. */
#ifndef MB_CUDASIM_SHARED_STATIC_H
#define MB_CUDASIM_SHARED_STATIC_H

#include "cudasim/kernel.h"

#include <vector>

namespace mb_cudasim
{

class static_shared
{
  public:
    /* The one of the launch's kernel; kept for the process. */
    static static_shared &of(const launch_shape &shape);

    void before_block();
    void after_block();

  private:
    struct range {
        unsigned char *begin, *end;
    };
    void look_over();

    range all_ = {};
    std::vector<bool> written_; /* by pieces */
    std::vector<range> known_;
    unsigned blocks_ = 0;
    bool learning_ = false;
};

} // namespace mb_cudasim

#endif
