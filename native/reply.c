// Writing: one system call per reply, and READ replies made straight from a descriptor. The last stop.
#include "channel.h"
#include "special.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// Kernel: _IOR(229, 0, uint32_t).
#define FUSE_DEV_IOC_CLONE 0x8004e500u

// Kernel: what every reply begins with.
struct out_header {
  uint32_t len;
  int32_t error;
  uint64_t unique;
};

static int write_parts(int fd, const struct iovec *parts, int count, size_t total) {
  ssize_t written;
  do
    written = count == 1 ? write(fd, parts[0].iov_base, parts[0].iov_len) : writev(fd, parts, count);
  while (written < 0 && errno == EINTR);
  if (written < 0)
    return -errno;
  // A message goes as a whole or not at all.
  return (size_t)written == total ? 0 : -EIO;
}

static int64_t counted(struct channel *channel, int64_t result) {
  channel->turn.stats[result >= 0 ? STAT_REPLIES : STAT_REPLY_ERRORS]++;
  turn_clock(&channel->turn);
  return result;
}

int channel_send(struct channel *channel, const void *bytes, size_t length) {
  struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
  return (int)counted(channel, write_parts(channel->fd, &part, 1, length));
}

int channel_sendv(struct channel *channel, const void *head, size_t head_length, const void *body, size_t body_length) {
  struct iovec parts[2] = {{.iov_base = (void *)(uintptr_t)head, .iov_len = head_length},
                           {.iov_base = (void *)(uintptr_t)body, .iov_len = body_length}};
  return (int)counted(channel, write_parts(channel->fd, parts, 2, head_length + body_length));
}

int channel_clone(const struct channel *channel) {
  if (channel->fd < 0)
    return -EBADF;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return -errno;
  uint32_t source = (uint32_t)channel->fd;
  if (syscall(SYS_ioctl, fd, FUSE_DEV_IOC_CLONE, &source) != 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

// `length` bytes of `buffer`, or the error that it is: the request is answered in any case. Returns `length`, or why not.
static int64_t answer(int fd, const struct read_reply *read, uint8_t *buffer, int64_t length) {
  size_t body = length > 0 ? (size_t)length : 0;
  struct out_header header = {
      .len = (uint32_t)(sizeof header + body), .error = length < 0 ? (int32_t)length : 0, .unique = read->unique};
  struct iovec parts[2] = {{.iov_base = &header, .iov_len = sizeof header}, {.iov_base = buffer, .iov_len = body}};
  int result = write_parts(fd, parts, body > 0 ? 2 : 1, sizeof header + body);
  return result == 0 ? length : result;
}

// Kernel: a short RWF_NOWAIT read may mean "the rest is not cached" as well as the end of the file.
int64_t read_cached(const struct read_reply *read, uint8_t *buffer) {
  size_t done = 0;
  while (done < read->size) {
    int64_t result = pread_nowait(read->fd, buffer + done, read->size - done, read->offset + (int64_t)done);
    if (result < 0)
      return result;
    if (result == 0)
      break;
    done += (size_t)result;
  }
  return (int64_t)done;
}

static uint8_t *scratch(struct channel *channel, size_t size) {
  if (channel->scratch_size < size) {
    free(channel->scratch);
    channel->scratch = malloc(size);
    channel->scratch_size = channel->scratch == NULL ? 0 : size;
  }
  return channel->scratch;
}

int64_t channel_reply_in_place(struct channel *channel, struct read_reply *read, bool block) {
  uint8_t *buffer = scratch(channel, read->size > 0 ? read->size : 1);
  int64_t length = -ENOMEM;
  if (buffer != NULL && block)
    length = pread_all(read->fd, buffer, read->size, read->offset);
  else if (buffer != NULL) {
    length = read_cached(read, buffer);
    // Whatever the reason (not cached, no RWF_NOWAIT in this filesystem), the plain read tells.
    if (length < 0)
      return -EAGAIN;
  }
  channel->turn.stats[STAT_READS_IN_PLACE]++;
  return counted(channel, answer(channel->fd, read, buffer, length));
}

void channel_reply_by_pool(struct job *job) {
  struct read_reply *read = (struct read_reply *)job;
  struct channel *channel = read->channel;
  pool_cancellable();
  int64_t length = pread_all(read->fd, read->buffer, read->size, read->offset);
  pool_not_cancellable();
  pthread_mutex_lock(&channel->fd_lock);
  job->result = channel->fd < 0 ? -EBADF : answer(channel->fd, read, read->buffer, length);
  pthread_mutex_unlock(&channel->fd_lock);
}
