// One system call as numbers, raw or special, optionally under someone else's filesystem identity.
#ifndef DEVFUSE_CALL_H
#define DEVFUSE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALL_ARGS 6

struct call {
  int64_t nr; // negative: a special call
  int64_t args[CALL_ARGS];
};

// The result, or -errno.
int64_t call_run(const struct call *call);

// Mounting and unmounting: what everybody else may be waiting for.
bool call_is_urgent(const struct call *call);

#define AS_KEEP_FSETID 1u
#define AS_KEEP_MKNOD 2u

struct identity {
  uint32_t uid, gid;
  int32_t umask; // -1: as it is
  uint32_t flags;
  const uint32_t *groups; // NULL: as they are
  size_t group_count;
};

// call_run with the identity of this thread changed meanwhile.
int64_t call_run_as(const struct identity *identity, const struct call *call);

#endif
