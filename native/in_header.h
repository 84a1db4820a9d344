// What every request begins with.
#ifndef DEVFUSE_IN_HEADER_H
#define DEVFUSE_IN_HEADER_H

#include <stdint.h>

// Kernel: struct fuse_in_header.
struct in_header {
  uint32_t len, opcode;
  uint64_t unique, nodeid;
  uint32_t uid, gid, pid, extensions;
};

#endif
