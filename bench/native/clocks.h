// What the measuring programs share: the wall clock, and the CPU time of the serving process.
#ifndef DEVFUSE_BENCH_CLOCKS_H
#define DEVFUSE_BENCH_CLOCKS_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

static inline uint64_t nanoseconds(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) < 0) return 0;
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline uint64_t now(void) { return nanoseconds(CLOCK_MONOTONIC); }

// CPU time of all threads of a process, those that ended included; 0 for no process. /proc/PID/stat has it in hundredths
// of a second, which is too coarse for a run of half a second.
static inline uint64_t cpu_of(pid_t server) {
  clockid_t clock;
  if (server <= 0 || clock_getcpuclockid(server, &clock) != 0) return 0;
  return nanoseconds(clock);
}

static inline int fail(const char *program, const char *what, int error) {
  fprintf(stderr, "%s: %s: %s\n", program, what, strerror(-error));
  return 1;
}

#endif
