// Runs system calls: the plain one, and the one under another identity with everything put back.
#include "call.h"
#include "special.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool call_is_urgent(const struct call *call) {
  return call->nr == SPECIAL_UMOUNT || call->nr == SYS_mount || call->nr == SYS_umount2;
}

int64_t call_run(const struct call *call) {
  const int64_t *a = call->args;
  if (call->nr < 0)
    return special_run(call);
  long result = syscall((long)call->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
  return result == -1 ? -errno : result;
}

#define CAP(n) (UINT64_C(1) << (n))
// Kernel: what setfsuid(2) from 0 to another user takes out of the effective set (CAP_FS_MASK).
#define FS_CAPS \
  (CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) | \
   CAP(CAP_LINUX_IMMUTABLE) | CAP(CAP_MKNOD) | CAP(CAP_MAC_OVERRIDE))
#define KEPT_CAPS (CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER))

static bool caps_get(struct __user_cap_data_struct caps[2]) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return syscall(SYS_capget, &header, caps) == 0;
}

static void caps_set(const struct __user_cap_data_struct caps[2]) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  syscall(SYS_capset, &header, caps);
}

// The raw calls act on this thread only; the C library's wrappers would change every thread. A change
// costs microseconds, so what is right already is left alone: -1 is no user, and only asks.
static uint32_t fs_swap(long nr, uint32_t id) {
  uint32_t now = (uint32_t)syscall(nr, -1);
  return now == id ? now : (uint32_t)syscall(nr, id);
}

struct groups {
  uint32_t few[64];
  uint32_t *all;
  long count;
  bool changed;
};

static void groups_take(struct groups *saved, const struct identity *identity) {
  saved->changed = false;
  saved->all = saved->few;
  if (identity->groups == NULL)
    return;
  saved->count = syscall(SYS_getgroups, 64, saved->few);
  if (saved->count < 0) {
    saved->count = syscall(SYS_getgroups, 0, NULL);
    saved->all = saved->count > 0 ? malloc(sizeof(uint32_t) * (size_t)saved->count) : NULL;
    if (saved->all == NULL)
      return;
    saved->count = syscall(SYS_getgroups, saved->count, saved->all);
  }
  bool same = saved->count == (long)identity->group_count &&
              memcmp(saved->all, identity->groups, sizeof(uint32_t) * identity->group_count) == 0;
  if (saved->count >= 0 && !same)
    saved->changed = syscall(SYS_setgroups, identity->group_count, identity->groups) == 0;
}

static void groups_put_back(struct groups *saved) {
  if (saved->changed)
    syscall(SYS_setgroups, saved->count, saved->all);
  if (saved->all != saved->few)
    free(saved->all);
}

static int64_t run_with_umask(const struct identity *identity, const struct call *call) {
  if (identity->umask < 0)
    return call_run(call);
  // It belongs to all threads that share it, hence nothing but the call in between.
  long umask = syscall(SYS_umask, identity->umask);
  int64_t result = call_run(call);
  syscall(SYS_umask, umask);
  return result;
}

static uint64_t effective_of(const struct __user_cap_data_struct caps[2]) {
  return caps[0].effective | (uint64_t)caps[1].effective << 32;
}

// Takes the capabilities away that the other user has not got, and puts back those that a mirror needs.
static void caps_lower(const struct __user_cap_data_struct saved[2], uint32_t flags) {
  uint64_t gone = FS_CAPS & ~KEPT_CAPS;
  if (flags & AS_KEEP_FSETID)
    gone &= ~CAP(CAP_FSETID);
  if (flags & AS_KEEP_MKNOD)
    gone &= ~CAP(CAP_MKNOD);
  uint64_t effective = effective_of(saved) & ~gone;
  struct __user_cap_data_struct caps[2] = {saved[0], saved[1]};
  caps[0].effective = (uint32_t)effective;
  caps[1].effective = (uint32_t)(effective >> 32);
  caps_set(caps);
}

// Kernel: going back to fsuid 0 raises the permitted ones of FS_CAPS; mostly that is what there was.
static bool caps_are_back(const struct __user_cap_data_struct saved[2], uint32_t uid) {
  uint64_t permitted = saved[0].permitted | (uint64_t)saved[1].permitted << 32;
  return uid == 0 && (permitted & FS_CAPS & ~effective_of(saved)) == 0;
}

int64_t call_run_as(const struct identity *identity, const struct call *call) {
  struct __user_cap_data_struct saved[2];
  struct groups groups;
  groups_take(&groups, identity);
  uint32_t gid = fs_swap(SYS_setfsgid, identity->gid);
  // Kernel: a change of fsuid clears the dumpable flag of the whole process.
  int dumpable = prctl(PR_GET_DUMPABLE);
  bool lowered = identity->uid != 0 && caps_get(saved);
  uint32_t uid = fs_swap(SYS_setfsuid, identity->uid);
  if (lowered)
    caps_lower(saved, identity->flags);

  int64_t result = run_with_umask(identity, call);

  // First the user: going back to 0 raises capabilities, and the exact set follows.
  if (uid != identity->uid)
    syscall(SYS_setfsuid, uid);
  if (lowered && !(uid != identity->uid && caps_are_back(saved, uid)))
    caps_set(saved);
  if (gid != identity->gid)
    syscall(SYS_setfsgid, gid);
  groups_put_back(&groups);
  if (dumpable == 1 && (uid != identity->uid || gid != identity->gid))
    prctl(PR_SET_DUMPABLE, 1);
  return result;
}
