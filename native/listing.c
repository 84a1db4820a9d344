// Directory listings: records of getdents64(2) become those of a READDIR or READDIRPLUS reply, in one go for a whole window. Raw
// system calls alone, as in special.c.
#include "listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Kernel: struct linux_dirent64.
struct source_record {
  uint64_t ino;
  int64_t off;
  uint16_t reclen;
  uint8_t type;
  char name[];
} __attribute__((packed));

#define SOURCE_HEAD offsetof(struct source_record, name)

// Kernel: struct fuse_dirent, struct fuse_attr, struct fuse_entry_out.
struct record {
  uint64_t ino, off;
  uint32_t namelen, type;
  char name[];
};

struct attributes {
  uint64_t ino, size, blocks, atime, mtime, ctime;
  uint32_t atimensec, mtimensec, ctimensec, mode, nlink, uid, gid, rdev, blksize, flags;
};

struct entry {
  uint64_t nodeid, generation, entry_valid, attr_valid;
  uint32_t entry_valid_nsec, attr_valid_nsec;
  struct attributes attr;
};

_Static_assert(sizeof(struct record) == 24 && sizeof(struct attributes) == 88 && sizeof(struct entry) == 128,
               "as the kernel has them");

// Some filesystems tell no types. `.` and `..` are directories.
static bool is_wanted(const struct listing *listing, uint8_t type) {
  return listing->files != 0 || type == DT_DIR || type == DT_UNKNOWN;
}

static bool is_dots(const char *name, size_t length) {
  return name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'));
}

// Kernel: new_encode_dev.
static uint32_t device_number(uint32_t major, uint32_t minor) {
  return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static void describe(struct entry *entry, const struct listing *listing, const struct statx *found) {
  entry->entry_valid = listing->entry_valid;
  entry->entry_valid_nsec = listing->entry_valid_nsec;
  entry->attr_valid = listing->attr_valid;
  entry->attr_valid_nsec = listing->attr_valid_nsec;
  entry->attr = (struct attributes){
      .ino = found->stx_ino,
      .size = found->stx_size,
      .blocks = found->stx_blocks,
      .atime = (uint64_t)found->stx_atime.tv_sec,
      .mtime = (uint64_t)found->stx_mtime.tv_sec,
      .ctime = (uint64_t)found->stx_ctime.tv_sec,
      .atimensec = found->stx_atime.tv_nsec,
      .mtimensec = found->stx_mtime.tv_nsec,
      .ctimensec = found->stx_ctime.tv_nsec,
      .mode = found->stx_mode,
      .nlink = found->stx_nlink,
      .uid = found->stx_uid,
      .gid = found->stx_gid,
      .rdev = device_number(found->stx_rdev_major, found->stx_rdev_minor),
      .blksize = found->stx_blksize,
  };
}

// Kernel: stx_mnt_id of struct statx, which older headers lack.
#define STX_MNT_ID 0x90
_Static_assert(offsetof(struct statx, stx_dev_minor) + 4 == STX_MNT_ID, "as the kernel has it");

static void tell(struct listing_fact *fact, size_t at, const struct statx *found) {
  *fact = (struct listing_fact){.at = (uint32_t)at};
  if (found == NULL)
    return;
  fact->mask = found->stx_mask;
  fact->btime = found->stx_btime.tv_sec;
  fact->btime_nsec = found->stx_btime.tv_nsec;
  fact->dev_major = found->stx_dev_major;
  fact->dev_minor = found->stx_dev_minor;
  memcpy(&fact->mnt_id, (const uint8_t *)found + STX_MNT_ID, sizeof fact->mnt_id);
}

static void put_record(struct record *record, const struct source_record *source, size_t length, uint64_t off,
                       const struct statx *found) {
  size_t padded = (length + 7) & ~(size_t)7;
  record->ino = found == NULL ? source->ino : found->stx_ino;
  record->off = off;
  record->namelen = (uint32_t)length;
  record->type = found == NULL ? source->type : found->stx_mode >> 12;
  memcpy(record->name, source->name, length);
  memset(record->name + length, 0, padded - length);
}

int64_t listing_encode(int dirfd, const uint8_t *window, struct listing *listing, uint8_t *out, size_t size,
                       struct listing_fact *facts) {
  if (window == NULL || listing == NULL || out == NULL)
    return -EFAULT;
  int64_t count = 0;
  size_t head = facts == NULL ? 0 : sizeof(struct entry);
  while (listing->at < listing->end && count < listing->most) {
    const struct source_record *source = (const void *)(window + listing->at);
    size_t left = listing->end - listing->at;
    if (left <= SOURCE_HEAD || source->reclen <= SOURCE_HEAD || source->reclen > left)
      return -EIO;
    size_t length = strnlen(source->name, source->reclen - SOURCE_HEAD);
    size_t needed = head + sizeof(struct record) + ((length + 7) & ~(size_t)7);
    if (listing->used > size || needed > size - listing->used)
      break;
    struct statx attributes, *found = NULL;
    uint8_t *place = out + listing->used;
    if (facts != NULL) {
      // Kernel: `.` and `..` are no lookups, and neither is an entry that has gone since it was listed.
      if (!is_wanted(listing, source->type))
        listing->left_out++;
      else if (!is_dots(source->name, length) &&
               syscall(SYS_statx, dirfd, source->name, listing->flags, listing->mask, &attributes) == 0)
        found = &attributes;
      memset(place, 0, sizeof(struct entry));
      if (found != NULL)
        describe((struct entry *)place, listing, found);
      tell(&facts[count], listing->used, found);
    }
    put_record((struct record *)(place + head), source, length, ++listing->off, found);
    listing->used += (uint32_t)needed;
    listing->at += source->reclen;
    count++;
  }
  return count;
}
