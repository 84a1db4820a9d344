// Calls that are more than one system call, by negative number.
#ifndef DEVFUSE_SPECIAL_H
#define DEVFUSE_SPECIAL_H

#include "call.h"

#include <stdbool.h>

enum special {
  SPECIAL_UMOUNT = -1,
  SPECIAL_RECV_FD = -2,
  SPECIAL_PREAD_NOWAIT = -3,
  SPECIAL_SEND_FD = -4,
  SPECIAL_PREAD_ALL = -5,
  SPECIAL_PWRITE_ALL = -6,
  SPECIAL_LISTING = -7,
  SPECIAL_PWRITE_TIMED = -8,
};

// The result or -errno; -ENOSYS for a number that is none of them.
int64_t special_run(const struct call *call);

// Detaches what is mounted at `path` if its device number is still 0:`minor`, aborting its connection. 0 or -errno.
int special_detach(const char *path, uint32_t minor);

// preadv2(2) with RWF_NOWAIT into one buffer.
int64_t pread_nowait(int fd, void *bytes, size_t length, int64_t offset);

// pread(2) until `length`, the end of the file or an error; -errno only when nothing was read.
int64_t pread_all(int fd, void *bytes, size_t length, int64_t offset);

#endif
