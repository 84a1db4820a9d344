// The client of the ioctl and poll tests: one call per run, with its result, errno and data on one line.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static void print_result(int result) {
  printf("result=%d errno=%s", result, result < 0 ? strerrorname_np(errno) : "0");
}

// `direction` as in asm/ioctl.h: 0 none, 1 write, 2 read, 3 both. The argument is `size` bytes that begin with `hex`.
static void do_ioctl(int fd, unsigned direction, unsigned number, unsigned size, const char *hex) {
  uint8_t bytes[1 << 14] = {0};
  for (unsigned i = 0; hex[2 * i] != '\0' && hex[2 * i + 1] != '\0'; i++) {
    char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
    bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  print_result(ioctl(fd, _IOC(direction, 'E', number, size), bytes));
  printf(" data=");
  for (unsigned i = 0; i < size; i++)
    printf("%02x", bytes[i]);
}

// The argument is a number, not an address.
static void do_number(int fd, unsigned number, unsigned long argument) {
  print_result(ioctl(fd, _IO('E', number), argument));
}

static void do_poll(int fd, int events, int timeout) {
  struct pollfd file = {.fd = fd, .events = (short)events};
  long long start = now_ms();
  print_result(poll(&file, 1, timeout));
  printf(" revents=%d ms=%lld", file.revents, now_ms() - start);
}

// Edge-triggered: `rounds` wake-ups, each read to the end.
static void do_epoll(int fd, int rounds) {
  int set = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET}, got;
  epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
  for (int i = 0; i < rounds; i++) {
    char bytes[64];
    if (epoll_wait(set, &got, 1, 10000) != 1) {
      printf("round %d: nothing", i);
      return;
    }
    ssize_t length = read(fd, bytes, sizeof bytes);
    printf("%s%zd", i == 0 ? "" : " ", length);
  }
  close(set);
}

int main(int argc, char **argv) {
  // A mount that hangs must not hang the test.
  alarm(60);
  if (argc < 4)
    return 2;
  const char *op = argv[1];
  int fd = open(argv[2], O_RDONLY | O_NONBLOCK), number = (int)strtol(argv[3], NULL, 0);
  if (fd < 0) {
    printf("open: %s\n", strerrorname_np(errno));
    return 1;
  }
  if (strcmp(op, "ioctl") == 0 && argc > 6)
    do_ioctl(fd, (unsigned)number, (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]), argv[6]);
  else if (strcmp(op, "number") == 0 && argc > 4)
    do_number(fd, (unsigned)number, strtoul(argv[4], NULL, 0));
  else if (strcmp(op, "poll") == 0 && argc > 4)
    do_poll(fd, number, atoi(argv[4]));
  else if (strcmp(op, "epoll") == 0)
    do_epoll(fd, number);
  else
    return 2;
  printf("\n");
  return 0;
}
