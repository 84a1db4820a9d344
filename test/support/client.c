// The client of the mount tests: system calls that Node.js cannot make, one operation per run. Prints what it saw and
// exits 0; a failed call prints its name and errno and exits 1.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096

static void die(const char *what) {
  printf("%s: %s\n", what, strerrorname_np(errno));
  exit(1);
}

static int must_open(const char *path, int flags) {
  int fd = open(path, flags, 0644);
  if (fd < 0)
    die("open");
  return fd;
}

// Block i of a file is filled with the letter 'a' + i % 26.
static void fill(char *block, int i) { memset(block, 'a' + i % 26, BLOCK); }

static void write_blocks(const char *path, int flags, int count) {
  void *memory;
  if (posix_memalign(&memory, BLOCK, BLOCK) != 0)
    die("posix_memalign");
  int fd = must_open(path, flags | O_RDWR);
  for (int i = 0; i < count; i++) {
    fill(memory, i);
    if (pwrite(fd, memory, BLOCK, (off_t)i * BLOCK) != BLOCK)
      die("pwrite");
  }
  close(fd);
  free(memory);
}

static void check_blocks(const char *path, int flags, int count) {
  void *memory;
  char expected[BLOCK];
  if (posix_memalign(&memory, BLOCK, BLOCK) != 0)
    die("posix_memalign");
  int fd = must_open(path, flags | O_RDONLY);
  for (int i = 0; i < count; i++) {
    fill(expected, i);
    ssize_t got = pread(fd, memory, BLOCK, (off_t)i * BLOCK);
    if (got < 0)
      die("pread");
    if (got != BLOCK || memcmp(memory, expected, BLOCK) != 0) {
      printf("block %d differs (%zd bytes)\n", i, got);
      exit(1);
    }
  }
  close(fd);
  free(memory);
}

// Writes through a shared mapping and reads the same bytes with read(2), and the other way round.
static void mmap_shared(const char *path) {
  int fd = must_open(path, O_RDWR);
  char *map = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    die("mmap");
  memset(map, 'M', BLOCK);
  char seen[BLOCK], other[BLOCK];
  memset(other, 'W', sizeof other);
  if (pread(fd, seen, BLOCK, 0) != BLOCK)
    die("pread");
  if (memcmp(seen, map, BLOCK) != 0) {
    printf("read does not see the mapping\n");
    exit(1);
  }
  if (pwrite(fd, other, BLOCK, BLOCK) != BLOCK)
    die("pwrite");
  if (memcmp(map + BLOCK, other, BLOCK) != 0) {
    printf("the mapping does not see the write\n");
    exit(1);
  }
  if (msync(map, 2 * BLOCK, MS_SYNC) < 0)
    die("msync");
  munmap(map, 2 * BLOCK);
  close(fd);
}

// Writes through a mapping whose descriptor is closed already: neither write(2) nor an open file says that something changes.
static void map_write(const char *path, char byte) {
  int fd = must_open(path, O_RDWR);
  char *map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    die("mmap");
  close(fd);
  map[0] = byte;
  munmap(map, BLOCK);
}

// Reads the first byte through a mapping.
static void map_read(const char *path, char expected) {
  int fd = must_open(path, O_RDONLY);
  char *map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    die("mmap");
  if (map[0] != expected) {
    printf("mapped %c, expected %c\n", map[0], expected);
    exit(1);
  }
  munmap(map, BLOCK);
  close(fd);
}

// Keeps a file open and mapped until the end of standard input.
static void map_hold(const char *path) {
  int fd = must_open(path, O_RDWR);
  char *map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    die("mmap");
  printf("mapped %c\n", map[0]);
  fflush(stdout);
  getchar();
  munmap(map, BLOCK);
  close(fd);
}

static sigjmp_buf beyond_end;

static void on_sigbus(int signal) {
  (void)signal;
  siglongjmp(beyond_end, 1);
}

// Cuts a mapped file of two blocks to 100 bytes through another descriptor, and lets it grow again.
static void truncate_mapped(const char *path) {
  int fd = must_open(path, O_RDWR), other = must_open(path, O_RDWR);
  volatile char *map = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    die("mmap");
  map[0] = map[100] = map[BLOCK] = 'm';
  if (ftruncate(other, 100) < 0)
    die("ftruncate");
  signal(SIGBUS, on_sigbus);
  if (map[0] != 'm' || map[100] != 0) {
    printf("mapped %d %d after the cut\n", map[0], map[100]);
    exit(1);
  }
  if (sigsetjmp(beyond_end, 1) == 0) {
    printf("no SIGBUS: %d\n", map[BLOCK]);
    exit(1);
  }
  if (ftruncate(other, 2 * BLOCK) < 0)
    die("ftruncate");
  if (map[0] != 'm' || map[100] != 0 || map[BLOCK] != 0) {
    printf("mapped %d %d %d after growing\n", map[0], map[100], map[BLOCK]);
    exit(1);
  }
  munmap((void *)map, 2 * BLOCK);
  close(fd);
  close(other);
}

// splice(2) out of a file and into it, by a pipe, and sendfile(2) within it.
static void splice_file(const char *path) {
  int fd = must_open(path, O_RDWR), ends[2];
  if (pipe(ends) < 0)
    die("pipe");
  loff_t from = 0, to = 4 * BLOCK;
  off_t start = 0;
  char one[BLOCK], two[BLOCK];
  memset(one, 's', BLOCK);
  if (pwrite(fd, one, BLOCK, 0) != BLOCK)
    die("pwrite");
  if (splice(fd, &from, ends[1], NULL, BLOCK, 0) != BLOCK || splice(ends[0], NULL, fd, &to, BLOCK, 0) != BLOCK)
    die("splice");
  if (lseek(fd, 8 * BLOCK, SEEK_SET) < 0 || sendfile(fd, fd, &start, BLOCK) != BLOCK)
    die("sendfile");
  for (int block = 4; block <= 8; block += 4)
    if (pread(fd, two, BLOCK, block * BLOCK) != BLOCK || memcmp(one, two, BLOCK) != 0) {
      printf("block %d differs\n", block);
      exit(1);
    }
  close(fd);
}

static void append_lines(const char *path, const char *line, int count) {
  int fd = must_open(path, O_WRONLY | O_APPEND);
  for (int i = 0; i < count; i++)
    if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
      die("write");
  close(fd);
}

static void reopen(const char *path, int count) {
  char byte;
  for (int i = 0; i < count; i++) {
    int fd = must_open(path, i % 3 == 0 ? O_RDWR : O_RDONLY);
    if (pread(fd, &byte, 1, 0) != 1)
      die("pread");
    close(fd);
  }
}

// Opens the file `count` times, odd ones for writing too, and uses all of them while all are open.
static void open_many(const char *path, int count) {
  int fds[64];
  char byte = 0, first = 0;
  for (int i = 0; i < count; i++)
    fds[i] = must_open(path, i % 2 == 0 ? O_RDONLY : O_RDWR);
  for (int i = 0; i < count; i++) {
    char mark = (char)('0' + i % 10);
    if (i % 2 == 1 && pwrite(fds[i], &mark, 1, 0) != 1)
      die("pwrite");
    if (pread(fds[i], &byte, 1, 0) != 1)
      die("pread");
    if (i % 2 == 1)
      first = mark;
    if (first != 0 && byte != first) {
      printf("open %d sees %c, expected %c\n", i, byte, first);
      exit(1);
    }
  }
  for (int i = 0; i < count; i++)
    close(fds[i]);
}

// Truncates while another descriptor is open: both must see the new size, and zeros beyond it after growing again.
static void truncate_open(const char *path) {
  int fd = must_open(path, O_RDWR), other = must_open(path, O_RDONLY);
  char data[16];
  struct stat st;
  if (pwrite(fd, "0123456789", 10, 0) != 10)
    die("pwrite");
  if (ftruncate(fd, 4) < 0 || truncate(path, 8) < 0)
    die("truncate");
  if (fstat(other, &st) < 0 || st.st_size != 8) {
    printf("size %lld\n", (long long)st.st_size);
    exit(1);
  }
  ssize_t got = pread(other, data, sizeof data, 0);
  if (got != 8 || memcmp(data, "0123\0\0\0\0", 8) != 0) {
    printf("content differs (%zd bytes)\n", got);
    exit(1);
  }
  close(fd);
  close(other);
}

// The file keeps working through its descriptor after its name is gone or taken over.
static void after_name(const char *path, const char *replacement) {
  int fd = must_open(path, O_RDWR);
  char data[8] = {0};
  struct stat st;
  if (pwrite(fd, "before", 6, 0) != 6)
    die("pwrite");
  if (replacement != NULL ? rename(replacement, path) < 0 : unlink(path) < 0)
    die("rename or unlink");
  if (pwrite(fd, "AFTER", 5, 0) != 5 || pread(fd, data, 6, 0) != 6)
    die("pread");
  if (strcmp(data, "AFTERe") != 0) {
    printf("content %s\n", data);
    exit(1);
  }
  if (fstat(fd, &st) < 0)
    die("fstat");
  if (fchmod(fd, 0600) < 0)
    die("fchmod");
  if (ftruncate(fd, 3) < 0)
    die("ftruncate");
  if (fstat(fd, &st) < 0 || st.st_size != 3 || (st.st_mode & 0777) != 0600 || st.st_nlink != 0) {
    printf("size %lld mode %o nlink %d\n", (long long)st.st_size, st.st_mode & 0777, (int)st.st_nlink);
    exit(1);
  }
  close(fd);
}

int main(int argc, char **argv) {
  // A mount that hangs must not hang the test.
  alarm(120);
  const char *op = argc > 2 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
  int count = argc > 3 ? atoi(argv[3]) : 1;
  if (strcmp(op, "write") == 0)
    write_blocks(path, 0, count);
  else if (strcmp(op, "check") == 0)
    check_blocks(path, 0, count);
  else if (strcmp(op, "write-direct") == 0)
    write_blocks(path, O_DIRECT, count);
  else if (strcmp(op, "check-direct") == 0)
    check_blocks(path, O_DIRECT, count);
  else if (strcmp(op, "mmap") == 0)
    mmap_shared(path);
  else if (strcmp(op, "map-write") == 0)
    map_write(path, argv[3][0]);
  else if (strcmp(op, "map-read") == 0)
    map_read(path, argv[3][0]);
  else if (strcmp(op, "map-hold") == 0)
    map_hold(path);
  else if (strcmp(op, "truncate-mapped") == 0)
    truncate_mapped(path);
  else if (strcmp(op, "splice") == 0)
    splice_file(path);
  else if (strcmp(op, "append") == 0)
    append_lines(path, argv[4], count);
  else if (strcmp(op, "reopen") == 0)
    reopen(path, count);
  else if (strcmp(op, "open-many") == 0)
    open_many(path, count);
  else if (strcmp(op, "truncate") == 0)
    truncate_open(path);
  else if (strcmp(op, "unlink") == 0)
    after_name(path, NULL);
  else if (strcmp(op, "rename-over") == 0)
    after_name(path, argv[3]);
  else {
    printf("usage: client OPERATION PATH [COUNT|OTHER] [TEXT]\n");
    return 2;
  }
  printf("ok\n");
  return 0;
}
