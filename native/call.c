// Runs system calls: the plain one, and the one under another identity with everything put back.
#include "call.h"
#include "special.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

// The raw calls act on this thread only; the C library's wrappers would change every thread.
static uint32_t fsuid_swap(uint32_t uid) { return (uint32_t)syscall(SYS_setfsuid, uid); }
static uint32_t fsgid_swap(uint32_t gid) { return (uint32_t)syscall(SYS_setfsgid, gid); }

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
  if (saved->count >= 0)
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
  // The umask belongs to the whole process, hence nothing but the call in between.
  long umask = syscall(SYS_umask, identity->umask);
  int64_t result = call_run(call);
  syscall(SYS_umask, umask);
  return result;
}

int64_t call_run_as(const struct identity *identity, const struct call *call) {
  struct __user_cap_data_struct saved[2];
  struct groups groups;
  bool have_caps = caps_get(saved);
  groups_take(&groups, identity);
  uint32_t gid = fsgid_swap(identity->gid);
  // Kernel: a change of fsuid clears the dumpable flag of the whole process.
  int dumpable = prctl(PR_GET_DUMPABLE);
  uint32_t uid = fsuid_swap(identity->uid);
  bool lowered = have_caps && identity->uid != 0;
  if (lowered) {
    uint64_t kept = KEPT_CAPS;
    if (identity->flags & AS_KEEP_FSETID)
      kept |= CAP(CAP_FSETID);
    if (identity->flags & AS_KEEP_MKNOD)
      kept |= CAP(CAP_MKNOD);
    uint64_t gone = FS_CAPS & ~kept;
    struct __user_cap_data_struct caps[2] = {saved[0], saved[1]};
    caps[0].effective &= ~(uint32_t)gone;
    caps[1].effective &= ~(uint32_t)(gone >> 32);
    caps_set(caps);
  }

  int64_t result = run_with_umask(identity, call);

  // First the user: going back to 0 raises capabilities, and the exact set follows.
  fsuid_swap(uid);
  if (have_caps && (lowered || uid != identity->uid))
    caps_set(saved);
  fsgid_swap(gid);
  groups_put_back(&groups);
  if (dumpable == 1 && uid != identity->uid)
    prctl(PR_SET_DUMPABLE, 1);
  return result;
}
