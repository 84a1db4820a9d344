// Rows of the operations: each is provoked by its system call, and the request that arrives and the answer that the caller
// gets are both checked.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { ENOSYS, cuse } from 'devfuse'
import type { OperationName } from 'devfuse'
import { cleanup, run, sh } from '../support/mounting.js'
import { onBlockDevice } from './block-device.js'
import { provoke, recording, until } from './rows.js'
import type { Check, Mounted, Rows } from './rows.js'

/** A row that is proved on a plain mount of the recording filesystem. */
function plain(call: string, shows: string, prove: (mount: Mounted) => Promise<void>): Check {
  return { call, shows, prove: async (t: TestContext) => await prove(await recording(t)) }
}

const listing: Check['prove'] = async (t) => {
  const { mnt, memory } = await recording(t, {}, (own) => own.without('readdirplus'))
  assert.equal(await sh(`ls ${mnt}`), 'file\n')
  const [first, second] = memory.seen('readdir')
  assert.ok(first !== undefined && first.nodeid === 1 && first.offset === 0 && first.size >= 4096)
  assert.equal(second?.offset, 1)
  assert.equal(memory.seen('readdirplus').length, 0)
}

export const operationRows: Rows<OperationName> = {
  lookup: plain('stat(2)', 'name in the directory; attributes to the caller', async ({ mnt, memory }) => {
    assert.equal(await sh(`stat -c '%s %i %F' ${mnt}/file`), '15 2 regular file\n')
    const { nodeid, name, uid } = memory.last('lookup')
    assert.deepEqual([nodeid, name, uid], [1, 'file', 0])
    assert.match((await run('stat', [`${mnt}/absent`])).stderr, /No such file/)
  }),
  forget: plain('unlink(2) of a cached file', 'nodeid and the lookups given', async ({ mnt, memory }) => {
    await sh(`stat ${mnt}/file; stat ${mnt}/file; rm ${mnt}/file`)
    await until('forget', () => memory.seen('forget').length > 0)
    const given = memory.seen('forget').find(({ nodeid }) => nodeid === 2)
    assert.equal(given?.nlookup, memory.seen('lookup').length)
  }),
  getattr: plain(
    'fstat(2) through cat(1), stat(2)',
    'nodeid, fh of the open file',
    async ({ mnt, memory }) => {
      assert.equal(await sh(`stat -c '%a %h' ${mnt}`), '755 1\n')
      assert.equal(memory.last('getattr').nodeid, 1)
      await sh(`exec 3< ${mnt}/file; stat -L -c %s /proc/self/fd/3; cat <&3`)
      assert.ok(memory.seen('getattr').some(({ nodeid }) => nodeid === 2))
    },
  ),
  setattr: plain(
    'chmod(2), chown(2), truncate(2), utimensat(2)',
    'valid bits with their fields; the new attributes',
    async ({ mnt, memory }) => {
      await sh(`cd ${mnt}; chmod 640 file; chown 12:34 file; truncate -s 3 file`)
      assert.equal(await provoke('utimens', `${mnt}/file`, -5, 123456789), '0')
      assert.equal(await sh(`stat -c '%a %u %g %s %Y' ${mnt}/file`), '640 12 34 3 -5\n')
      const [mode, owner, size, times] = memory.seen('setattr')
      assert.deepEqual([(mode?.valid ?? 0) & 1, (mode?.mode ?? 0) & 0o7777], [1, 0o640])
      assert.deepEqual([(owner?.valid ?? 0) & 6, owner?.newUid, owner?.newGid], [6, 12, 34])
      assert.ok(size !== undefined && (size.valid & 8) !== 0 && size.size === 3)
      assert.deepEqual([times?.mtime, times?.mtimensec], [-5, 123456789])
    },
  ),
  readlink: plain('readlink(2)', 'the target', async ({ mnt, memory }) => {
    await sh(`ln -s to/nowhere ${mnt}/link`)
    assert.equal(await sh(`readlink ${mnt}/link`), 'to/nowhere\n')
    assert.equal(memory.last('readlink').nodeid, 3)
  }),
  symlink: plain('symlink(2)', 'name and target; the new link', async ({ mnt, memory }) => {
    await sh(`ln -s target ${mnt}/link; test -L ${mnt}/link`)
    const { nodeid, name, target } = memory.last('symlink')
    assert.deepEqual([nodeid, name, target], [1, 'link', 'target'])
  }),
  mknod: plain('mknod(2), mkfifo(3)', 'mode, rdev, umask; type shown by stat', async ({ mnt, memory }) => {
    assert.equal(
      await sh(`umask 027; mknod ${mnt}/null c 1 3; stat -c '%F %t %T' ${mnt}/null`),
      'character special file 1 3\n',
    )
    const { name, mode, rdev, umask } = memory.last('mknod')
    assert.deepEqual([name, mode, rdev, umask], ['null', 0o020640, 0x103, 0o027])
    assert.equal(await sh(`mkfifo ${mnt}/pipe; stat -c %F ${mnt}/pipe`), 'fifo\n')
  }),
  mkdir: plain('mkdir(2)', 'mode and umask; a directory', async ({ mnt, memory }) => {
    assert.equal(await sh(`umask 077; mkdir ${mnt}/dir; stat -c '%F %a' ${mnt}/dir`), 'directory 700\n')
    const { nodeid, name, mode, umask } = memory.last('mkdir')
    assert.deepEqual([nodeid, name, mode & 0o777, umask], [1, 'dir', 0o700, 0o077])
  }),
  unlink: plain('unlink(2)', 'name; ENOENT afterwards', async ({ mnt, memory }) => {
    assert.equal(await sh(`rm ${mnt}/file; ls ${mnt}`), '')
    assert.deepEqual([memory.last('unlink').nodeid, memory.last('unlink').name], [1, 'file'])
  }),
  rmdir: plain('rmdir(2)', 'name; ENOTEMPTY to the caller', async ({ mnt, memory }) => {
    await sh(`mkdir ${mnt}/dir; touch ${mnt}/dir/x`)
    assert.match((await run('rmdir', [`${mnt}/dir`])).stderr, /not empty/)
    await sh(`rm ${mnt}/dir/x; rmdir ${mnt}/dir; test ! -e ${mnt}/dir`)
    assert.deepEqual([memory.last('rmdir').nodeid, memory.last('rmdir').name], [1, 'dir'])
  }),
  rename: plain('rename(2)', 'both names and directories', async ({ mnt, memory }) => {
    await sh(
      `mkdir ${mnt}/dir; mv ${mnt}/file ${mnt}/dir/moved; test -e ${mnt}/dir/moved; test ! -e ${mnt}/file`,
    )
    // mv(1) asks for RENAME_NOREPLACE first; Node.js and most programs do not.
    await sh(`perl -e 'rename("${mnt}/dir/moved", "${mnt}/back") or die'; cat ${mnt}/back`)
    const { nodeid, name, newdir, newname, flags } = memory.last('rename')
    assert.deepEqual([nodeid, name, newdir, newname, flags], [3, 'moved', 1, 'back', 0])
  }),
  link: plain('link(2)', 'inode, directory, name; the link count', async ({ mnt, memory }) => {
    assert.equal(await sh(`ln ${mnt}/file ${mnt}/other; stat -c '%h %i' ${mnt}/other`), '2 2\n')
    const { oldnodeid, nodeid, newname } = memory.last('link')
    assert.deepEqual([oldnodeid, nodeid, newname], [2, 1, 'other'])
  }),
  open: plain('open(2)', 'flags of open(2); fh comes back with each read', async ({ mnt, memory }) => {
    await sh(`cat ${mnt}/file; : >> ${mnt}/file`)
    const [first, second] = memory.seen('open')
    assert.equal((first?.flags ?? 3) & 3, 0)
    assert.equal((second?.flags ?? 0) & 0o2001, 0o2001)
    assert.equal(memory.last('read').fh, 1)
  }),
  read: plain('read(2)', 'offset and size; the bytes', async ({ mnt, memory }) => {
    assert.equal(await sh(`dd if=${mnt}/file bs=7 skip=1 count=1 2> /dev/null`), ' of fil')
    const { nodeid, offset, size, fh } = memory.last('read')
    assert.ok(nodeid === 2 && offset === 0 && size >= 4096 && fh === 1)
  }),
  write: plain('write(2)', 'offset, bytes; the count', async ({ mnt, memory }) => {
    await sh(`printf XYZ | dd of=${mnt}/file bs=1 seek=4 conv=notrunc 2> /dev/null`)
    assert.equal(await sh(`cat ${mnt}/file`), 'contXYZ of file')
    const { nodeid, offset, data, fh } = memory.last('write')
    assert.deepEqual([nodeid, offset, data.toString(), fh], [2, 6, 'Z', 1])
  }),
  statfs: plain('statfs(2)', 'the figures', async ({ mnt, memory }) => {
    assert.equal(await sh(`stat -f -c '%b %f %a %c %d %l %s' ${mnt}`), '1000 600 500 70 60 200 4096\n')
    assert.equal(memory.last('statfs').nodeid, 1)
  }),
  release: plain('the last close(2)', 'fh of the open, once', async ({ mnt, memory }) => {
    await sh(`exec 3< ${mnt}/file; sh -c true; exec 3<&-; cat ${mnt}/file`)
    await until('releases', () => memory.seen('release').length === 2)
    assert.deepEqual(
      memory
        .seen('release')
        .map(({ fh }) => fh)
        .toSorted((a, b) => a - b),
      [1, 2],
    )
  }),
  fsync: plain('fsync(2), fdatasync(2)', 'which of the two', async ({ mnt, memory }) => {
    assert.equal(await provoke('fsync', `${mnt}/file`), '0')
    assert.equal(await provoke('fdatasync', `${mnt}/file`), '0')
    assert.deepEqual(
      memory.seen('fsync').map(({ fdatasync, fh }) => [fdatasync, fh]),
      [
        [false, 1],
        [true, 2],
      ],
    )
  }),
  setxattr: plain('setxattr(2)', 'name, value, flags; EEXIST', async ({ mnt, memory }) => {
    assert.equal(await provoke('setxattr', `${mnt}/file`, 'user.k', 'value', 1), '0')
    assert.equal(await provoke('setxattr', `${mnt}/file`, 'user.k', 'again', 1), 'EEXIST')
    const [first] = memory.seen('setxattr')
    assert.deepEqual(
      [first?.nodeid, first?.name, first?.value.toString(), first?.flags],
      [2, 'user.k', 'value', 1],
    )
  }),
  getxattr: plain('getxattr(2)', 'name and room; size, value, ENODATA', async ({ mnt, memory }) => {
    memory.inodes.get(2)?.xattrs.set('user.k', Buffer.from('value'))
    assert.equal(await sh(`getfattr --absolute-names --only-values -n user.k ${mnt}/file`), 'value')
    assert.match((await run('getfattr', ['-n', 'user.absent', `${mnt}/file`])).stderr, /No such attribute/)
    const mine = memory.seen('getxattr').filter(({ name }) => name === 'user.k')
    assert.ok(mine.some(({ size }) => size > 0) && mine.every(({ nodeid }) => nodeid === 2))
  }),
  listxattr: plain('listxattr(2)', 'room; the names', async ({ mnt, memory }) => {
    memory.inodes.get(2)?.xattrs.set('user.a', Buffer.from('1')).set('user.b', Buffer.from('2'))
    const { stdout } = await run('getfattr', ['--absolute-names', `${mnt}/file`])
    assert.match(stdout, /user\.a\nuser\.b/)
    assert.equal(memory.last('listxattr').nodeid, 2)
  }),
  removexattr: plain('removexattr(2)', 'name; ENODATA', async ({ mnt, memory }) => {
    memory.inodes.get(2)?.xattrs.set('user.k', Buffer.from('value'))
    await sh(`setfattr -x user.k ${mnt}/file`)
    assert.match((await run('setfattr', ['-x', 'user.k', `${mnt}/file`])).stderr, /No such attribute/)
    assert.deepEqual([memory.last('removexattr').nodeid, memory.last('removexattr').name], [2, 'user.k'])
  }),
  flush: plain('close(2), once for each descriptor', 'fh and the owner of locks', async ({ mnt, memory }) => {
    await sh(`exec 3< ${mnt}/file 4<&3; exec 3<&- 4<&-`)
    await until('two of them', () => memory.seen('flush').length >= 2)
    const flushes = memory.seen('flush')
    assert.ok(flushes.every(({ fh, lockOwner, nodeid }) => fh === 1 && lockOwner !== 0n && nodeid === 2))
  }),
  init: plain('mount(2)', 'version and flags offered; session.negotiation', async ({ session }) => {
    const { kernelMinor, offered, agreed } = session.negotiation
    assert.ok(kernelMinor >= 31 && offered.has('FUSE_INIT_EXT') && agreed.has('FUSE_ASYNC_READ'))
  }),
  opendir: plain('opendir(3)', 'nodeid, flags; fh comes back', async ({ mnt, memory }) => {
    await sh(`mkdir ${mnt}/dir; ls ${mnt}/dir`)
    assert.equal(memory.last('opendir').nodeid, 3)
    assert.equal(memory.last('readdirplus').fh, 1)
  }),
  readdir: { call: 'getdents64(2)', shows: 'offset and room; the names', prove: listing },
  releasedir: plain('closedir(3)', 'fh of the opendir', async ({ mnt, memory }) => {
    await sh(`ls ${mnt}`)
    await until('releasedir', () => memory.seen('releasedir').length === 1)
    assert.deepEqual([memory.last('releasedir').nodeid, memory.last('releasedir').fh], [1, 1])
  }),
  fsyncdir: plain('fsync(2) of a directory', 'nodeid, fh', async ({ mnt, memory }) => {
    assert.equal(await provoke('fsync', mnt), '0')
    const { nodeid, fh, fdatasync } = memory.last('fsyncdir')
    assert.deepEqual([nodeid, fh, fdatasync], [1, 1, false])
  }),
  getlk: plain('fcntl(2) F_OFD_GETLK', 'range, type; the lock in the way', async ({ mnt, memory }) => {
    assert.match(await provoke('locks', `${mnt}/file`), /^in the way 5\+10 /)
    const { lk, flock, nodeid } = memory.last('getlk')
    assert.deepEqual([nodeid, lk.start, lk.end, lk.type, flock], [2, 0, 9, 0, false])
  }),
  setlk: plain('fcntl(2) F_SETLK, flock(2) LOCK_NB', 'range, owner, which kind', async ({ mnt, memory }) => {
    assert.match(await provoke('locks', `${mnt}/file`), /flock 0 refused$/)
    const [first, second, third] = memory.seen('setlk')
    assert.deepEqual([first?.lk.start, first?.lk.end, first?.lk.type, first?.flock], [5, 14, 1, false])
    assert.deepEqual([second?.flock, third?.flock], [true, true])
    assert.notEqual(second?.owner, third?.owner)
  }),
  setlkw: plain('fcntl(2) F_SETLKW', 'a range to the end of the file', async ({ mnt, memory }) => {
    await provoke('locks', `${mnt}/file`)
    const { lk, flock } = memory.last('setlkw')
    assert.deepEqual([lk.start, lk.end, lk.type, flock], [100, Infinity, 1, false])
  }),
  access: plain('access(2)', 'mask; EACCES', async ({ mnt, memory }) => {
    assert.equal(await provoke('access', `${mnt}/file`, 6), '0')
    assert.deepEqual([memory.last('access').nodeid, memory.last('access').mask], [2, 6])
    await sh(`chmod 444 ${mnt}/file`)
    assert.equal(await provoke('access', `${mnt}/file`, 2), 'EACCES')
  }),
  create: plain('open(2) O_CREAT', 'name, mode, umask, flags; an open file', async ({ mnt, memory }) => {
    await sh(`umask 002; printf new > ${mnt}/new; cat ${mnt}/new`)
    const { nodeid, name, mode, umask, flags } = memory.last('create')
    assert.deepEqual([nodeid, name, mode & 0o777, umask, flags & 3], [1, 'new', 0o664, 0o002, 1])
  }),
  interrupt: {
    call: 'kill(2) of a caller that waits',
    shows: 'which request; its signal aborts, the caller is gone',
    prove: async (t) => {
      let reason: unknown
      const { mnt, session } = await recording(
        t,
        {},
        {
          read: ({ signal }) =>
            new Promise((_, fail) => {
              signal.addEventListener('abort', () => fail((reason = signal.reason) as Error))
            }),
          open: () => ({ openFlags: 1 }),
        },
      )
      const cat = spawn('cat', [`${mnt}/file`])
      cleanup(t, () => cat.kill('SIGKILL'))
      await until('blocked', () => session.stats().inFlight === 1)
      cat.kill('SIGKILL')
      await once(cat, 'exit', { signal: AbortSignal.timeout(5000) })
      assert.equal((reason as NodeJS.ErrnoException).code, 'EINTR')
    },
  },
  bmap: {
    call: 'ioctl(2) FIBMAP on a fuseblk mount',
    shows: 'block and its size; the number on the device',
    prove: async (t) => {
      const { mnt, memory } = await onBlockDevice(t)
      assert.equal(await provoke('fibmap', `${mnt}/file`, 3), '1003')
      const { nodeid, block, blocksize } = memory.last('bmap')
      assert.deepEqual([nodeid, block, blocksize], [2, 3, 4096])
    },
  },
  destroy: {
    call: 'umount(2) of a fuseblk mount',
    shows: 'answered; umount(2) returns and the session ends',
    prove: async (t) => {
      const { mnt, session } = await onBlockDevice(t)
      await sh(`umount ${mnt}`)
      await session.closed
    },
  },
  ioctl: plain('ioctl(2)', 'cmd, bytes in; bytes out and the result', async ({ mnt, memory }) => {
    assert.equal(await provoke('ioctl', `${mnt}/file`), '7 87654321')
    const { cmd, data, inSize, outSize, fh } = memory.last('ioctl')
    assert.deepEqual([cmd >>> 0, data.toString(), inSize, outSize, fh], [0xc0086401, '12345678', 8, 8, 1])
  }),
  poll: plain('poll(2)', 'events, kh; POLLIN once it is notified', async ({ mnt, memory, session }) => {
    const waiting = provoke('poll', `${mnt}/file`)
    await until('poll', () => memory.pollers.length > 0)
    const { nodeid, events, scheduleNotify } = memory.last('poll')
    assert.ok(nodeid === 2 && (events & 1) === 1 && scheduleNotify)
    memory.readable = true
    for (const kh of memory.pollers) await session.notify.pollWakeup(kh)
    assert.equal(await waiting, '1 POLLIN')
  }),
  notifyReply: plain('NOTIFY_RETRIEVE', 'cached bytes come back', async ({ mnt, session }) => {
    await sh(`cat ${mnt}/file`)
    assert.equal((await session.notify.retrieve(2, 8, 100)).toString(), 'of file')
  }),
  batchForget: {
    call: 'the kernel drops a tree of cached names',
    shows: 'nodeid and lookups of each inode',
    prove: async (t) => {
      const { mnt, memory, session } = await recording(t)
      memory.valid = 3600
      for (let i = 0; i < 300; i++) memory.put(`dir/file${i}`)
      await sh(`stat ${mnt}/dir/* | wc -l`)
      await session.notify.invalEntry(1, 'dir')
      await until('forgets', () => memory.seen('forget').length >= 300)
      assert.ok(memory.seen('forget').every(({ nodeid, nlookup }) => nodeid > 2 && nlookup >= 1))
    },
  },
  fallocate: plain('fallocate(2)', 'mode, offset, length; size and zeros', async ({ mnt, memory }) => {
    assert.equal(await provoke('fallocate', `${mnt}/file`, 0, 10, 20), '0')
    assert.equal(await provoke('fallocate', `${mnt}/file`, 3, 0, 4), '0')
    assert.equal(await provoke('fallocate', `${mnt}/file`, 16, 8, 2), '0')
    assert.equal(await sh(`tr '\\0' . < ${mnt}/file`), `....ent .. file${'.'.repeat(15)}`)
    const asked = memory.seen('fallocate').map(({ mode, offset, length }) => [mode, offset, length])
    assert.deepEqual(asked, [
      [0, 10, 20],
      [3, 0, 4],
      [16, 8, 2],
    ])
  }),
  readdirplus: plain('getdents64(2)', 'entries with attributes, no lookups', async ({ mnt, memory }) => {
    memory.valid = 10
    assert.match(await sh(`ls -l ${mnt}`), /15 .* file/)
    assert.deepEqual([memory.last('readdirplus').nodeid, memory.seen('lookup').length], [1, 0])
  }),
  rename2: plain('renameat2(2)', 'RENAME_NOREPLACE and RENAME_EXCHANGE', async ({ mnt, memory }) => {
    await sh(`echo other > ${mnt}/other`)
    assert.equal(await provoke('rename', `${mnt}/file`, `${mnt}/other`, 2), '0')
    assert.equal(await sh(`cat ${mnt}/other; cat ${mnt}/file`), 'content of fileother\n')
    assert.equal(await provoke('rename', `${mnt}/file`, `${mnt}/third`, 1), '0')
    assert.equal(await provoke('rename', `${mnt}/third`, `${mnt}/other`, 1), 'EEXIST')
    assert.deepEqual(
      memory.seen('rename').map(({ name, flags }) => [name, flags]),
      [
        ['file', 2],
        ['file', 1],
      ],
    )
  }),
  lseek: plain(
    'lseek(2) SEEK_DATA, SEEK_HOLE',
    'offset, whence; where it is, ENXIO',
    async ({ mnt, memory }) => {
      await sh(`truncate -s 30 ${mnt}/file`)
      assert.equal(await provoke('seek-hole', `${mnt}/file`, 2), '15')
      assert.equal(await provoke('seek-data', `${mnt}/file`, 20), 'ENXIO')
      assert.deepEqual(
        memory.seen('lseek').map(({ offset, whence }) => [offset, whence]),
        [
          [2, 4],
          [20, 3],
        ],
      )
    },
  ),
  copyFileRange: {
    call: 'copy_file_range(2), after ENOSYS to the 64-bit form',
    shows: 'both files, offsets, length; the count',
    prove: async (t) => {
      let first = true
      const { mnt, memory } = await recording(t, {}, (own) => {
        const { copyFileRange, ...rest } = own.filesystem()
        return {
          ...rest,
          copyFileRange: (request) => (first ? ((first = false), ENOSYS) : copyFileRange!(request)),
        }
      })
      await copies(mnt)
      const { offIn, offOut, len, nodeidOut } = memory.last('copyFileRange')
      assert.deepEqual([offIn, offOut, len, nodeidOut], [8, 2, 7, 3])
    },
  },
  setupmapping: { cannot: 'sent for DAX only, which exists on virtiofs alone' },
  removemapping: { cannot: 'sent for DAX only, which exists on virtiofs alone' },
  syncfs: {
    call: 'syncfs(2) on a fuseblk mount',
    shows: 'nodeid of the root; success',
    prove: async (t) => {
      const { mnt, memory } = await onBlockDevice(t)
      assert.equal(await provoke('syncfs', mnt), '0')
      assert.equal(memory.last('syncfs').nodeid, 1)
    },
  },
  tmpfile: plain(
    'open(2) O_TMPFILE',
    'directory, mode; an open file without a name',
    async ({ mnt, memory }) => {
      assert.equal(await provoke('tmpfile', mnt), 'secret nlink 0')
      const { nodeid, mode } = memory.last('tmpfile')
      assert.deepEqual([nodeid, mode & 0o777, await sh(`ls ${mnt}`)], [1, 0o644, 'file\n'])
    },
  ),
  statx: plain('statx(2) with STATX_BTIME', 'mask; the time of birth', async ({ mnt, memory }) => {
    assert.equal(await provoke('statx', `${mnt}/file`), 'btime 987654321.5 size 15 mask btime')
    const { nodeid, sxMask } = memory.last('statx')
    assert.ok(nodeid === 2 && (sxMask & 0x800) !== 0)
  }),
  copyFileRange64: plain(
    'copy_file_range(2)',
    'both files, offsets, length; the count',
    async ({ mnt, memory }) => {
      await copies(mnt)
      const { offIn, offOut, len, nodeidOut } = memory.last('copyFileRange')
      assert.deepEqual([offIn, offOut, len, nodeidOut], [8, 2, 7, 3])
    },
  ),
  cuseInit: existsSync('/dev/cuse')
    ? {
        call: 'open(2) of /dev/cuse',
        shows: 'the device that was asked for is there',
        async prove() {
          await using device = await cuse(`devfuse-matrix-${process.pid}`, {})
          assert.equal(await sh(`stat -c %F ${device.path}`), 'character special file\n')
        },
      }
    : {
        cannot:
          'sent on /dev/cuse alone, which this kernel lacks (CONFIG_CUSE); proved on another by scripts/test-vm.sh',
      },
}

async function copies(mnt: string): Promise<void> {
  await sh(`printf 0123456789 > ${mnt}/to`)
  assert.equal(await provoke('copy', `${mnt}/file`, `${mnt}/to`, 8, 2, 7), '7')
  assert.equal(await sh(`cat ${mnt}/to`), '01of file9')
}
