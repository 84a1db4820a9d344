// Sleeps until a request lies in the device, looks whether the loop comes for it, and if the loop's thread is blocked instead,
// reads what is there: a request that this thread waits for is answered EDEADLK, all others are kept for the loop, in order.
#include "guard.h"
#include "in_header.h"
#include "thread.h"
#include "loop.h"
#include "subject.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// How long a request lies before we look what the loop is at.
#define GRACE_MS 250
// The same, while a deadlock has just been ended and its thread has not come round since.
#define ALARM_MS 5
// How long one call waits before a lock counts as held by somebody in another process, and a page as waiting for one of ours: disks
// are slow, too.
#define OTHERS_NS 800000000u
#define PAGE_NS 1000000000u
#define STACK_BYTES (128u * 1024u)
// More than this stays in the kernel.
#define MOST_HELD (64u << 20)
#define MOST_REPORTS 16

#define READ 15
#define INTERRUPT 36

struct out_header {
  uint32_t len;
  int32_t error;
  uint64_t unique;
};

struct held {
  struct held *next;
  size_t length;
  uint8_t bytes[];
};

struct guard {
  int fd, stop; // stop: an eventfd
  pthread_t thread;
  bool running;
  struct suspect suspect;
  void (*wake)(void *owner);
  void *owner;
  pthread_mutex_t lock; // around every read of the device, and all below
  uint64_t turns;       // how often the loop has come for requests
  struct held *first, **last;
  size_t held_bytes;
  atomic_bool holds, called;
  uint8_t *buffer;
  size_t buffer_size;
  struct guard_report reports[MOST_REPORTS];
  uint32_t report_count, judged;
  char *mount_point;    // or NULL
  struct blocked looked_at; // the call that was waiting at the last look, and the turn and time it was first seen
  uint64_t looked_turn, looked_since;
  bool alarmed; // ended a deadlock, at `alarm_turn`
  uint64_t alarm_turn;
};

void guard_enter(struct guard *guard) {
  if (guard == NULL)
    return;
  pthread_mutex_lock(&guard->lock);
  guard->turns++;
}

void guard_leave(struct guard *guard) {
  if (guard != NULL)
    pthread_mutex_unlock(&guard->lock);
}

static void unlink_held(struct guard *guard, struct held **link) {
  struct held *held = *link;
  *link = held->next;
  if (held->next == NULL)
    guard->last = link;
  guard->held_bytes -= held->length;
  guard->holds = guard->first != NULL;
  free(held);
}

size_t guard_take(struct guard *guard, uint8_t *bytes) {
  if (guard == NULL || guard->first == NULL)
    return 0;
  size_t length = guard->first->length;
  memcpy(bytes, guard->first->bytes, length);
  unlink_held(guard, &guard->first);
  return length;
}

bool guard_holds(struct guard *guard) { return guard != NULL && guard->holds; }

bool guard_called(struct guard *guard) { return guard != NULL && atomic_exchange(&guard->called, false); }

bool guard_next_report(struct guard *guard, struct guard_report *report) {
  if (guard == NULL)
    return false;
  pthread_mutex_lock(&guard->lock);
  bool found = guard->report_count > 0;
  if (found) {
    *report = guard->reports[0];
    guard->report_count--;
    memmove(guard->reports, guard->reports + 1, guard->report_count * sizeof *report);
  }
  pthread_mutex_unlock(&guard->lock);
  return found;
}

static void answer(struct guard *guard, const struct in_header *request, int error) {
  struct out_header header = {.len = sizeof header, .error = error, .unique = request->unique};
  // Kernel: ENOENT, and nothing to do about it, where the caller is gone.
  ssize_t written = write(guard->fd, &header, sizeof header);
  (void)written;
}

static void call_loop(struct guard *guard) {
  if (!atomic_exchange(&guard->called, true))
    guard->wake(guard->owner);
}

// Everything that lies in the device becomes ours.
static void drain(struct guard *guard) {
  if (guard->buffer == NULL)
    guard->buffer = malloc(guard->buffer_size);
  while (guard->buffer != NULL && guard->held_bytes < MOST_HELD) {
    ssize_t length = read(guard->fd, guard->buffer, guard->buffer_size);
    if (length < 0 && (errno == EINTR || errno == ENOENT))
      continue;
    // The end of the connection is for the loop to find.
    if (length < (ssize_t)sizeof(struct in_header))
      return;
    struct held *held = malloc(sizeof *held + (size_t)length);
    if (held == NULL) {
      answer(guard, (struct in_header *)guard->buffer, -ENOMEM);
      return;
    }
    held->next = NULL;
    held->length = (size_t)length;
    memcpy(held->bytes, guard->buffer, (size_t)length);
    *guard->last = held;
    guard->last = &held->next;
    guard->held_bytes += held->length;
    guard->holds = true;
  }
}

static struct in_header header_of(const struct held *held) {
  struct in_header header;
  memcpy(&header, held->bytes, sizeof header);
  return header;
}

static void report(struct guard *guard, enum verdict verdict, const struct in_header *request) {
  guard->judged++;
  guard->alarmed = true;
  guard->alarm_turn = guard->turns;
  if (guard->report_count < MOST_REPORTS)
    guard->reports[guard->report_count++] =
        (struct guard_report){.verdict = verdict, .opcode = request->opcode, .pid = (pid_t)request->pid};
}

static void end_with(struct guard *guard, struct held **link, enum verdict verdict) {
  struct in_header request = header_of(*link);
  answer(guard, &request, -EDEADLK);
  report(guard, verdict, &request);
  unlink_held(guard, link);
}

// Nanoseconds that this very call has been seen to wait.
static uint64_t waiting_since(struct guard *guard, const struct blocked *blocked) {
  uint64_t now = clock_ns();
  if (guard->looked_turn != guard->turns || memcmp(&guard->looked_at, blocked, sizeof *blocked) != 0)
    guard->looked_since = now;
  guard->looked_turn = guard->turns;
  guard->looked_at = *blocked;
  return now - guard->looked_since;
}

// Requests whose sender may hold what the loop's thread waits for: first those of this process.
static void judge_locks(struct guard *guard, const struct blocked *blocked) {
  uint64_t waited = waiting_since(guard, blocked);
  enum wait wait = suspect_wait(&guard->suspect);
  // What moves data may wait for a disk behind the mount, what works on names only for locks and answers.
  if (wait == WAIT_OTHER || (wait == WAIT_LOCK) == call_moves_data(blocked) || (wait == WAIT_PAGE && waited < PAGE_NS) ||
      guard->mount_point == NULL || !call_is_below(blocked, guard->mount_point))
    return;
  bool others = wait == WAIT_LOCK && waited >= OTHERS_NS;
  for (struct held **link = &guard->first; *link != NULL;) {
    struct in_header request = header_of(*link);
    bool holds = wait == WAIT_PAGE ? request.opcode == READ : may_hold(request.opcode);
    if (holds && request.pid != 0 && (others || is_ours((pid_t)request.pid)))
      end_with(guard, link, VERDICT_LOCK);
    else
      link = &(*link)->next;
  }
}

static void judge(struct guard *guard, const struct blocked *blocked) {
  uint32_t before = guard->judged;
  for (struct held **link = &guard->first; *link != NULL;) {
    struct in_header request = header_of(*link);
    enum verdict verdict = verdict_on(&guard->suspect, blocked, request.opcode, (pid_t)request.pid);
    if (verdict == VERDICT_NONE) {
      link = &(*link)->next;
      continue;
    }
    end_with(guard, link, verdict);
  }
  if (guard->judged == before && guard->first != NULL)
    judge_locks(guard, blocked);
}

static bool let_go(struct guard *guard, uint64_t unique) {
  for (struct held **link = &guard->first; *link != NULL; link = &(*link)->next) {
    struct in_header request = header_of(*link);
    if (request.unique != unique || !being_killed((pid_t)request.pid))
      continue;
    answer(guard, &request, -EINTR);
    unlink_held(guard, link);
    return true;
  }
  return false;
}

// Kernel: a request that nobody has read can be killed with its caller. What we hold counts as read, so that is our part then.
static void let_killed_go(struct guard *guard) {
  for (struct held **link = &guard->first; *link != NULL;) {
    struct in_header request = header_of(*link);
    uint64_t unique;
    if (request.opcode != INTERRUPT || (*link)->length < sizeof request + sizeof unique) {
      link = &(*link)->next;
      continue;
    }
    memcpy(&unique, (*link)->bytes + sizeof request, sizeof unique);
    if (!let_go(guard, unique)) {
      link = &(*link)->next;
      continue;
    }
    // The list has changed: what stood before the interrupt is gone. It needs no answer itself.
    for (link = &guard->first; *link != NULL; link = &(*link)->next) {
      struct in_header again = header_of(*link);
      if (again.opcode == INTERRUPT && again.unique == request.unique)
        break;
    }
    if (*link != NULL)
      unlink_held(guard, link);
    link = &guard->first;
  }
}

// The loop has not come round since `turns`.
static void examine(struct guard *guard) {
  struct blocked blocked;
  if (!suspect_blocked(&guard->suspect, &blocked))
    return;
  drain(guard);
  // It may have gone on meanwhile.
  if (suspect_blocked(&guard->suspect, &blocked))
    judge(guard, &blocked);
  let_killed_go(guard);
  if (guard->first != NULL || guard->report_count > 0)
    call_loop(guard);
}

// Waits for a request, the end, or `timeout`. False: the guard shall end.
static bool wait_for(struct guard *guard, bool request, int timeout) {
  struct pollfd polled[2] = {{.fd = guard->stop, .events = POLLIN}, {.fd = request ? guard->fd : -1, .events = POLLIN}};
  if (poll(polled, 2, timeout) < 0 && errno != EINTR)
    return false;
  // Kernel: a connection that has ended says POLLERR.
  return polled[0].revents == 0 && (polled[1].revents & (POLLERR | POLLNVAL | POLLHUP)) == 0;
}

static void *guard_main(void *argument) {
  struct guard *guard = argument;
  for (;;) {
    if (!wait_for(guard, true, guard->holds ? GRACE_MS : -1))
      return NULL;
    pthread_mutex_lock(&guard->lock);
    uint64_t turns = guard->turns;
    bool alarmed = guard->alarmed && guard->alarm_turn == turns;
    guard->alarmed = alarmed;
    pthread_mutex_unlock(&guard->lock);
    if (!wait_for(guard, false, alarmed ? ALARM_MS : GRACE_MS))
      return NULL;
    pthread_mutex_lock(&guard->lock);
    if (guard->turns == turns)
      examine(guard);
    pthread_mutex_unlock(&guard->lock);
  }
}

static int start_thread(struct guard *guard) {
  int error = thread_start(&guard->thread, STACK_BYTES, guard_main, guard);
  guard->running = error == 0;
  return error;
}

int guard_start(struct guard **made, const struct guarded *guarded) {
  struct guard *guard = calloc(1, sizeof *guard);
  if (guard == NULL)
    return -ENOMEM;
  *guard = (struct guard){
      .fd = guarded->fd, .wake = guarded->wake, .owner = guarded->owner, .buffer_size = guarded->message_size};
  guard->mount_point = guarded->mount_point == NULL ? NULL : strdup(guarded->mount_point);
  guard->last = &guard->first;
  pthread_mutex_init(&guard->lock, NULL);
  guard->suspect.syscall_fd = guard->suspect.stat_fd = guard->suspect.wchan_fd = -1;
  guard->stop = eventfd(0, EFD_CLOEXEC);
  int error = guard->stop < 0 ? -errno : suspect_init(&guard->suspect, guarded->backend_fd);
  if (error == 0)
    error = start_thread(guard);
  if (error == 0)
    *made = guard;
  else
    guard_free(guard);
  return error;
}

void guard_stop(struct guard *guard) {
  if (guard == NULL || !guard->running)
    return;
  uint64_t one = 1;
  while (write(guard->stop, &one, sizeof one) < 0 && errno == EINTR)
    ;
  pthread_join(guard->thread, NULL);
  guard->running = false;
}

void guard_free(struct guard *guard) {
  if (guard == NULL)
    return;
  guard_stop(guard);
  while (guard->first != NULL)
    unlink_held(guard, &guard->first);
  suspect_free(&guard->suspect);
  if (guard->stop >= 0)
    close(guard->stop);
  pthread_mutex_destroy(&guard->lock);
  free(guard->buffer);
  free(guard->mount_point);
  free(guard);
}
