// Who waits for whom: whether the loop's thread waits for the very request that waits for it. Asked of /proc by the guard's
// thread, which may look at every thread of its own process.
#ifndef DEVFUSE_VERDICT_H
#define DEVFUSE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// The numbers are known to src/session/guard.ts.
enum verdict {
  VERDICT_NONE,     // whoever asked can wait
  VERDICT_OWN_CALL, // the loop's thread asked, in a system call of its own
  VERDICT_SPAWN,    // a child asked before its program began, which the loop's thread waits for
  VERDICT_CHILD,    // a process asked whose end the loop's thread waits for
  VERDICT_LOCK,     // somebody asked who holds what a call of the loop's thread on the mount waits for
};

// The thread that serves.
struct suspect {
  pid_t tid;
  int syscall_fd; // /proc/self/task/TID/syscall
  int stat_fd, wchan_fd; // beside it
  int backend_fd; // where its loop sleeps
};

// In which call it is.
struct blocked {
  long nr; // -1: in a page fault
  uint64_t args[3];
};

// For the calling thread. 0, or -errno where /proc does not tell.
int suspect_init(struct suspect *suspect, int backend_fd);
void suspect_free(struct suspect *suspect);

// Whether it is in a call that a request might have to do with: neither running, nor at rest in its loop, nor in a wait for
// other threads, sockets or time.
bool suspect_blocked(const struct suspect *suspect, struct blocked *blocked);

// About a request from thread `pid`.
enum verdict verdict_on(const struct suspect *suspect, const struct blocked *blocked, uint32_t opcode, pid_t pid);

// What a call waits for that no request of its own waits for.
enum wait { WAIT_OTHER, WAIT_LOCK, WAIT_PAGE };
enum wait suspect_wait(const struct suspect *suspect);

// Whether whoever sends this may hold a lock of an inode, a name or a page meanwhile, and can be told that it failed.
bool may_hold(uint32_t opcode);

// Whether the thread is one of this process.
bool is_ours(pid_t pid);

// Whether SIGKILL is pending for the thread, or it cannot be seen.
bool being_killed(pid_t pid);

#endif
