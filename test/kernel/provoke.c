// The caller of the kernel checks: one system call a run that shells and Node.js have no words for. Prints what came back;
// a failed call prints the name of its error and exits 1.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define REVERSE _IOWR('d', 1, char[8])

static long long checked(long long result) {
  if (result < 0) {
    printf("%s\n", strerrorname_np(errno));
    exit(1);
  }
  return result;
}

static int opened(const char *path, int flags) { return (int)checked(open(path, flags, 0644)); }

static void print_statx(const char *path) {
  struct statx st;
  checked(statx(AT_FDCWD, path, 0, STATX_ALL, &st));
  printf("btime %lld.%u size %llu", (long long)st.stx_btime.tv_sec, st.stx_btime.tv_nsec,
         (unsigned long long)st.stx_size);
  printf(" mask %s\n", st.stx_mask & STATX_BTIME ? "btime" : "-");
}

static void unnamed(const char *directory) {
  struct stat st;
  char data[8] = {0};
  int fd = opened(directory, O_TMPFILE | O_RDWR);
  checked(pwrite(fd, "secret", 6, 0));
  checked(pread(fd, data, 6, 0));
  checked(fstat(fd, &st));
  printf("%s nlink %d\n", data, (int)st.st_nlink);
}

static void reverse(const char *path, int flags) {
  char data[9] = "12345678";
  int result = (int)checked(ioctl(opened(path, flags), REVERSE, data));
  printf("%d %s\n", result, data);
}

static void wait_readable(const char *path) {
  struct pollfd one = {.fd = opened(path, O_RDONLY | O_NONBLOCK), .events = POLLIN};
  int count = (int)checked(poll(&one, 1, 10000));
  printf("%d %s\n", count, one.revents & POLLIN ? "POLLIN" : "-");
}

static void lock_all(const char *path) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 10};
  int fd = opened(path, O_RDWR), other = opened(path, O_RDWR);
  checked(fcntl(fd, F_SETLK, &lock));
  struct flock more = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 0};
  checked(fcntl(fd, F_SETLKW, &more));
  struct flock seen = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
  checked(fcntl(other, F_OFD_GETLK, &seen));
  int taken = flock(fd, LOCK_EX | LOCK_NB);
  int refused = flock(other, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
  printf("in the way %lld+%lld flock %d %s\n", (long long)seen.l_start, (long long)seen.l_len, taken,
         refused ? "refused" : "granted");
}

// Names a file by handle, lets the kernel forget it (the other side says when), and opens it by the handle.
static void by_handle(const char *path, const char *mount) {
  char data[64] = {0}, line[16];
  union {
    struct file_handle head;
    char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } handle = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
  int id;
  checked(name_to_handle_at(AT_FDCWD, path, &handle.head, &id, 0));
  int on = opened(mount, O_RDONLY | O_DIRECTORY);
  printf("named\n");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL)
    exit(2);
  int fd = (int)checked(open_by_handle_at(on, &handle.head, O_RDONLY));
  struct stat st;
  checked(fstat(fd, &st));
  if (S_ISDIR(st.st_mode))
    snprintf(data, sizeof data, "a directory");
  else
    checked(pread(fd, data, sizeof data - 1, 0));
  printf("%s\n", data);
}

static void map_shared(const char *path) {
  int fd = opened(path, O_RDWR);
  char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  checked(map == MAP_FAILED ? -1 : 0);
  printf("%.4s\n", map);
}

static void read_direct(const char *path, size_t size) {
  void *memory;
  if (posix_memalign(&memory, 4096, size) != 0)
    exit(2);
  printf("%lld\n", checked(pread(opened(path, O_RDONLY | O_DIRECT), memory, size, 0)));
}

// Writes `count` pieces of `size` bytes, each with a call of its own.
static void write_pieces(const char *path, int count, size_t size) {
  char *piece = calloc(1, size);
  int fd = opened(path, O_RDWR | O_CREAT);
  memset(piece, 'w', size);
  for (int i = 0; i < count; i++)
    checked(pwrite(fd, piece, size, (off_t)((size_t)i * size)));
  checked(close(fd));
  printf("ok\n");
}

// mkdir(2) on a copy of the mount where the ids 1000.. of the filesystem are ids 0.. of callers.
static void idmapped(const char *mount, const char *name) {
  int ready[2];
  char path[64], map[] = "1000 0 10";
  checked(pipe(ready));
  pid_t child = (pid_t)checked(fork());
  if (child == 0) {
    checked(unshare(CLONE_NEWUSER));
    checked(write(ready[1], "x", 1));
    pause();
    _exit(0);
  }
  checked(read(ready[0], path, 1));
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "/proc/%d/%s", child, i == 0 ? "uid_map" : "gid_map");
    int fd = opened(path, O_WRONLY);
    checked(write(fd, map, strlen(map)));
    close(fd);
  }
  snprintf(path, sizeof path, "/proc/%d/ns/user", child);
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)opened(path, O_RDONLY)};
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, mount, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  checked(tree);
  int result = (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr);
  int error = errno;
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  errno = error;
  checked(result);
  checked(mkdirat(tree, name, 0755));
  struct stat st;
  checked(fstatat(tree, name, &st, 0));
  printf("owner %u\n", st.st_uid);
}

int main(int argc, char **argv) {
  alarm(60);
  const char *what = argc > 2 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
  const char *other = argc > 3 ? argv[3] : "";
  long long n[4] = {0};
  for (int i = 3; i < argc && i < 7; i++)
    n[i - 3] = atoll(argv[i]);
  if (strcmp(what, "statx") == 0)
    print_statx(path);
  else if (strcmp(what, "tmpfile") == 0)
    unnamed(path);
  else if (strcmp(what, "syncfs") == 0)
    printf("%lld\n", checked(syncfs(opened(path, O_RDONLY))));
  else if (strcmp(what, "fsync") == 0)
    printf("%lld\n", checked(fsync(opened(path, O_RDONLY))));
  else if (strcmp(what, "fdatasync") == 0)
    printf("%lld\n", checked(fdatasync(opened(path, O_RDONLY))));
  else if (strcmp(what, "copy") == 0) {
    off_t in = n[1], out = n[2];
    int from = opened(path, O_RDONLY), to = opened(other, O_RDWR);
    printf("%lld\n", checked(copy_file_range(from, &in, to, &out, (size_t)n[3], 0)));
  } else if (strcmp(what, "seek-data") == 0)
    printf("%lld\n", checked(lseek(opened(path, O_RDONLY), n[0], SEEK_DATA)));
  else if (strcmp(what, "seek-hole") == 0)
    printf("%lld\n", checked(lseek(opened(path, O_RDONLY), n[0], SEEK_HOLE)));
  else if (strcmp(what, "fallocate") == 0)
    printf("%lld\n", checked(fallocate(opened(path, O_RDWR), (int)n[0], n[1], n[2])));
  else if (strcmp(what, "rename") == 0)
    printf("%lld\n", checked(renameat2(AT_FDCWD, path, AT_FDCWD, other, (unsigned)n[1])));
  else if (strcmp(what, "ioctl") == 0)
    reverse(path, O_RDONLY);
  else if (strcmp(what, "poll") == 0)
    wait_readable(path);
  else if (strcmp(what, "fibmap") == 0) {
    int block = (int)n[0];
    checked(ioctl(opened(path, O_RDONLY), FIBMAP, &block));
    printf("%d\n", block);
  } else if (strcmp(what, "locks") == 0)
    lock_all(path);
  else if (strcmp(what, "access") == 0)
    printf("%lld\n", checked(access(path, (int)n[0])));
  else if (strcmp(what, "setxattr") == 0)
    printf("%lld\n", checked(setxattr(path, other, argv[4], strlen(argv[4]), (int)n[2])));
  else if (strcmp(what, "acl") == 0) {
    // An access list: owner rw-, user 1000 r--, group ---, mask r--, others ---.
    const uint32_t acl[] = {2, 0x00060001, ~0u, 0x00040002, 1000, 0x00000004, ~0u, 0x00040010, ~0u, 0x00000020, ~0u};
    printf("%lld\n", checked(setxattr(path, "system.posix_acl_access", acl, sizeof acl, 0)));
  } else if (strcmp(what, "utimens") == 0) {
    struct timespec times[2] = {{n[0], n[1]}, {n[0], n[1]}};
    printf("%lld\n", checked(utimensat(AT_FDCWD, path, times, 0)));
  } else if (strcmp(what, "handle") == 0)
    by_handle(path, other);
  else if (strcmp(what, "mmap") == 0)
    map_shared(path);
  else if (strcmp(what, "direct") == 0)
    read_direct(path, (size_t)n[0]);
  else if (strcmp(what, "readahead") == 0)
    printf("%lld\n", checked(readahead(opened(path, O_RDONLY), 0, (size_t)n[0])));
  else if (strcmp(what, "write") == 0)
    write_pieces(path, (int)n[0], (size_t)n[1]);
  else if (strcmp(what, "idmap") == 0)
    idmapped(path, other);
  else if (strcmp(what, "truncate") == 0)
    printf("%lld\n", checked(truncate(path, n[0])));
  else if (strcmp(what, "create-truncate") == 0) {
    opened(path, O_RDWR | O_CREAT | O_TRUNC);
    printf("ok\n");
  } else
    return 2;
  return 0;
}
