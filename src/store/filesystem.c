/* See filesystem.h. */
#include "store/filesystem.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/ioctl.h>
#include <sys/vfs.h>
#endif
#include "store/io.h"

#define PAGE_BYTES ((int64_t)4096)
#define MIB ((int64_t)1 << 20)

/* linux/magic.h where that has them; else from the file systems' own sources. ALIGN of 0: a block.
 */
static const struct {
    uint64_t magic;
    mb_filesystem_t system;
} kinds[] = {
    {0x0bd00bd0, {"Lustre", true, MIB}},         {0x47504653, {"GPFS", false, 0}},
    {0x00006969, {"NFS", false, PAGE_BYTES}},    {0x19830326, {"BeeGFS", false, PAGE_BYTES}},
    {0x00c36400, {"CephFS", false, PAGE_BYTES}}, {0xaad7aaea, {"PanFS", false, PAGE_BYTES}},
    {0x01161970, {"GFS2", false, PAGE_BYTES}},   {0x20030528, {"OrangeFS", false, PAGE_BYTES}},
    {0x7461636f, {"OCFS2", false, PAGE_BYTES}},  {0xff534d42, {"SMB", false, PAGE_BYTES}},
    {0xfe534d42, {"SMB", false, PAGE_BYTES}},
};

static int64_t whole_pages(int64_t bytes)
{
    return bytes < PAGE_BYTES ? PAGE_BYTES : bytes / PAGE_BYTES * PAGE_BYTES;
}

mb_filesystem_t mb_filesystem_of_magic(uint64_t magic, int64_t block_bytes)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        mb_filesystem_t system = kinds[i].system;
        if (kinds[i].magic != magic)
            continue;
        if (system.align == 0)
            system.align = whole_pages(block_bytes);
        return system;
    }
    return (mb_filesystem_t){NULL, false, 0};
}

#ifdef __linux__

mb_status_t mb_filesystem_at(const char *directory, mb_filesystem_t *out)
{
    struct statfs system;
    struct stat about;
    *out = (mb_filesystem_t){NULL, false, 0};
    if (statfs(directory, &system) != 0 || stat(directory, &about) != 0)
        return mb_io_error("look at", directory);
    *out = mb_filesystem_of_magic((uint64_t)system.f_type & 0xffffffff, (int64_t)about.st_blksize);
    return MB_OK;
}

/* lov_user_md_v1 of lustre_user.h, which need not be installed. */
typedef struct {
    uint32_t magic, pattern;
    uint64_t object[2];
    uint32_t stripe_bytes;
    uint16_t stripe_count, first_target;
} lustre_layout_t;
_Static_assert(sizeof(lustre_layout_t) == 32, "as Lustre's own");
#define LUSTRE_LAYOUT 0x0bd10bd0u
#define LUSTRE_SET_LAYOUT _IOW('f', 154, long)
#define LUSTRE_ANY_TARGET UINT16_MAX

mb_status_t mb_filesystem_stripe(const char *directory, int64_t unit, int factor)
{
    lustre_layout_t layout = {.magic = LUSTRE_LAYOUT,
                              .stripe_bytes = (uint32_t)unit,
                              .stripe_count = (uint16_t)factor,
                              .first_target = LUSTRE_ANY_TARGET};
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return mb_io_error("open", directory);
    int result = ioctl(fd, LUSTRE_SET_LAYOUT, &layout);
    mb_status_t status = result == 0 ? MB_OK : mb_io_error("set the stripes of", directory);
    close(fd);
    return status;
}

#else

mb_status_t mb_filesystem_at(const char *directory, mb_filesystem_t *out)
{
    (void)directory;
    *out = (mb_filesystem_t){NULL, false, 0};
    return MB_OK;
}

mb_status_t mb_filesystem_stripe(const char *directory, int64_t unit, int factor)
{
    (void)unit, (void)factor;
    return mb_error_set(MB_ERR_UNSUPPORTED, "'%s': Lustre's stripes are set on Linux", directory);
}

#endif
