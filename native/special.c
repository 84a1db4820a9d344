// The special calls. Everything in here is a raw system call: it may run in a thread that is cancelled
// at any instant, or in a child that shares nothing with the C library's locks.
#include "special.h"
#include "listing.h"
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
// How long the end of an environment waits for its mounts to go.
#define DETACH_MS 1000

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

static int64_t or_errno(long result) { return result == -1 ? -errno : result; }

static void *address(int64_t arg) { return (void *)(uintptr_t)arg; }

// In a child, so that a path that leads over a mount of our own cannot hold us up.
static bool is_device(const char *path, uint32_t minor) {
  struct statx found;
  // Kernel: nobody is asked for the device number of a mount's root.
  return syscall(SYS_statx, AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &found) == 0 &&
         found.stx_dev_major == 0 && found.stx_dev_minor == minor;
}

static _Noreturn void umount_child(const char *path, int flags, const uint32_t *minor) {
  // The device must close when the server dies, even while this child waits for its answer.
  if (syscall(SYS_close_range, 3, ~0u, 0) != 0)
    for (int fd = 3; fd < 4096; fd++)
      syscall(SYS_close, fd);
  if (minor != NULL && !is_device(path, *minor))
    syscall(SYS_exit_group, ESTALE);
  long result = syscall(SYS_umount2, path, flags);
  syscall(SYS_exit_group, result == 0 ? 0 : errno);
  __builtin_unreachable();
}

// Children that took too long. Nobody waits for them when they end, and a process has to bury its own: the next one that is
// made does it. A child that finds no place stays until the process ends.
static _Atomic pid_t late[16];

static void late_add(pid_t pid) {
  for (size_t i = 0; i < sizeof late / sizeof late[0]; i++) {
    pid_t none = 0;
    if (atomic_compare_exchange_strong(&late[i], &none, pid))
      return;
  }
}

static void late_bury(void) {
  for (size_t i = 0; i < sizeof late / sizeof late[0]; i++) {
    pid_t pid = atomic_exchange(&late[i], 0);
    if (pid != 0 && syscall(SYS_wait4, pid, NULL, __WALL | WNOHANG, NULL) == 0)
      late_add(pid);
  }
}

// Waits for the child `timeout` ms at the most; it ends by itself then.
static int64_t umount_wait(pid_t pid, int pidfd, int timeout) {
  if (timeout > 0) {
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int ready;
    do
      ready = poll(&ended, 1, timeout);
    while (ready == -1 && errno == EINTR);
    int error = errno;
    syscall(SYS_close, pidfd);
    if (ready <= 0) {
      late_add(pid);
      return ready == 0 ? -ETIMEDOUT : -error;
    }
  }
  int status = 0;
  long waited;
  do
    waited = syscall(SYS_wait4, pid, &status, __WALL, NULL);
  while (waited == -1 && errno == EINTR);
  if (waited == -1)
    return -errno;
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int64_t umount_in_child(const char *path, int flags, int timeout, const uint32_t *minor) {
  uint64_t all = ~UINT64_C(0), before;
  late_bury();
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, sizeof all);
  int pidfd = -1;
  // Not fork(3): its handlers wait for locks. No exit signal: SIGCHLD would reach the program's handlers.
  long pid = syscall(SYS_clone, timeout > 0 ? CLONE_PIDFD : 0, 0, &pidfd, 0, 0);
  if (pid == 0)
    umount_child(path, flags, minor);
  int error = errno;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
  return pid == -1 ? -error : umount_wait((pid_t)pid, pidfd, timeout);
}

int special_detach(const char *path, uint32_t minor) {
  return (int)umount_in_child(path, MNT_DETACH | MNT_FORCE | UMOUNT_NOFOLLOW, DETACH_MS, &minor);
}

union control {
  struct cmsghdr header;
  char space[CMSG_SPACE(sizeof(int))];
};

static int64_t recv_fd(int sock, int flags) {
  char byte;
  union control control;
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  // Kernel: padded, the space would take two. Those without space are dropped.
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
  long received;
  do
    received = syscall(SYS_recvmsg, sock, &message, MSG_CMSG_CLOEXEC | flags);
  while (received == -1 && errno == EINTR);
  if (received == -1)
    return -errno;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  // Kernel: there was one, but this process may not have any more.
  if (header == NULL && (message.msg_flags & MSG_CTRUNC) != 0)
    return -EMFILE;
  int fd;
  if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len < CMSG_LEN(sizeof fd))
    return received == 0 ? -EPIPE : -ENOMSG;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

static int64_t send_fd(int sock, int fd) {
  char byte = 0;
  union control control;
  memset(&control, 0, sizeof control);
  control.header.cmsg_len = CMSG_LEN(sizeof fd);
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  long sent;
  do
    sent = syscall(SYS_sendmsg, sock, &message, MSG_NOSIGNAL);
  while (sent == -1 && errno == EINTR);
  return sent == -1 ? -errno : 0;
}

int64_t pread_nowait(int fd, void *bytes, size_t length, int64_t offset) {
  // Kernel: preadv2(2) takes -1 for the position of the file, pread(2) for an error.
  if (offset < 0)
    return -EINVAL;
  struct iovec data = {.iov_base = bytes, .iov_len = length};
  return or_errno(syscall(SYS_preadv2, fd, &data, 1, offset, 0, RWF_NOWAIT));
}

static int64_t transfer_all(long nr, int fd, char *bytes, size_t length, int64_t offset) {
  size_t done = 0;
  while (done < length) {
    long result = syscall(nr, fd, bytes + done, length - done, offset + (int64_t)done);
    if (result == -1 && errno == EINTR)
      continue;
    if (result == -1 && done == 0)
      return -errno;
    if (result <= 0)
      break;
    done += (size_t)result;
  }
  return (int64_t)done;
}

int64_t pread_all(int fd, void *bytes, size_t length, int64_t offset) {
  return transfer_all(SYS_pread64, fd, bytes, length, offset);
}

static long voluntary_switches(void) {
  struct rusage usage;
  return syscall(SYS_getrusage, RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

// Kernel: who waits switches of its own accord, who only loses the CPU to others does not.
static int64_t pwrite_timed(int fd, char *bytes, size_t length, int64_t offset, uint32_t *waited) {
  long switches = voluntary_switches();
  uint64_t start = clock_ns();
  int64_t result = transfer_all(SYS_pwrite64, fd, bytes, length, offset);
  uint64_t spent = (clock_ns() - start) / 1000u;
  uint32_t bounded = spent == 0 ? 1 : spent < UINT32_MAX ? (uint32_t)spent : UINT32_MAX;
  *waited = voluntary_switches() == switches ? 0 : bounded;
  return result;
}

int64_t special_run(const struct call *call) {
  const int64_t *a = call->args;
  switch (call->nr) {
  case SPECIAL_UMOUNT:
    return a[0] == 0 ? -EFAULT : umount_in_child(address(a[0]), (int)a[1], (int)a[2], NULL);
  case SPECIAL_RECV_FD:
    return recv_fd((int)a[0], (int)a[1]);
  case SPECIAL_PREAD_NOWAIT:
    return pread_nowait((int)a[0], address(a[1]), (size_t)a[2], a[3]);
  case SPECIAL_SEND_FD:
    return send_fd((int)a[0], (int)a[1]);
  case SPECIAL_PREAD_ALL:
    return pread_all((int)a[0], address(a[1]), (size_t)a[2], a[3]);
  case SPECIAL_PWRITE_ALL:
    return transfer_all(SYS_pwrite64, (int)a[0], address(a[1]), (size_t)a[2], a[3]);
  case SPECIAL_PWRITE_TIMED:
    return a[4] == 0 ? -EFAULT
                     : pwrite_timed((int)a[0], address(a[1]), (size_t)a[2], a[3], address(a[4]));
  case SPECIAL_LISTING:
    return listing_encode((int)a[0], address(a[1]), address(a[2]), address(a[3]), (size_t)a[4], address(a[5]));
  default:
    return -ENOSYS;
  }
}
