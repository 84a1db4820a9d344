// The tables against the C header of the system, and rows that are newer than it against plain numbers.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { offsets, sizes } from '#dist/protocol/index.js'

const source = join(import.meta.dirname, '../../../test/protocol/generated/abi_check.c')

test('sizes, offsets and values agree with <linux/fuse.h>', (t) => {
  const cc = spawnSync('cc', ['-std=c11', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', source], {
    encoding: 'utf8',
  })
  if (cc.error || cc.stderr.includes('linux/fuse.h: No such file')) {
    t.skip('needs a C compiler and the kernel headers')
    return
  }
  assert.equal(cc.stderr, '')
  assert.equal(cc.status, 0)
})

test('sizes of the structs, as plain numbers', () => {
  const expected: Partial<Record<keyof typeof sizes, number>> = {
    fuse_in_header: 40,
    fuse_out_header: 16,
    fuse_attr: 88,
    fuse_entry_out: 128,
    fuse_forget_in: 8,
    fuse_getattr_in: 16,
    fuse_attr_out: 104,
    fuse_setattr_in: 88,
    fuse_mknod_in: 16,
    fuse_mkdir_in: 8,
    fuse_rename_in: 8,
    fuse_link_in: 8,
    fuse_open_in: 8,
    fuse_open_out: 16,
    fuse_read_in: 40,
    fuse_write_in: 40,
    fuse_write_out: 8,
    fuse_statfs_out: 80,
    fuse_release_in: 24,
    fuse_fsync_in: 16,
    fuse_setxattr_in: 16,
    fuse_getxattr_in: 8,
    fuse_getxattr_out: 8,
    fuse_flush_in: 24,
    fuse_init_in: 64,
    fuse_init_out: 64,
    fuse_lk_in: 48,
    fuse_lk_out: 24,
    fuse_access_in: 8,
    fuse_create_in: 16,
    fuse_interrupt_in: 8,
    fuse_bmap_in: 16,
    fuse_bmap_out: 8,
    fuse_ioctl_in: 32,
    fuse_ioctl_out: 16,
    fuse_poll_in: 24,
    fuse_poll_out: 8,
    fuse_notify_retrieve_in: 40,
    fuse_batch_forget_in: 8,
    fuse_forget_one: 16,
    fuse_fallocate_in: 32,
    fuse_dirent: 24,
    fuse_direntplus: 152,
    fuse_rename2_in: 16,
    fuse_lseek_in: 24,
    fuse_lseek_out: 8,
    fuse_copy_file_range_in: 56,
    fuse_copy_file_range_out: 8,
    fuse_setupmapping_in: 40,
    fuse_removemapping_in: 4,
    fuse_removemapping_one: 16,
    fuse_syncfs_in: 8,
    fuse_statx_in: 24,
    fuse_statx_out: 288,
    cuse_init_in: 16,
    cuse_init_out: 72,
    fuse_notify_poll_wakeup_out: 8,
    fuse_notify_inval_inode_out: 24,
    fuse_notify_inval_entry_out: 16,
    fuse_notify_store_out: 24,
    fuse_notify_retrieve_out: 32,
    fuse_notify_delete_out: 24,
    fuse_notify_prune_out: 16,
    fuse_backing_map: 16,
    fuse_uring_ent_in_out: 32,
    fuse_uring_req_header: 288,
    fuse_uring_cmd_req: 24,
  }
  for (const [name, size] of Object.entries(expected))
    assert.equal(sizes[name as keyof typeof sizes], size, name)
})

test('offsets of members that are newer than common headers', () => {
  assert.equal(offsets.fuse_init_out.max_stack_depth, 36)
  assert.equal(offsets.fuse_init_out.request_timeout, 40)
  assert.equal(offsets.fuse_open_out.backing_id, 12)
  assert.equal(offsets.fuse_statx_out.stat, 32)
  assert.equal(offsets.fuse_statx.ino, 32)
  assert.equal(offsets.fuse_statx.rdev_major, 128)
  assert.equal(offsets.fuse_uring_req_header.op_in, 128)
  assert.equal(offsets.fuse_uring_req_header.ring_ent_in_out, 256)
  assert.equal(offsets.fuse_uring_ent_in_out.commit_id, 8)
  assert.equal(offsets.fuse_uring_ent_in_out.payload_sz, 16)
  assert.equal(offsets.fuse_uring_cmd_req.qid, 16)
})
