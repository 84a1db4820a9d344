// hammer DIR PROCESSES ROUNDS: processes that make, rename, link, list and remove the same few names at once. Native rules hold for
// each: what can be is done or refused with the errno of a race, an open file stays the same file, and its data stays.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMES 6

static int failed(const char *what, const char *name) {
  fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
  return 1;
}

static int lost(int result) { return result == 0 || errno == ENOENT || errno == EEXIST || errno == ENOTEMPTY; }

static int held_file(const char *name, const char *other, int id) {
  char text[32], back[32] = "";
  struct stat before, after;
  int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0644);
  if (fd < 0)
    return errno == EEXIST || errno == ENOENT ? 0 : failed("create", name);
  int length = snprintf(text, sizeof text, "%d of %d", id, (int)getpid());
  if (write(fd, text, (size_t)length) != length || fstat(fd, &before) != 0)
    return failed("write", name);
  if (!lost(rename(name, other)))
    return failed("rename", other);
  if (fstat(fd, &after) != 0)
    return failed("fstat after rename", other);
  if (before.st_ino != after.st_ino || after.st_size != length)
    return fprintf(stderr, "another file: %s\n", other), 1;
  if (!lost(unlink(other)))
    return failed("unlink", other);
  if (fstat(fd, &after) != 0 || before.st_ino != after.st_ino)
    return failed("fstat after unlink", other);
  if (pread(fd, back, sizeof back, 0) != length || memcmp(text, back, (size_t)length) != 0)
    return failed("read back", other);
  if (ftruncate(fd, 3) != 0 || fstat(fd, &after) != 0 || after.st_size != 3)
    return failed("ftruncate", other);
  return close(fd) == 0 ? 0 : failed("close", other);
}

static int list(const char *name) {
  DIR *directory = opendir(name);
  struct dirent *entry;
  if (directory == NULL)
    return errno == ENOENT ? 0 : failed("opendir", name);
  errno = 0;
  while ((entry = readdir(directory)) != NULL)
    errno = 0;
  if (errno != 0 && errno != ENOENT)
    return failed("readdir", name);
  closedir(directory);
  return 0;
}

static int hammer(int id, int rounds) {
  unsigned seed = (unsigned)id * 7919u + 1u;
  struct stat found;
  for (int round = 0; round < rounds; round++) {
    char name[32], other[32], deep[48];
    snprintf(name, sizeof name, "n%d", rand_r(&seed) % NAMES);
    snprintf(other, sizeof other, "n%d", rand_r(&seed) % NAMES);
    snprintf(deep, sizeof deep, "d%d/x", rand_r(&seed) % NAMES);
    if (held_file(name, other, id) != 0)
      return 1;
    if (!lost(link(name, other)) || !lost(stat(name, &found)))
      return failed("link", other);
    deep[2] = '\0';
    if (!lost(mkdir(deep, 0755)))
      return failed("mkdir", deep);
    deep[2] = '/';
    int fd = open(deep, O_CREAT | O_WRONLY, 0644);
    if (fd < 0 && errno != ENOENT)
      return failed("create", deep);
    if (fd >= 0)
      close(fd);
    if (list(".") != 0 || !lost(rename(deep, name)) || !lost(unlink(name)))
      return failed("rename", deep);
    deep[2] = '\0';
    if (list(deep) != 0 || !lost(rmdir(deep)))
      return failed("rmdir", deep);
  }
  return 0;
}

int main(int argc, char **argv) {
  int bad = 0, status;
  if (argc != 4 || chdir(argv[1]) != 0)
    return 2;
  for (int id = 0; id < atoi(argv[2]); id++)
    if (fork() == 0)
      _exit(hammer(id, atoi(argv[3])));
  while (wait(&status) > 0)
    bad |= status;
  return bad != 0;
}
