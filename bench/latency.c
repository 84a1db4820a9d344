// The measuring client: repeats one file system call on a path and prints the latency in nanoseconds as one JSON line.
// It is a program of its own so that the timed loop has no runtime around it and can be pinned to a CPU.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

typedef int operation(const char *path, long index);

static int do_statfs(const char *path, long index) {
  struct statfs out;
  (void)index;
  return statfs(path, &out) < 0 ? -errno : 0;
}

static int do_stat(const char *path, long index) {
  struct stat out;
  (void)index;
  return stat(path, &out) < 0 ? -errno : 0;
}

// A name nobody asked for before: neither the dentry cache nor a negative entry can answer.
static int do_missing(const char *path, long index) {
  char name[4096];
  struct stat out;
  snprintf(name, sizeof name, "%s/missing-%d-%ld", path, (int)getpid(), index);
  if (stat(name, &out) == 0) return -EEXIST;
  return errno == ENOENT ? 0 : -errno;
}

static int do_open(const char *path, long index) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  (void)index;
  if (fd < 0) return -errno;
  return close(fd) < 0 ? -errno : 0;
}

static int do_create(const char *path, long index) {
  char name[4096];
  snprintf(name, sizeof name, "%s/created-%d-%ld", path, (int)getpid(), index);
  int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return -errno;
  if (close(fd) < 0) return -errno;
  return unlink(name) < 0 ? -errno : 0;
}

static const struct {
  const char *name;
  operation *run;
} operations[] = {
    {"statfs", do_statfs}, {"stat", do_stat}, {"missing", do_missing}, {"open", do_open}, {"create", do_create},
};

static operation *find_operation(const char *name) {
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
    if (strcmp(operations[i].name, name) == 0) return operations[i].run;
  return NULL;
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static int fail(const char *what, int error) {
  fprintf(stderr, "latency: %s: %s\n", what, strerror(-error));
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: latency statfs|stat|missing|open|create PATH COUNT\n");
    return 2;
  }
  operation *run = find_operation(argv[1]);
  const char *path = argv[2];
  long count = atol(argv[3]);
  if (run == NULL || count < 1) {
    fprintf(stderr, "latency: unknown operation %s or bad count %s\n", argv[1], argv[3]);
    return 2;
  }
  uint64_t *spent = malloc((size_t)count * sizeof *spent);
  if (spent == NULL) return fail("malloc", -ENOMEM);

  // The first tenth is not counted: it warms caches, and lets a server that compiles while it runs do so.
  long warmup = count / 10 + 1;
  uint64_t total = 0;
  for (long i = -warmup; i < count; i++) {
    uint64_t before = now();
    int result = run(path, i);
    uint64_t after = now();
    if (result < 0) return fail(argv[1], result);
    if (i < 0) continue;
    spent[i] = after - before;
    total += spent[i];
  }
  qsort(spent, (size_t)count, sizeof *spent, ascending);
  printf("{\"op\":\"%s\",\"count\":%ld,\"mean\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 "}\n", argv[1],
         count, total / (uint64_t)count, spent[count / 2], spent[count * 99 / 100]);
  free(spent);
  return 0;
}
