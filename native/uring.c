// io_uring without liburing: two system calls and the memory shared with the kernel.
#include "uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// The same number on every architecture.
#define SYS_IO_URING_SETUP 425
#define SYS_IO_URING_ENTER 426

#define SETUP_CQSIZE (1u << 3)
#define SETUP_CLAMP (1u << 4)
#define SETUP_SUBMIT_ALL (1u << 7)
#define SETUP_COOP_TASKRUN (1u << 8)
#define SETUP_TASKRUN_FLAG (1u << 9)
#define SETUP_SQE128 (1u << 10)

#define FEAT_SINGLE_MMAP 1u
#define ENTER_GETEVENTS 1u
#define OFF_SQ_RING 0
#define OFF_SQES 0x10000000
#define SQ_CQ_OVERFLOW 2u
#define SQ_TASKRUN 4u
#define TRIES 8

// Kernel: struct io_uring_params.
struct params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, reserved[3];
  struct {
    uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved;
    uint64_t user_addr;
  } sq;
  struct {
    uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, reserved;
    uint64_t user_addr;
  } cq;
};

static uint32_t *at(uint8_t *base, uint32_t offset) { return (uint32_t *)(void *)(base + offset); }

static int map_rings(struct uring *uring, const struct params *params) {
  size_t sq_size = params->sq.array + params->sq_entries * sizeof(uint32_t);
  size_t cq_size = params->cq.cqes + params->cq_entries * sizeof(struct uring_cqe);
  uring->rings_size = sq_size > cq_size ? sq_size : cq_size;
  uring->sqes_size = params->sq_entries * sizeof(struct uring_sqe);
  int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
  uint8_t *rings = mmap(NULL, uring->rings_size, protection, flags, uring->fd, OFF_SQ_RING);
  if (rings == MAP_FAILED)
    return -errno;
  uring->rings = rings;
  void *sqes = mmap(NULL, uring->sqes_size, protection, flags, uring->fd, OFF_SQES);
  if (sqes == MAP_FAILED)
    return -errno;
  uring->sqes = sqes;
  // A mapping in a forked child would keep the ring, and with it the connection, alive.
  if (madvise(rings, uring->rings_size, MADV_DONTFORK) != 0 || madvise(sqes, uring->sqes_size, MADV_DONTFORK) != 0)
    return -errno;
  uring->sq_head = at(rings, params->sq.head);
  uring->sq_tail = at(rings, params->sq.tail);
  uring->sq_flags = at(rings, params->sq.flags);
  uring->sq_entries = params->sq_entries;
  uring->sq_mask = *at(rings, params->sq.ring_mask);
  uring->cq_head = at(rings, params->cq.head);
  uring->cq_tail = at(rings, params->cq.tail);
  uring->cq_mask = *at(rings, params->cq.ring_mask);
  uring->cqes = (struct uring_cqe *)(void *)(rings + params->cq.cqes);
  for (uint32_t i = 0; i < params->sq_entries; i++)
    at(rings, params->sq.array)[i] = i;
  return 0;
}

int uring_open(struct uring *uring, uint32_t submissions, uint32_t completions) {
  struct params params = {
      .flags = SETUP_SQE128 | SETUP_CQSIZE | SETUP_CLAMP | SETUP_SUBMIT_ALL | SETUP_COOP_TASKRUN | SETUP_TASKRUN_FLAG,
      .cq_entries = completions,
  };
  *uring = (struct uring){.fd = (int)syscall(SYS_IO_URING_SETUP, submissions, &params)};
  if (uring->fd < 0)
    return -errno;
  int error = (params.features & FEAT_SINGLE_MMAP) != 0 ? map_rings(uring, &params) : -ENOSYS;
  if (error != 0)
    uring_close(uring);
  return error;
}

void uring_close(struct uring *uring) {
  if (uring->sqes != NULL)
    munmap(uring->sqes, uring->sqes_size);
  if (uring->rings != NULL)
    munmap(uring->rings, uring->rings_size);
  if (uring->fd >= 0)
    close(uring->fd);
  *uring = (struct uring){.fd = -1};
}

static uint32_t unsubmitted(const struct uring *uring) {
  return *uring->sq_tail - __atomic_load_n(uring->sq_head, __ATOMIC_ACQUIRE);
}

struct uring_sqe *uring_submission(struct uring *uring) {
  uint32_t tail = *uring->sq_tail;
  if (unsubmitted(uring) == uring->sq_entries)
    return NULL;
  struct uring_sqe *sqe = &uring->sqes[tail & uring->sq_mask];
  memset(sqe, 0, sizeof *sqe);
  // Nobody reads it before the next system call.
  __atomic_store_n(uring->sq_tail, tail + 1, __ATOMIC_RELEASE);
  return sqe;
}

int uring_enter(struct uring *uring) {
  for (int tries = 0;; tries++) {
    uint32_t count = unsubmitted(uring);
    long done = syscall(SYS_IO_URING_ENTER, uring->fd, count, 0, ENTER_GETEVENTS, NULL, 0);
    int error = done < 0 ? errno : 0;
    if (error != 0 && error != EINTR && error != EAGAIN && error != EBUSY)
      return -error;
    if (unsubmitted(uring) == 0)
      return 0;
    if (tries == TRIES)
      return -EAGAIN;
  }
}

bool uring_has_completion(const struct uring *uring) {
  return *uring->cq_head != __atomic_load_n(uring->cq_tail, __ATOMIC_ACQUIRE);
}

bool uring_has_work(const struct uring *uring) {
  return (__atomic_load_n(uring->sq_flags, __ATOMIC_RELAXED) & (SQ_TASKRUN | SQ_CQ_OVERFLOW)) != 0;
}

const struct uring_cqe *uring_peek(const struct uring *uring, uint32_t index) {
  uint32_t head = *uring->cq_head;
  if (index >= __atomic_load_n(uring->cq_tail, __ATOMIC_ACQUIRE) - head)
    return NULL;
  return &uring->cqes[(head + index) & uring->cq_mask];
}

bool uring_take(struct uring *uring, struct uring_cqe *cqe) {
  if (!uring_has_completion(uring))
    return false;
  uint32_t head = *uring->cq_head;
  *cqe = uring->cqes[head & uring->cq_mask];
  __atomic_store_n(uring->cq_head, head + 1, __ATOMIC_RELEASE);
  return true;
}
