// The ring: requests come as completions, answers go as submissions that fetch the next request at the same time.
// The first and the last stop of a request with `transport: 'ring'`.
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define OP_URING_CMD 46
#define CMD_NONE 0
#define CMD_REGISTER 1
#define CMD_COMMIT_AND_FETCH 2
#define SUBMISSIONS 256u
#define NOTIFY_RETRIEVE 5
// How long the end waits for the kernel to give back its entries.
#define LAST_ROUNDS 100
#define LAST_ROUND_MS 2
// How long the kernel may take to evaluate the answer to INIT.
#define INIT_ROUNDS 1000
#define INIT_ROUND_MS 1

// Kernel: struct fuse_uring_req_header. in_out begins with fuse_in_header, or fuse_out_header on the way back: both have
// the unique at the same place, so only length and error change.
#define AT_LENGTH 0
#define AT_ERROR 4
#define AT_COMMIT_ID (256 + 8)
#define AT_PAYLOAD_SIZE (256 + 16)
#define OUT_HEADER_SIZE 16u

// Kernel: struct fuse_uring_cmd_req.
struct cmd_req {
  uint64_t flags, commit_id;
  uint16_t qid;
  uint8_t padding[6];
};

uint64_t ring_request(const struct ring_entry *entry) {
  uint64_t commit_id;
  memcpy(&commit_id, entry->header + AT_COMMIT_ID, sizeof commit_id);
  return commit_id;
}

static struct uring_sqe *command(struct ring *ring, uint32_t index, uint32_t operation) {
  const struct ring_entry *entry = &ring->entries[index];
  struct uring_sqe *sqe = uring_submission(&ring->uring);
  if (sqe == NULL)
    return NULL;
  struct cmd_req request = {.qid = entry->qid};
  if (operation == CMD_COMMIT_AND_FETCH)
    request.commit_id = ring_request(entry);
  sqe->opcode = OP_URING_CMD;
  sqe->fd = ring->device;
  sqe->cmd_op = operation;
  sqe->user_data = index;
  memcpy(sqe->cmd, &request, sizeof request);
  return sqe;
}

static uint32_t fill(struct turn *turn, uint32_t most, int *end) {
  struct ring *ring = (struct ring *)turn;
  struct uring_cqe done;
  uint32_t count = 0;
  (void)end;
  if (!uring_has_completion(&ring->uring) && uring_has_work(&ring->uring))
    uring_enter(&ring->uring);
  while (count < most && uring_take(&ring->uring, &done)) {
    struct ring_entry *entry = &ring->entries[done.user_data];
    ring->in_kernel--;
    entry->state = done.res == 0 ? ENTRY_HELD : ENTRY_ENDED;
    ring->ended += done.res != 0;
    if (done.res == 0) {
      ring->slots[count++] = (int32_t)done.user_data;
      turn_heard(turn, entry->header, RING_HEADER_SIZE);
    } else if (done.res != -ENOTCONN && done.res != -ECONNABORTED && done.res != -ECANCELED) {
      turn->stats[STAT_REPLY_ERRORS]++; // the others end the connection, which the device tells, too
    }
  }
  turn->stats[STAT_REQUESTS] += count;
  return count;
}

struct ring_entry *ring_held(const struct ring *ring, uint32_t index) {
  if (index >= ring->entry_count || ring->entries[index].state != ENTRY_HELD)
    return NULL;
  return &ring->entries[index];
}

static int commit(struct ring *ring, const struct ring_answer *answer) {
  struct ring_entry *entry = ring_held(ring, (uint32_t)answer->entry);
  if (entry == NULL || answer->length > entry->payload_size)
    return -EINVAL;
  uint32_t length = OUT_HEADER_SIZE + answer->length;
  memcpy(entry->header + AT_LENGTH, &length, sizeof length);
  memcpy(entry->header + AT_ERROR, &answer->error, sizeof answer->error);
  memcpy(entry->header + AT_PAYLOAD_SIZE, &answer->length, sizeof answer->length);
  struct uring_sqe *sqe = command(ring, (uint32_t)answer->entry, CMD_COMMIT_AND_FETCH);
  if (sqe == NULL) {
    int error = uring_enter(&ring->uring);
    sqe = command(ring, (uint32_t)answer->entry, CMD_COMMIT_AND_FETCH);
    if (sqe == NULL)
      return error != 0 ? error : -EAGAIN;
  }
  entry->state = ENTRY_IN_KERNEL;
  ring->in_kernel++;
  ring->turn.stats[STAT_REPLIES]++;
  return 0;
}

static int take_answers(struct ring *ring) {
  struct ring_answers *answers = ring->answers;
  uint32_t count = answers->count < RING_ANSWERS ? answers->count : RING_ANSWERS;
  int result = 0;
  answers->count = 0;
  for (uint32_t i = 0; i < count; i++) {
    int error = commit(ring, &answers->list[i]);
    if (error != 0)
      result = error;
  }
  return result;
}

int ring_flush(struct ring *ring) {
  if (ring->uring.fd < 0)
    return -EBADF;
  int refused = take_answers(ring);
  int error = uring_enter(&ring->uring);
  return error != 0 ? error : refused;
}

int ring_answer(struct ring *ring, const struct ring_answer *answer) {
  int error = commit(ring, answer);
  if (error == 0 && !ring->answers->in_turn)
    error = uring_enter(&ring->uring);
  return error;
}

static void serve(struct turn *turn, uint32_t count) {
  struct ring *ring = (struct ring *)turn;
  ring->answers->in_turn = 1;
  ring->on_batch(ring, count);
  ring->answers->in_turn = 0;
  if (ring->uring.fd >= 0)
    ring_flush(ring);
}

static void ask_nothing(struct ring *ring) {
  struct uring_sqe *sqe = uring_submission(&ring->uring);
  sqe->opcode = OP_URING_CMD;
  sqe->fd = ring->device;
  sqe->cmd_op = CMD_NONE;
}

// Kernel: with SYNC_INIT the answer to INIT is evaluated by the thread that mounts, some time after it was written. Every command is
// EAGAIN until then: io_uring has a thread of its own try it again, when the memory that a REGISTER points to may be gone, and
// tells what that came to later. So we wait with one that registers nothing, and is EINVAL from then on.
static int await_init(struct ring *ring) {
  struct pollfd more = {.fd = ring->uring.fd, .events = POLLIN};
  ask_nothing(ring);
  for (int round = 0; round < INIT_ROUNDS; round++) {
    struct uring_cqe done;
    int error = uring_enter(&ring->uring);
    if (error != 0)
      return error;
    if (!uring_take(&ring->uring, &done)) {
      poll(&more, 1, INIT_ROUND_MS);
      continue;
    }
    if (done.res != -EAGAIN)
      return 0;
    poll(NULL, 0, INIT_ROUND_MS);
    ask_nothing(ring);
  }
  return -EAGAIN;
}

int ring_open(struct ring *ring, uint32_t most_entries) {
  ring->turn.fill = fill;
  ring->turn.serve = serve;
  turn_init(&ring->turn, RING_BATCH);
  ring->entry_most = most_entries;
  ring->entries = calloc(most_entries, sizeof *ring->entries);
  int error = ring->entries == NULL ? -ENOMEM : uring_open(&ring->uring, SUBMISSIONS, most_entries);
  return error != 0 ? error : await_init(ring);
}

// Kernel: REGISTER fails at once or not at all, so its completion is there already, behind others perhaps.
static int registration_error(const struct ring *ring, uint32_t first) {
  const struct uring_cqe *done;
  for (uint32_t i = 0; (done = uring_peek(&ring->uring, i)) != NULL; i++)
    if (done->user_data >= first && done->res < 0)
      return done->res;
  return 0;
}

bool ring_fetched(const struct ring *ring, uint32_t index) {
  const struct uring_cqe *done;
  for (uint32_t i = 0; (done = uring_peek(&ring->uring, i)) != NULL; i++)
    if (done->user_data == index && done->res == 0)
      return true;
  return false;
}

int ring_add(struct ring *ring, uint16_t qid, const struct ring_memory *memory) {
  uint32_t first = ring->entry_count;
  if (ring->uring.fd < 0)
    return -EBADF;
  if (memory->count > ring->entry_most - first)
    return -ENOSPC;
  struct iovec *parts = malloc(2 * sizeof *parts * memory->count);
  int error = parts == NULL ? -ENOMEM : 0;
  for (uint32_t i = 0; i < memory->count && error == 0; i++) {
    struct ring_entry *entry = &ring->entries[first + i];
    entry->header = memory->bytes + i * memory->entry_size;
    entry->payload = entry->header + memory->payload_at;
    entry->payload_size = (uint32_t)(memory->entry_size - memory->payload_at);
    entry->qid = qid;
    entry->state = ENTRY_IN_KERNEL;
    parts[2 * i] = (struct iovec){.iov_base = entry->header, .iov_len = RING_HEADER_SIZE};
    parts[2 * i + 1] = (struct iovec){.iov_base = entry->payload, .iov_len = entry->payload_size};
    struct uring_sqe *sqe = command(ring, first + i, CMD_REGISTER);
    if (sqe == NULL) {
      error = uring_enter(&ring->uring);
      sqe = command(ring, first + i, CMD_REGISTER);
    }
    if (sqe == NULL)
      break;
    sqe->addr = (uint64_t)(uintptr_t)&parts[2 * i];
    sqe->len = 2;
    ring->entry_count++;
    ring->in_kernel++;
  }
  int submitted = uring_enter(&ring->uring);
  if (error == 0)
    error = submitted != 0 ? submitted : registration_error(ring, first);
  if (submitted == 0)
    free(parts);
  return error != 0 ? error : (int)first;
}

int ring_start(struct ring *ring) {
  struct loop *loop = ring->turn.loop;
  if (ring->uring.fd < 0)
    return -EBADF;
  if (ring->turn.started)
    return 0;
  void *poll = malloc(loop->handle_size(loop->type_poll));
  int error = poll == NULL ? -ENOMEM : loop->poll_init(loop->uv, poll, ring->uring.fd);
  if (error != 0) {
    free(poll);
    return error;
  }
  handle_set_data(poll, ring);
  ring->poll = poll;
  ring->turn.started = true;
  return loop->poll_start(poll, LOOP_READABLE, ring->on_poll);
}

bool ring_lost(const struct ring *ring) { return ring->entry_count > 0 && ring->ended == ring->entry_count; }

void ring_turn(struct ring *ring) { turn_run(&ring->turn); }

int ring_kick(struct ring *ring, uint32_t cpu, uint64_t unique, uint64_t nodeid, uint32_t count) {
  struct {
    uint32_t length;
    int32_t code;
    uint64_t no_unique;
    uint64_t notify_unique, nodeid, offset;
    uint32_t size, padding;
  } retrieve = {.length = sizeof retrieve, .code = NOTIFY_RETRIEVE, .notify_unique = unique, .nodeid = nodeid};
  cpu_set_t before, there;
  if (cpu >= CPU_SETSIZE)
    return -EINVAL;
  CPU_ZERO(&there);
  CPU_SET(cpu, &there);
  // Kernel: the queue is that of the CPU which the request is made on.
  if (sched_getaffinity(0, sizeof before, &before) != 0 || sched_setaffinity(0, sizeof there, &there) != 0)
    return -errno;
  int sent = 0, error = 0;
  for (; error == 0 && (uint32_t)sent < count; retrieve.notify_unique += 2) {
    error = write(ring->device, &retrieve, sizeof retrieve) < 0 ? -errno : 0;
    sent += error == 0;
  }
  sched_setaffinity(0, sizeof before, &before);
  return sent > 0 ? sent : error;
}

// The connection is over: the kernel gives back every entry as soon as this thread lets it.
static void reap_all(struct ring *ring) {
  struct pollfd over = {.fd = ring->device}, more = {.fd = ring->uring.fd, .events = POLLIN};
  struct uring_cqe done;
  for (int round = 0; ring->in_kernel > 0 && round < LAST_ROUNDS; round++) {
    uring_enter(&ring->uring);
    while (uring_take(&ring->uring, &done))
      ring->in_kernel--;
    if (ring->in_kernel == 0 || poll(&over, 1, 0) != 1 || (over.revents & POLLERR) == 0)
      return;
    poll(&more, 1, LAST_ROUND_MS);
  }
}

uint32_t ring_close(struct ring *ring, loop_close_cb closed, void *data) {
  ring->turn.started = false;
  if (ring->poll != NULL) {
    handle_set_data(ring->poll, data);
    ring->turn.loop->close(ring->poll, closed);
    ring->poll = NULL;
  }
  if (ring->uring.fd >= 0) {
    take_answers(ring);
    reap_all(ring);
    uring_close(&ring->uring);
  }
  return ring->in_kernel;
}

void ring_free(struct ring *ring) {
  free(ring->entries);
  free(ring);
}
