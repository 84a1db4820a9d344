// Reads what /proc says about the loop's thread and about whoever sent a request.
#include "verdict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

// A chain of parents is never longer, unless it changes while we walk.
#define MOST_PARENTS 64

#define FORGET 2
#define GETATTR 3
#define STATFS 17
#define RELEASE 18
#define INIT 26
#define RELEASEDIR 29
#define INTERRUPT 36
#define DESTROY 38
#define NOTIFY_REPLY 41
#define BATCH_FORGET 42

static int open_of_task(pid_t tid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/%s", (int)tid, name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

int suspect_init(struct suspect *suspect, int backend_fd) {
  suspect->backend_fd = backend_fd;
  suspect->tid = (pid_t)syscall(SYS_gettid);
  suspect->stat_fd = open_of_task(suspect->tid, "stat");
  suspect->wchan_fd = open_of_task(suspect->tid, "wchan");
  suspect->syscall_fd = open_of_task(suspect->tid, "syscall");
  if (suspect->syscall_fd < 0)
    return -errno;
  char text[8];
  // Kernels without the feature say so only when they are asked.
  if (pread(suspect->syscall_fd, text, sizeof text, 0) > 0)
    return 0;
  int error = errno != 0 ? -errno : -ENOSYS;
  suspect_free(suspect);
  return error;
}

void suspect_free(struct suspect *suspect) {
  if (suspect->syscall_fd >= 0)
    close(suspect->syscall_fd);
  if (suspect->stat_fd >= 0)
    close(suspect->stat_fd);
  if (suspect->wchan_fd >= 0)
    close(suspect->wchan_fd);
  suspect->syscall_fd = suspect->stat_fd = suspect->wchan_fd = -1;
}

static bool waits_for_child(long nr) {
  switch (nr) {
#ifdef SYS_epoll_wait
  case SYS_epoll_wait:
#endif
  case SYS_epoll_pwait:
  case SYS_epoll_pwait2:
  case SYS_wait4:
    return true;
  default:
    return false;
  }
}

static bool waits_for_start(long nr) {
  switch (nr) {
#ifdef SYS_fork
  case SYS_fork:
  case SYS_vfork:
#endif
  case SYS_clone:
  case SYS_clone3:
    return true;
  default:
    return false;
  }
}

// Waits that no request ends, however long they are.
static bool waits_for_others(long nr) {
  switch (nr) {
#ifdef SYS_poll
  case SYS_poll:
  case SYS_select:
  case SYS_pause:
#endif
  case SYS_ppoll:
  case SYS_pselect6:
  case SYS_futex:
  case SYS_futex_waitv:
  case SYS_nanosleep:
  case SYS_clock_nanosleep:
  case SYS_restart_syscall:
  case SYS_waitid:
  case SYS_rt_sigtimedwait:
  case SYS_rt_sigsuspend:
  case SYS_accept:
  case SYS_accept4:
  case SYS_connect:
  case SYS_recvfrom:
  case SYS_recvmsg:
  case SYS_sendto:
  case SYS_sendmsg:
    return true;
  default:
    return false;
  }
}

bool suspect_blocked(const struct suspect *suspect, struct blocked *blocked) {
  char text[192];
  ssize_t length = pread(suspect->syscall_fd, text, sizeof text - 1, 0);
  if (length <= 0)
    return false;
  text[length] = '\0';
  char *end;
  blocked->nr = strtol(text, &end, 10);
  // Kernel: "running" where it is on a CPU, or could be.
  if (end == text)
    return false;
  for (int i = 0; i < 3; i++)
    blocked->args[i] = strtoull(end, &end, 16);
  if (waits_for_child(blocked->nr) && blocked->nr != SYS_wait4)
    return (int)blocked->args[0] != suspect->backend_fd;
  return !waits_for_others(blocked->nr);
}

static ssize_t read_file(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  ssize_t length = read(fd, text, size - 1);
  close(fd);
  if (length >= 0)
    text[length] = '\0';
  return length;
}

// Of the process that thread `pid` belongs to: its own id and that of its parent.
static bool process_of(pid_t pid, pid_t *process, pid_t *parent) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
  if (read_file(path, text, sizeof text) <= 0)
    return false;
  const char *own = strstr(text, "\nTgid:"), *above = strstr(text, "\nPPid:");
  if (own == NULL || above == NULL)
    return false;
  *process = (pid_t)atoi(own + 6);
  *parent = (pid_t)atoi(above + 6);
  return true;
}

static bool is_child_of_ours(pid_t pid) {
  pid_t process, parent;
  return process_of(pid, &process, &parent) && parent == getpid();
}

static bool is_below(pid_t pid, pid_t ancestor) {
  pid_t process;
  for (int i = 0; i < MOST_PARENTS && pid > 1 && process_of(pid, &process, &pid); i++)
    if (process == ancestor)
      return true;
  return false;
}

// Kernel: children of a thread are listed in the order of their birth.
static pid_t newest_child(pid_t tid) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  int last = 0, number = 0;
  ssize_t length;
  while ((length = read(fd, text, sizeof text)) > 0) {
    for (ssize_t i = 0; i < length; i++) {
      if (text[i] >= '0' && text[i] <= '9') {
        number = number * 10 + (text[i] - '0');
      } else if (number != 0) {
        last = number;
        number = 0;
      }
    }
  }
  close(fd);
  return number != 0 ? number : last;
}

// What tells an open file from all others: the lines `mnt_id` and `ino` of its fdinfo. Kernel: the links below /proc/PID/fd, like
// /proc/PID/stat, wait for an execve(2) under way, which here would wait for us.
static bool identity_of(const char *path, unsigned long long *mount, unsigned long long *inode) {
  char text[512];
  if (read_file(path, text, sizeof text) <= 0)
    return false;
  const char *mnt_id = strstr(text, "mnt_id:"), *ino = strstr(text, "ino:");
  if (mnt_id == NULL || ino == NULL)
    return false;
  *mount = strtoull(mnt_id + 7, NULL, 10);
  *inode = strtoull(ino + 4, NULL, 10);
  return true;
}

// Whether process `pid` has the pipe open that we read as `fd`: what a parent waits for until its child's program begins.
static bool holds_pipe(pid_t pid, int fd) {
  char path[300], link[8];
  unsigned long long our_mount, our_inode, mount, inode;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  if (readlink(path, link, 6) != 6 || memcmp(link, "pipe:[", 6) != 0)
    return false;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  if (!identity_of(path, &our_mount, &our_inode))
    return false;
  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  DIR *folder = opendir(path);
  if (folder == NULL)
    return false;
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%s", (int)pid, entry->d_name);
    found = identity_of(path, &mount, &inode) && mount == our_mount && inode == our_inode;
  }
  closedir(folder);
  return found;
}

// Whoever sent these does not wait for an answer, or it is not for us to give.
static bool is_notice(uint32_t opcode) {
  switch (opcode) {
  case FORGET:
  case RELEASE:
  case INIT:
  case RELEASEDIR:
  case INTERRUPT:
  case DESTROY:
  case NOTIFY_REPLY:
  case BATCH_FORGET:
    return true;
  default:
    return false;
  }
}

enum verdict verdict_on(const struct suspect *suspect, const struct blocked *blocked, uint32_t opcode, pid_t pid) {
  // Kernel: 0 is what the kernel itself wants (writeback), or somebody in a foreign pid namespace.
  if (pid <= 0 || is_notice(opcode))
    return VERDICT_NONE;
  if (waits_for_start(blocked->nr))
    return pid == newest_child(suspect->tid) ? VERDICT_SPAWN : VERDICT_NONE;
  if (blocked->nr == SYS_wait4)
    return (int)blocked->args[0] > 0 && is_below(pid, (pid_t)blocked->args[0]) ? VERDICT_CHILD : VERDICT_NONE;
  if (waits_for_child(blocked->nr)) {
    // spawnSync has a loop of its own, and its child is the last that its thread has started.
    pid_t child = newest_child(suspect->tid);
    return child > 0 && is_below(pid, child) ? VERDICT_CHILD : VERDICT_NONE;
  }
  if (pid == suspect->tid)
    return VERDICT_OWN_CALL;
  if (blocked->nr == SYS_read && is_child_of_ours(pid) && holds_pipe(pid, (int)blocked->args[0]))
    return VERDICT_SPAWN;
  return VERDICT_NONE;
}

// Kernel: D, a wait that no signal ends: for locks, pages and disks, and for answers that were asked for.
static bool is_uninterruptible(int stat_fd) {
  char text[256];
  ssize_t length = stat_fd < 0 ? -1 : pread(stat_fd, text, sizeof text - 1, 0);
  if (length <= 0)
    return false;
  text[length] = '\0';
  // The name of a thread may hold anything.
  const char *behind_name = strrchr(text, ')');
  return behind_name != NULL && strncmp(behind_name, ") D", 3) == 0;
}

enum wait suspect_wait(const struct suspect *suspect) {
  char name[64];
  ssize_t length = suspect->wchan_fd < 0 ? -1 : pread(suspect->wchan_fd, name, sizeof name - 1, 0);
  if (length <= 1)
    return WAIT_OTHER;
  name[length] = '\0';
  if (strstr(name, "folio") != NULL)
    return WAIT_PAGE;
  // Kernel: for a lock this is the function that takes it, whichever that is.
  if (strstr(name, "fuse") != NULL || strcmp(name, "request_wait_answer") == 0 || !is_uninterruptible(suspect->stat_fd))
    return WAIT_OTHER;
  return WAIT_LOCK;
}

bool may_hold(uint32_t opcode) { return opcode != GETATTR && opcode != STATFS && !is_notice(opcode); }

bool is_ours(pid_t pid) {
  pid_t process, parent;
  return process_of(pid, &process, &parent) && process == getpid();
}

static bool has_sigkill(const char *status, const char *field) {
  const char *at = strstr(status, field);
  return at != NULL && (strtoull(at + strlen(field), NULL, 16) & (1u << 8)) != 0;
}

bool being_killed(pid_t pid) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
  if (read_file(path, text, sizeof text) <= 0)
    return true;
  return has_sigkill(text, "\nSigPnd:") || has_sigkill(text, "\nShdPnd:");
}
