// No table of system calls: an argument is a descriptor, or the address of a path, or neither of them.
#include "subject.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_FDS (1u << 20)
#define LOWEST_ADDRESS 65536u

static bool is_below(const char *path, const char *mount_point) {
  size_t length = strlen(mount_point);
  return strncmp(path, mount_point, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

// Kernel: reading these links asks nobody for the file.
static bool link_is_below(const char *link, const char *mount_point) {
  char path[PATH_MAX];
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0)
    return false;
  path[length] = '\0';
  return is_below(path, mount_point);
}

static bool fd_is_below(uint64_t fd, const char *mount_point) {
  char link[64];
  if (fd >= MOST_FDS)
    return false;
  snprintf(link, sizeof link, "/proc/self/fd/%d", (int)fd);
  return link_is_below(link, mount_point);
}

bool call_moves_data(const struct blocked *blocked) {
  switch (blocked->nr) {
  case SYS_read:
  case SYS_write:
  case SYS_pread64:
  case SYS_pwrite64:
  case SYS_readv:
  case SYS_writev:
  case SYS_preadv:
  case SYS_pwritev:
  case SYS_getdents64:
    return true;
  default:
    return false;
  }
}

// The string at an address, as far as its page is ours to read.
static bool path_at(uint64_t address, char *path, size_t size) {
  if (address < LOWEST_ADDRESS)
    return false;
  struct iovec into = {.iov_base = path, .iov_len = size - 1};
  struct iovec from = {.iov_base = (void *)(uintptr_t)address, .iov_len = size - 1};
  // The end of the string may be the end of what is mapped.
  size_t in_page = 4096 - address % 4096;
  ssize_t length = process_vm_readv(getpid(), &into, 1, &from, 1, 0);
  if (length <= 0) {
    into.iov_len = from.iov_len = in_page < size - 1 ? in_page : size - 1;
    length = process_vm_readv(getpid(), &into, 1, &from, 1, 0);
  }
  if (length <= 0)
    return false;
  path[length] = '\0';
  return true;
}

bool call_is_below(const struct blocked *blocked, const char *mount_point) {
  if (fd_is_below(blocked->args[0], mount_point))
    return true;
  // The other arguments are bytes of the program then.
  if (call_moves_data(blocked))
    return false;
  char path[PATH_MAX];
  for (int i = 0; i < 3; i++) {
    if (!path_at(blocked->args[i], path, sizeof path))
      continue;
    if (is_below(path, mount_point))
      return true;
    if (path[0] != '/' && path[0] != '\0' && link_is_below("/proc/self/cwd", mount_point))
      return true;
  }
  return false;
}
