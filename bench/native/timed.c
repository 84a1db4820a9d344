// Runs a program and prints how long it took, and the CPU time of the server meanwhile, as one JSON line.
#define _GNU_SOURCE
#include "clocks.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: timed SERVER-PID|0 PROGRAM [ARGUMENT ...]\n");
    return 2;
  }
  pid_t server = (pid_t)atol(argv[1]);
  uint64_t cpu = cpu_of(server), start = now();
  pid_t child = fork();
  if (child < 0) return fail("timed", "fork", -errno);
  if (child == 0) {
    // What the program says is no figure of ours.
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0) dup2(null, STDOUT_FILENO);
    execvp(argv[2], argv + 2);
    _exit(fail("timed", argv[2], -errno) + 126);
  }
  int status;
  if (waitpid(child, &status, 0) < 0) return fail("timed", "waitpid", -errno);
  uint64_t wall = now() - start;
  cpu = cpu_of(server) - cpu;
  if (status != 0) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  printf("{\"wall\":%" PRIu64 ",\"cpu\":%" PRIu64 "}\n", wall, cpu);
  return 0;
}
