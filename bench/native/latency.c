// The client for single calls: N processes repeat one system call for a while; prints latency, rate and the server's CPU
// time as one JSON line. A program of its own, so that the timed loop has no runtime around it and can be pinned.
#define _GNU_SOURCE
#include "clocks.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_CLIENTS = 64, MAX_SAMPLES = 1 << 20, TREE_FILES = 100 };

typedef int operation(const char *path, long index);

// Of a tree as the benchmark lays it out, with TREE_FILES files in each.
static long tree_directories = 200;

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

// Kernel: AT_STATX_FORCE_SYNC asks the server, whatever is cached.
static int do_storm(const char *path, long index) {
  char name[4096];
  struct statx out;
  uint64_t mixed = ((uint64_t)(index + 1) * 0x9e3779b97f4a7c15u + (uint64_t)getpid()) >> 20;
  snprintf(name, sizeof name, "%s/d%03d/f%03d", path, (int)(mixed % (uint64_t)tree_directories),
           (int)(mixed / (uint64_t)tree_directories % TREE_FILES));
  return statx(AT_FDCWD, name, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &out) < 0 ? -errno : 0;
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

// One pass over a whole directory.
static int do_readdir(const char *path, long index) {
  DIR *directory = opendir(path);
  (void)index;
  if (directory == NULL) return -errno;
  errno = 0;
  while (readdir(directory) != NULL) errno = 0;
  int result = -errno;
  closedir(directory);
  return result;
}

// Nothing at all: how much CPU time an idle server takes.
static int do_idle(const char *path, long index) {
  (void)path;
  (void)index;
  return usleep(100000) < 0 ? -errno : 0;
}

static const struct {
  const char *name;
  operation *run;
} operations[] = {
    {"statfs", do_statfs}, {"stat", do_stat},     {"storm", do_storm},     {"missing", do_missing},
    {"open", do_open},     {"create", do_create}, {"readdir", do_readdir}, {"idle", do_idle},
};

static operation *find_operation(const char *name) {
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
    if (strcmp(operations[i].name, name) == 0) return operations[i].run;
  return NULL;
}

// Shared by all clients. The clients warm up, say so, and are let go together.
struct course {
  atomic_int warm, failed;
  atomic_uint_fast64_t deadline;
  struct {
    uint64_t calls, total, end;
    uint32_t *spent;
  } clients[MAX_CLIENTS];
};

struct plan {
  operation *run;
  const char *path;
  uint64_t warmup, duration;
  long warm_calls, max_calls;
};

static int client(const struct plan *plan, struct course *course, int number) {
  long index = 0;
  // A server that compiles while it runs needs calls, not time, to be warm.
  for (uint64_t start = now(); index < plan->warm_calls && now() - start < plan->warmup; index++) {
    int result = plan->run(plan->path, index);
    if (result < 0) return result;
  }
  atomic_fetch_add(&course->warm, 1);
  uint64_t deadline;
  while ((deadline = atomic_load(&course->deadline)) == 0) usleep(50);

  uint64_t calls = 0, total = 0, after = now();
  while (after < deadline && calls < (uint64_t)plan->max_calls) {
    uint64_t before = now();
    int result = plan->run(plan->path, index++);
    if (result < 0) return result;
    after = now();
    uint64_t spent = after - before;
    total += spent;
    if (calls < MAX_SAMPLES) course->clients[number].spent[calls] = spent < UINT32_MAX ? (uint32_t)spent : UINT32_MAX;
    calls++;
  }
  course->clients[number].calls = calls;
  course->clients[number].total = total;
  course->clients[number].end = after;
  return 0;
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void *shared(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static int print(const struct course *course, int clients, uint64_t start, uint64_t cpu) {
  uint64_t calls = 0, total = 0, end = start, samples = 0;
  for (int i = 0; i < clients; i++) {
    calls += course->clients[i].calls;
    total += course->clients[i].total;
    if (course->clients[i].end > end) end = course->clients[i].end;
    samples += course->clients[i].calls < MAX_SAMPLES ? course->clients[i].calls : MAX_SAMPLES;
  }
  if (calls == 0) return fail("latency", "no call ended in time", -ETIMEDOUT);
  uint32_t *all = malloc(samples * sizeof *all), *next = all;
  if (all == NULL) return fail("latency", "malloc", -ENOMEM);
  for (int i = 0; i < clients; i++) {
    uint64_t count = course->clients[i].calls < MAX_SAMPLES ? course->clients[i].calls : MAX_SAMPLES;
    memcpy(next, course->clients[i].spent, count * sizeof *all);
    next += count;
  }
  qsort(all, samples, sizeof *all, ascending);
  printf("{\"calls\":%" PRIu64 ",\"mean\":%" PRIu64 ",\"p50\":%u,\"p99\":%u,\"wall\":%" PRIu64 ",\"cpu\":%" PRIu64 "}\n",
         calls, total / calls, all[samples / 2], all[samples * 99 / 100], end - start, cpu);
  free(all);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: latency OPERATION PATH [clients=N] [ms=N] [warm=CALLS] [calls=MAX] [directories=N] [server=PID]\n");
    return 2;
  }
  struct plan plan = {find_operation(argv[1]), argv[2], 1000000000u, 400000000u, 3000, INT32_MAX};
  long clients = 1, server = 0, milliseconds;
  for (int i = 3; i < argc; i++) {
    if (sscanf(argv[i], "clients=%ld", &clients) == 1 || sscanf(argv[i], "server=%ld", &server) == 1) continue;
    if (sscanf(argv[i], "warm=%ld", &plan.warm_calls) == 1 || sscanf(argv[i], "calls=%ld", &plan.max_calls) == 1)
      continue;
    if (sscanf(argv[i], "directories=%ld", &tree_directories) == 1) continue;
    if (sscanf(argv[i], "ms=%ld", &milliseconds) == 1 && milliseconds > 0) {
      plan.duration = (uint64_t)milliseconds * 1000000u;
      continue;
    }
    fprintf(stderr, "latency: %s: no such option\n", argv[i]);
    return 2;
  }
  if (plan.run == NULL || clients < 1 || clients > MAX_CLIENTS || plan.max_calls < 1 || tree_directories < 1) {
    fprintf(stderr, "latency: %s: unknown operation, or a number out of range\n", argv[1]);
    return 2;
  }
  struct course *course = shared(sizeof *course);
  if (course == NULL) return fail("latency", "mmap", -ENOMEM);
  for (int i = 0; i < clients; i++) {
    course->clients[i].spent = shared(MAX_SAMPLES * sizeof(uint32_t));
    if (course->clients[i].spent == NULL) return fail("latency", "mmap", -ENOMEM);
    pid_t child = fork();
    if (child < 0) return fail("latency", "fork", -errno);
    if (child > 0) continue;
    int result = client(&plan, course, i);
    if (result < 0) atomic_store(&course->failed, result);
    _exit(result < 0);
  }
  while (atomic_load(&course->warm) < clients && atomic_load(&course->failed) == 0) usleep(200);
  uint64_t cpu = cpu_of((pid_t)server), start = now();
  atomic_store(&course->deadline, start + plan.duration);
  while (wait(NULL) > 0) continue;
  cpu = cpu_of((pid_t)server) - cpu;
  if (course->failed != 0) return fail("latency", argv[1], course->failed);
  return print(course, (int)clients, start, cpu);
}
