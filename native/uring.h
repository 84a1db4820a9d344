// One io_uring(7): set up, fill submissions, submit, take completions. Knows nothing of FUSE.
#ifndef DEVFUSE_URING_H
#define DEVFUSE_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Kernel: struct io_uring_sqe with IORING_SETUP_SQE128, as IORING_OP_URING_CMD reads it.
struct uring_sqe {
  uint8_t opcode, flags;
  uint16_t ioprio;
  int32_t fd;
  uint32_t cmd_op, pad;
  uint64_t addr;
  uint32_t len, uring_cmd_flags;
  uint64_t user_data;
  uint16_t buf_index, personality;
  uint32_t splice_fd_in;
  uint8_t cmd[80];
};

// Kernel: struct io_uring_cqe.
struct uring_cqe {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};

struct uring {
  int fd; // -1: closed
  uint8_t *rings;
  size_t rings_size;
  struct uring_sqe *sqes;
  size_t sqes_size;
  uint32_t *sq_head, *sq_tail, *sq_flags, sq_mask, sq_entries;
  uint32_t *cq_head, *cq_tail, cq_mask;
  struct uring_cqe *cqes;
};

// Room for `submissions` at a time, and for `completions` that nobody has taken yet. 0 or -errno.
int uring_open(struct uring *uring, uint32_t submissions, uint32_t completions);
void uring_close(struct uring *uring);

// A submission to be filled in, zeroed; NULL when there is no room before the next uring_enter.
struct uring_sqe *uring_submission(struct uring *uring);

// Submits, and runs what the kernel has left to be run in this thread. 0 or -errno.
int uring_enter(struct uring *uring);

// A completion is there to be taken.
bool uring_has_completion(const struct uring *uring);
// uring_enter would bring more completions. One load from shared memory, no system call.
bool uring_has_work(const struct uring *uring);
// Completion number `index` of those to be taken, or NULL.
const struct uring_cqe *uring_peek(const struct uring *uring, uint32_t index);
bool uring_take(struct uring *uring, struct uring_cqe *cqe);

#endif
