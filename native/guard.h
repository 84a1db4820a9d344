// The guard: a thread that notices when the loop's thread waits for a request that only it could answer, and answers EDEADLK.
#ifndef DEVFUSE_GUARD_H
#define DEVFUSE_GUARD_H

#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// A request that was answered EDEADLK.
struct guard_report {
  enum verdict verdict;
  uint32_t opcode;
  pid_t pid;
};

struct guard;

struct guarded {
  int fd;                  // the device
  int backend_fd;          // where the loop of the calling thread sleeps
  size_t message_size;     // of the largest message
  const char *mount_point; // or NULL
  void (*wake)(void *owner); // called from the guard's thread when there is something to take or to report
  void *owner;
};

// Watches a device for the calling thread. 0, or -errno where a thread or /proc is not to be had.
int guard_start(struct guard **guard, const struct guarded *guarded);

// The thread ends. What it holds can still be taken.
void guard_stop(struct guard *guard);
void guard_free(struct guard *guard);

// The loop's thread reads the device between these two, and nobody else does then. NULL: nobody else ever does.
void guard_enter(struct guard *guard);
void guard_leave(struct guard *guard);

// Between them: the message that came before all those in the device. Its length, or 0: none.
size_t guard_take(struct guard *guard, uint8_t *bytes);

// Whether there is one.
bool guard_holds(struct guard *guard);

// Whether `wake` was called since the last time.
bool guard_called(struct guard *guard);

// The oldest report that was not given out yet.
bool guard_next_report(struct guard *guard, struct guard_report *report);

#endif
