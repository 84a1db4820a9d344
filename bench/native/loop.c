// The physical limit: the smallest server on /dev/fuse there can be, one thread that reads, looks at the opcode and answers from
// constants. It has an empty root directory and a statfs, so a round trip costs what kernel and wake-ups cost.
#define _GNU_SOURCE
#include "clocks.h"
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BUFFER = 1 << 17 };

static const struct fuse_attr root = {.ino = 1, .mode = S_IFDIR | 0555, .nlink = 2, .blksize = 4096};
static const struct fuse_statfs_out statistics = {
    .st = {.blocks = 1000, .bfree = 500, .bavail = 500, .files = 100, .ffree = 50, .bsize = 4096, .namelen = 255}};

static int reply(int device, uint64_t unique, int error, const void *body, size_t size) {
  struct fuse_out_header header = {(uint32_t)(sizeof header + size), error, unique};
  struct iovec parts[2] = {{&header, sizeof header}, {(void *)body, size}};
  // A caller that was interrupted no longer waits: that is no failure.
  return writev(device, parts, size > 0 ? 2 : 1) < 0 && errno != ENOENT ? -errno : 0;
}

static int reply_init(int device, uint64_t unique, const struct fuse_init_in *wish) {
  struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = wish->minor, .max_readahead = wish->max_readahead};
  if (out.minor > FUSE_KERNEL_MINOR_VERSION) out.minor = FUSE_KERNEL_MINOR_VERSION;
  out.max_write = BUFFER - 4096;
  out.max_background = 16;
  return reply(device, unique, 0, &out, sizeof out);
}

static int answer(int device, const struct fuse_in_header *in) {
  const struct fuse_attr_out attributes = {.attr_valid = 1, .attr = root};
  const struct fuse_open_out opened = {.fh = 1};
  switch (in->opcode) {
  case FUSE_INIT: return reply_init(device, in->unique, (const struct fuse_init_in *)(in + 1));
  case FUSE_STATFS: return reply(device, in->unique, 0, &statistics, sizeof statistics);
  case FUSE_GETATTR: return reply(device, in->unique, 0, &attributes, sizeof attributes);
  case FUSE_LOOKUP: return reply(device, in->unique, -ENOENT, NULL, 0);
  case FUSE_OPENDIR: return reply(device, in->unique, 0, &opened, sizeof opened);
  case FUSE_READDIR:
  case FUSE_RELEASEDIR: return reply(device, in->unique, 0, NULL, 0);
  case FUSE_FORGET:
  case FUSE_BATCH_FORGET:
  case FUSE_INTERRUPT: return 0;
  default: return reply(device, in->unique, -ENOSYS, NULL, 0);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: loop MOUNTPOINT\n");
    return 2;
  }
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) return fail("loop", "/dev/fuse", -errno);
  char options[64];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
  if (mount("loop", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0) return fail("loop", argv[1], -errno);
  char *buffer = aligned_alloc(4096, BUFFER);
  if (buffer == NULL) return fail("loop", "malloc", -ENOMEM);
  for (;;) {
    ssize_t size = read(device, buffer, BUFFER);
    if (size < 0 && errno == ENODEV) return 0;
    if (size < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
    if (size < 0) return fail("loop", "read", -errno);
    int result = answer(device, (const struct fuse_in_header *)buffer);
    if (result == -ENODEV) return 0;
    if (result < 0) return fail("loop", "write", result);
  }
}
