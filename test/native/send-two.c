// Sends the descriptors 0 and 1 in one message over the socket that is descriptor 3.
#include <string.h>
#include <sys/socket.h>

int main(void) {
  const int fds[] = {0, 1};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof fds)];
  } control;
  memset(&control, 0, sizeof control);
  control.header.cmsg_len = CMSG_LEN(sizeof fds);
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
  struct iovec data = {.iov_base = "x", .iov_len = 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  return sendmsg(3, &message, 0) == 1 ? 0 : 1;
}
