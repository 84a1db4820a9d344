// What a window of a directory becomes in a READDIR or READDIRPLUS reply.
#ifndef DEVFUSE_LISTING_H
#define DEVFUSE_LISTING_H

#include <stddef.h>
#include <stdint.h>

// Shared with src/syscalls/listing.ts, as words of 32 bits.
struct listing {
  uint64_t off;                              // of the entry before the first one; counts up
  uint64_t entry_valid, attr_valid;          // seconds
  uint32_t entry_valid_nsec, attr_valid_nsec;
  uint32_t flags, mask;                      // for statx(2)
  uint32_t at, end;                          // in the window: the next record, and where they end
  uint32_t used;                             // bytes of the reply
  uint32_t most;                             // records at the most
  uint32_t files;                            // 0: attributes of directories alone
  uint32_t left_out;                         // files without, because of that
};

// What a READDIRPLUS record does not say of its file.
struct listing_fact {
  int64_t btime;
  uint32_t btime_nsec;
  uint32_t mask;                 // STATX_* bits; 0: there are no attributes
  uint32_t dev_major, dev_minor;
  uint32_t at;                   // place of the record in the reply
  uint32_t mnt_id;               // of 31 bits; 0 before Linux 5.8
};

// Appends to `out`, of `size` bytes, what fits of the window: READDIRPLUS records, with a statx(2) for each that is to have attributes
// and their nodeids left 0, or READDIR records where `facts` is NULL. How many, or -errno.
int64_t listing_encode(int dirfd, const uint8_t *window, struct listing *listing, uint8_t *out, size_t size,
                       struct listing_fact *facts);

#endif
