// The client for file data: reads or writes one file over and over for a while, in blocks, and prints bytes and time as one
// JSON line. Passes over the file are timed; what lies between them (opening, dropping caches, syncing) is not.
#define _GNU_SOURCE
#include "clocks.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
  int fd;
  bool writes, random, mapped, drops;
  size_t block, size;
  uint64_t duration;
  char *buffer;
};

// The order of a random pass: every block once, in an order that is the same everywhere.
static size_t position(const struct job *job, size_t index) {
  size_t blocks = job->size / job->block;
  if (!job->random) return index;
  return (index * 7919 + 104729) % blocks;
}

static int move_block(const struct job *job, char *map, size_t at) {
  if (job->mapped) {
    if (job->writes) memcpy(map + at, job->buffer, job->block);
    else memcpy(job->buffer, map + at, job->block);
    return 0;
  }
  ssize_t moved = job->writes ? pwrite(job->fd, job->buffer, job->block, (off_t)at)
                              : pread(job->fd, job->buffer, job->block, (off_t)at);
  if (moved < 0) return -errno;
  return (size_t)moved == job->block ? 0 : -EIO;
}

static char *map_file(const struct job *job) {
  if (!job->mapped) return NULL;
  char *map = mmap(NULL, job->size, job->writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, job->fd, 0);
  return map == MAP_FAILED ? NULL : map;
}

static int passes(const struct job *job, uint64_t *bytes, uint64_t *spent) {
  size_t blocks = job->size / job->block;
  while (*spent < job->duration) {
    if (job->drops && posix_fadvise(job->fd, 0, 0, POSIX_FADV_DONTNEED) != 0) return -EINVAL;
    uint64_t start = now(), end = start;
    char *map = map_file(job);
    if (job->mapped && map == NULL) return -errno;
    size_t index = 0;
    for (; index < blocks; index++) {
      int result = move_block(job, map, position(job, index) * job->block);
      if (result < 0) return result;
      // A slow subject need not come to the end of the file.
      if ((index & 15) == 15 && now() - start > job->duration - *spent) {
        index++;
        break;
      }
    }
    if (map != NULL && munmap(map, job->size) < 0) return -errno;
    end = now();
    *bytes += index * job->block;
    *spent += end - start;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "usage: data FILE read|write seq|rand BLOCK buffered|direct|mmap [ms=N] [drop] [server=PID]\n");
    return 2;
  }
  struct job job = {
      .writes = strcmp(argv[2], "write") == 0,
      .random = strcmp(argv[3], "rand") == 0,
      .block = strtoul(argv[4], NULL, 10),
      .mapped = strcmp(argv[5], "mmap") == 0,
      .duration = 300000000u,
  };
  long server = 0, milliseconds;
  for (int i = 6; i < argc; i++) {
    if (sscanf(argv[i], "ms=%ld", &milliseconds) == 1) job.duration = (uint64_t)milliseconds * 1000000u;
    else if (sscanf(argv[i], "server=%ld", &server) != 1) job.drops = strcmp(argv[i], "drop") == 0;
  }
  int direct = strcmp(argv[5], "direct") == 0 ? O_DIRECT : 0;
  job.fd = open(argv[1], (job.writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | direct);
  if (job.fd < 0) return fail("data", argv[1], -errno);
  struct stat about;
  if (fstat(job.fd, &about) < 0) return fail("data", "fstat", -errno);
  job.size = (size_t)about.st_size;
  if (job.block == 0 || job.size < job.block) return fail("data", "BLOCK", -EINVAL);
  job.buffer = aligned_alloc(4096, (job.block + 4095) / 4096 * 4096);
  if (job.buffer == NULL) return fail("data", "malloc", -ENOMEM);
  memset(job.buffer, 'x', job.block);

  uint64_t bytes = 0, spent = 0, cpu = cpu_of((pid_t)server);
  int result = passes(&job, &bytes, &spent);
  cpu = cpu_of((pid_t)server) - cpu;
  if (result < 0) return fail("data", argv[2], result);
  // Dirty pages of this run must not be written back during the next one.
  if (job.writes && fsync(job.fd) < 0) return fail("data", "fsync", -errno);
  if (close(job.fd) < 0) return fail("data", "close", -errno);
  printf("{\"bytes\":%" PRIu64 ",\"spent\":%" PRIu64 ",\"calls\":%" PRIu64 ",\"cpu\":%" PRIu64 "}\n", bytes, spent,
         bytes / job.block, cpu);
  return 0;
}
