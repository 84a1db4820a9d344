// The client of the CUSE tests: ioctl(2) with a struct that points to further memory, poll(2), and the errno of each.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct piece {
  uint64_t offset, address, size, done;
};

#define FIOC_READ _IOWR('E', 2, struct piece)
#define FIOC_WRITE _IOW('E', 3, struct piece)

int main(int argc, char **argv) {
  // A device that hangs must not hang the test.
  alarm(60);
  if (argc < 4)
    return 2;
  int fd = open(argv[1], O_RDWR);
  if (fd < 0) {
    printf("open: %s\n", strerrorname_np(errno));
    return 1;
  }
  static char bytes[1 << 16];
  struct piece piece = {.offset = strtoull(argv[3], NULL, 0), .address = (uint64_t)(uintptr_t)bytes};
  int result;
  if (strcmp(argv[2], "write") == 0 && argc > 4) {
    piece.size = strlen(argv[4]);
    memcpy(bytes, argv[4], piece.size);
    result = ioctl(fd, FIOC_WRITE, &piece);
  } else if (strcmp(argv[2], "read") == 0 && argc > 4) {
    piece.size = strtoull(argv[4], NULL, 0);
    result = ioctl(fd, FIOC_READ, &piece);
  } else if (strcmp(argv[2], "wild") == 0) {
    result = ioctl(fd, FIOC_READ, (void *)(uintptr_t)piece.offset);
  } else if (strcmp(argv[2], "poll") == 0) {
    struct pollfd file = {.fd = fd, .events = POLLIN};
    result = poll(&file, 1, (int)piece.offset);
    piece.done = (uint64_t)file.revents;
  } else {
    result = ioctl(fd, _IO('E', 9), 0);
  }
  printf("result=%d errno=%s done=%llu %s\n", result, result < 0 ? strerrorname_np(errno) : "0",
         (unsigned long long)piece.done, strcmp(argv[2], "read") == 0 ? bytes : "");
  return 0;
}
