// Rows of the INIT flags about names, owners, handles and the connection: each is proved by what differs with and without.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { ENOSYS, mount as mountFilesystem } from 'devfuse'
import type { InitFlagName } from '#dist/protocol/index.js'
import type { Closed, SessionOptions } from 'devfuse'
import { abortMount, cleanup, compiled, run, sh, temporary } from '../support/mounting.js'
import { readMountInfo } from '#dist/device/mountinfo.js'
import { cacheFlagRows } from './cache-flags.js'
import { noRing, turnRingOn } from '../support/ring.js'
import { extensionsOf } from './memory.js'
import { provoke, provokeAs, recording, until } from './rows.js'
import type { Cannot, Check, Mounted, Rows } from './rows.js'

const ENODEV = -19
const ECONNABORTED = -103

/** A row that compares a mount with the flag to one without it. */
function compared(
  call: string,
  shows: string,
  flag: InitFlagName,
  prove: (mount: Mounted, agreed: boolean, t: TestContext) => Promise<void>,
  options: SessionOptions = {},
): Check {
  return {
    call,
    shows,
    prove: async (t) => {
      const wanted = await recording(t, { ...options, want: [...(options.want ?? []), flag] })
      assert.ok(wanted.session.negotiation.agreed.has(flag))
      await prove(wanted, true, t)
      await prove(await recording(t, { ...options, refuse: [flag] }), false, t)
    },
  }
}

/** A flag that nothing can come of: wishing for it fails with the reason, before or instead of a mount. */
function refused(call: string, shows: string, flag: InitFlagName, reason: RegExp): Check {
  return {
    call,
    shows,
    refusal: true,
    prove: async (t) => {
      const mnt = temporary(t)
      await assert.rejects(mountFilesystem(mnt, {}, { want: [flag] }), reason)
      assert.equal(
        readMountInfo().some(({ mountPoint }) => mountPoint === mnt),
        false,
      )
    },
  }
}

/** Opens a file by its handle after the kernel has forgotten it. */
async function byHandle(t: TestContext, { mnt, memory, session }: Mounted, path: string): Promise<string> {
  const child = spawn(compiled('test/kernel/provoke.c'), ['handle', `${mnt}/${path}`, mnt])
  cleanup(t, () => child.kill('SIGKILL'))
  const [first] = (await once(child.stdout, 'data')) as [Buffer]
  if (first.toString() !== 'named\n') return first.toString().trim()
  const forgotten = memory.seen('forget').length
  await session.notify.invalEntry(1, path.split('/')[0] ?? '')
  await until('forgotten', () => memory.seen('forget').length > forgotten)
  const second = once(child.stdout, 'data') as Promise<[Buffer]>
  child.stdin.write('go\n')
  return (await second)[0].toString().trim()
}

const idmapOptions: SessionOptions = { defaultPermissions: true, allowOther: true, dev: true }
const everybody: SessionOptions = { allowOther: true }

const VIRTIOFS = 'offered with DAX, on virtiofs alone: the wish is refused with the reason'

const nameAndOwnerRows = {
  FUSE_MAP_ALIGNMENT: refused('mount(2)', VIRTIOFS, 'FUSE_MAP_ALIGNMENT', /cannot be had: DAX/),
  FUSE_HAS_INODE_DAX: refused('mount(2)', VIRTIOFS, 'FUSE_HAS_INODE_DAX', /cannot be had: DAX/),
  FUSE_POSIX_LOCKS: compared(
    'fcntl(2) F_SETLK',
    'SETLK; kept in the kernel without',
    'FUSE_POSIX_LOCKS',
    async ({ mnt, memory }, agreed) => {
      assert.match(await provoke('locks', `${mnt}/file`), /^in the way 5\+10/)
      assert.equal(
        memory.seen('setlk').some(({ flock }) => !flock),
        agreed,
      )
    },
  ),
  FUSE_FLOCK_LOCKS: compared(
    'flock(2)',
    'SETLK with `flock`; kept in the kernel without',
    'FUSE_FLOCK_LOCKS',
    async ({ mnt, memory }, agreed) => {
      assert.match(await provoke('locks', `${mnt}/file`), /refused$/)
      assert.equal(
        memory.seen('setlk').some(({ flock }) => flock),
        agreed,
      )
    },
  ),
  FUSE_FILE_OPS: refused(
    'mount(2)',
    'no kernel offers it: the wish fails by name',
    'FUSE_FILE_OPS',
    /does not offer FUSE_FILE_OPS/,
  ),
  FUSE_ATOMIC_O_TRUNC: compared(
    'open(2) O_TRUNC',
    'OPEN carries it; a SETATTR comes without',
    'FUSE_ATOMIC_O_TRUNC',
    async ({ mnt, memory }, agreed) => {
      await sh(`printf short > ${mnt}/file; cat ${mnt}/file | grep -x short`)
      assert.equal(
        memory.seen('open').some(({ flags }) => (flags & 0o1000) !== 0),
        agreed,
      )
      assert.equal(
        memory.seen('setattr').some(({ valid, size }) => (valid & 8) !== 0 && size === 0),
        !agreed,
      )
    },
  ),
  FUSE_EXPORT_SUPPORT: compared(
    'open_by_handle_at(2)',
    'LOOKUP of `.` and `..`; ESTALE without',
    'FUSE_EXPORT_SUPPORT',
    async (mount, agreed, t) => {
      mount.memory.valid = 3600
      mount.memory.put('dir/sub/inner', 'by handle')
      assert.equal(await byHandle(t, mount, 'dir/sub/inner'), agreed ? 'by handle' : 'ESTALE')
      assert.equal(await byHandle(t, mount, 'dir/sub'), agreed ? 'a directory' : 'ESTALE')
      const names = mount.memory.seen('lookup').map(({ name }) => name)
      assert.deepEqual([names.includes('.'), names.includes('..')], [agreed, agreed])
    },
  ),
  FUSE_NO_EXPORT_SUPPORT: compared(
    'name_to_handle_at(2)',
    'EOPNOTSUPP; a handle without',
    'FUSE_NO_EXPORT_SUPPORT',
    async (mount, agreed, t) => {
      mount.memory.valid = 3600
      assert.equal(await byHandle(t, mount, 'file'), agreed ? 'EOPNOTSUPP' : 'ESTALE')
    },
  ),
  FUSE_DONT_MASK: compared(
    'mkdir(2)',
    'mode before the umask; after it without',
    'FUSE_DONT_MASK',
    async ({ mnt, memory }, agreed) => {
      await sh(`umask 027; mkdir ${mnt}/dir; printf x > ${mnt}/new`)
      assert.deepEqual(
        [memory.last('mkdir').mode & 0o777, memory.last('mkdir').umask],
        [agreed ? 0o777 : 0o750, 0o027],
      )
      assert.equal(memory.last('create').mode & 0o777, agreed ? 0o666 : 0o640)
    },
  ),
  FUSE_HAS_IOCTL_DIR: {
    call: 'ioctl(2) of a directory',
    shows: 'IOCTL with FUSE_IOCTL_DIR',
    prove: async (t) => {
      const { mnt, memory } = await recording(t)
      assert.equal(await provoke('ioctl', mnt), '7 87654321')
      assert.deepEqual([memory.last('ioctl').nodeid, memory.last('ioctl').flags & 16], [1, 16])
    },
  },
  FUSE_DO_READDIRPLUS: {
    call: 'getdents64(2)',
    shows: 'READDIRPLUS; READDIR without',
    prove: async (t) => {
      const ls = async (options: SessionOptions): Promise<number[]> => {
        const { mnt, memory } = await recording(t, options)
        assert.equal(await sh(`ls ${mnt}`), 'file\n')
        return [memory.seen('readdirplus').length, memory.seen('readdir').length]
      }
      assert.deepEqual(await ls({ refuse: ['FUSE_READDIRPLUS_AUTO'] }), [2, 0])
      assert.deepEqual(await ls({ refuse: ['FUSE_DO_READDIRPLUS'] }), [0, 2])
    },
  },
  FUSE_READDIRPLUS_AUTO: compared(
    'getdents64(2) of a long directory',
    'READDIRPLUS first, then READDIR; only READDIRPLUS without',
    'FUSE_READDIRPLUS_AUTO',
    async ({ mnt, memory }, agreed) => {
      for (let i = 0; i < 3000; i++) memory.put(`many/name${i}`)
      assert.equal((await sh(`ls -f ${mnt}/many | grep -c name`)).trim(), '3000')
      assert.ok(memory.seen('readdirplus').length > 0)
      assert.equal(memory.seen('readdir').length > 0, agreed)
    },
  ),
  FUSE_NO_OPEN_SUPPORT: withoutOpen('open', 'two open(2)', (mnt) => `cat ${mnt}/file; cat ${mnt}/file`),
  FUSE_NO_OPENDIR_SUPPORT: withoutOpen('opendir', 'two opendir(3)', (mnt) => `ls ${mnt}; ls ${mnt}`),
  FUSE_HANDLE_KILLPRIV: compared(
    'chown(2) of a setuid file',
    'SETATTR leaves the mode to the server; carries it without',
    'FUSE_HANDLE_KILLPRIV',
    async ({ mnt, memory }, agreed) => {
      memory.put('suid', 'x', 0o104755)
      await sh(`chown 5 ${mnt}/suid`)
      assert.equal((memory.last('setattr').valid & 1) === 0, agreed)
    },
  ),
  FUSE_HANDLE_KILLPRIV_V2: compared(
    'truncate(2), open(2) O_TRUNC, O_CREAT, write(2) by a user',
    '`killSuidgid` reaches setattr, open, create, write',
    'FUSE_HANDLE_KILLPRIV_V2',
    async ({ mnt, memory }, agreed) => {
      memory.put('suid', 'text', 0o106777)
      memory.inodes.root.mode = 0o040777
      assert.equal(await provokeAs(1000, 'truncate', `${mnt}/suid`, 2), '0')
      assert.equal(memory.last('setattr').killSuidgid, agreed, 'setattr')
      assert.equal(await provokeAs(1000, 'write', `${mnt}/suid`, 1, 10), 'ok')
      assert.equal(memory.last('write').killSuidgid, agreed, 'write')
      assert.equal(await provokeAs(1000, 'create-truncate', `${mnt}/suid`), 'ok')
      assert.equal(memory.last('open').killSuidgid, agreed, 'open')
      assert.equal(await provokeAs(1000, 'create-truncate', `${mnt}/brand-new`), 'ok')
      assert.equal(memory.last('create').killSuidgid, agreed, 'create')
      // Nobody who keeps the bits by right loses them.
      assert.equal(await provoke('write', `${mnt}/suid`, 1, 10), 'ok')
      assert.equal(memory.last('write').killSuidgid, false)
    },
    { want: ['FUSE_ATOMIC_O_TRUNC'], ...everybody },
  ),
  FUSE_POSIX_ACL: compared(
    'setxattr(2) of an access list, open(2) by a user',
    'the list is kept by the server and obeyed by the kernel; not obeyed without',
    'FUSE_POSIX_ACL',
    async ({ mnt, memory }, agreed) => {
      await sh(`chmod 600 ${mnt}/file`)
      const read = async (uid: number): Promise<number> =>
        (await run('cat', [`${mnt}/file`], { uid, gid: uid })).code
      assert.equal(await provoke('acl', `${mnt}/file`), '0')
      assert.equal(memory.last('setxattr').name, 'system.posix_acl_access')
      memory.inodes.get(2)!.mode = 0o100640
      assert.deepEqual([await read(1000), await read(1001)], agreed ? [0, 1] : [0, 0])
    },
    everybody,
  ),
  FUSE_SETXATTR_EXT: compared(
    'setxattr(2) of an access list by an owner outside the group',
    '`aclKillSgid`; never without',
    'FUSE_SETXATTR_EXT',
    async ({ mnt, memory }, agreed) => {
      Object.assign(memory.inodes.get(2)!, { uid: 1000, gid: 77, mode: 0o102755 })
      assert.equal(await provokeAs(1000, 'acl', `${mnt}/file`), '0')
      assert.equal(memory.last('setxattr').aclKillSgid, agreed)
    },
    { want: ['FUSE_POSIX_ACL'], ...everybody },
  ),
  FUSE_SECURITY_CTX: compared(
    'mkdir(2), open(2) O_CREAT',
    '`extensions.secctx`, empty without a security module that has contexts; absent without',
    'FUSE_SECURITY_CTX',
    async ({ mnt, memory }, agreed) => {
      await sh(`mkdir ${mnt}/dir; printf x > ${mnt}/new; ln -s a ${mnt}/link; mkfifo ${mnt}/pipe`)
      const requests = [
        memory.last('mkdir'),
        memory.last('create'),
        memory.last('symlink'),
        memory.last('mknod'),
      ]
      for (const request of requests) assert.equal(Array.isArray(extensionsOf(request)?.secctx), agreed)
    },
  ),
  FUSE_CREATE_SUPP_GROUP: compared(
    'mkdir(2) in a directory of a supplementary group',
    '`extensions.groups` names it; absent without',
    'FUSE_CREATE_SUPP_GROUP',
    async ({ mnt, memory }, agreed) => {
      Object.assign(memory.put('team', '', 0o040777), { gid: 4242 })
      await sh(`setpriv --reuid=1000 --regid=1000 --groups=4242,99 mkdir ${mnt}/team/dir`)
      assert.deepEqual(extensionsOf(memory.last('mkdir'))?.groups, agreed ? [4242] : undefined)
    },
    everybody,
  ),
  FUSE_ALLOW_IDMAP: {
    call: 'mount_setattr(2) MOUNT_ATTR_IDMAP, mkdir(2)',
    shows: 'the owner as mapped; EINVAL without',
    prove: async (t) => {
      const { mnt, memory } = await recording(t, { ...idmapOptions, want: ['FUSE_ALLOW_IDMAP'] })
      Object.assign(memory.inodes.root, { mode: 0o040777, uid: 1000, gid: 1000 })
      assert.equal(await provoke('idmap', mnt, 'mapped'), 'owner 0')
      assert.deepEqual([memory.last('mkdir').uid, memory.last('mkdir').gid], [1000, 1000])
      assert.equal(await sh(`stat -c %u ${mnt}/mapped`), '1000\n')
      const plain = await recording(t, idmapOptions)
      assert.equal(await provoke('idmap', plain.mnt, 'mapped'), 'EINVAL')
    },
  },
} satisfies Record<string, Check>

function withoutOpen(method: 'open' | 'opendir', call: string, script: (mnt: string) => string): Check {
  return {
    call,
    shows: 'after one ENOSYS none is sent any more, nor a release',
    prove: async (t) => {
      const { mnt, memory, session } = await recording(t, {}, { [method]: () => ENOSYS })
      assert.ok(
        session.negotiation.offered.has(
          method === 'open' ? 'FUSE_NO_OPEN_SUPPORT' : 'FUSE_NO_OPENDIR_SUPPORT',
        ),
      )
      await sh(script(mnt))
      assert.equal(memory.seen(method).length, 1)
      assert.equal(memory.seen(method === 'open' ? 'release' : 'releasedir').length, 0)
    },
  }
}

/** How a session ends whose connection is aborted. */
async function aborted(t: TestContext, options: SessionOptions): Promise<Closed> {
  const { session, mnt } = await recording(t, options)
  abortMount(mnt)
  return session.closed
}

const connectionRows = {
  FUSE_ABORT_ERROR: {
    call: 'abort below /sys/fs/fuse/connections',
    shows: "closed: 'aborted' with ECONNABORTED; with ENODEV without",
    prove: async (t) => {
      assert.deepEqual(await aborted(t, {}), { reason: 'aborted', errno: ECONNABORTED })
      assert.deepEqual(await aborted(t, { refuse: ['FUSE_ABORT_ERROR'] }), {
        reason: 'aborted',
        errno: ENODEV,
      })
    },
  },
  FUSE_SUBMOUNTS: { cannot: 'offered on virtiofs alone; on /dev/fuse FUSE_ATTR_SUBMOUNT has no effect' },
  FUSE_INIT_EXT: compared(
    'mount(2)',
    'flags above bit 31 count; none is agreed without',
    'FUSE_INIT_EXT',
    async ({ session, mnt }, agreed) => {
      assert.equal(session.negotiation.agreed.has('FUSE_HAS_EXPIRE_ONLY'), agreed)
      assert.equal(session.negotiation.agreed.has('FUSE_PASSTHROUGH'), agreed)
      await sh(`cat ${mnt}/file`)
    },
  ),
  FUSE_INIT_RESERVED: refused(
    'mount(2)',
    'never set by any kernel: the wish is refused',
    'FUSE_INIT_RESERVED',
    /FUSE_INIT_RESERVED cannot be had: the bit is reserved/,
  ),
  FUSE_HAS_EXPIRE_ONLY: compared(
    'stat(2) of a name in use',
    'looked up again, its user undisturbed; refused without',
    'FUSE_HAS_EXPIRE_ONLY',
    async ({ mnt, memory, session }, agreed) => {
      memory.valid = 3600
      await sh(`stat ${mnt}/file`)
      if (!agreed) {
        await assert.rejects(session.notify.expireEntry(1, 'file'), /FUSE_HAS_EXPIRE_ONLY/)
        return
      }
      assert.equal(await session.notify.expireEntry(1, 'file'), true)
      await sh(`stat ${mnt}/file`)
      assert.equal(memory.seen('lookup').length, 2)
    },
  ),
  FUSE_HAS_RESEND: {
    call: 'read(2) that waits, NOTIFY_RESEND',
    shows: '`resent` is set the second time',
    prove: async (t) => {
      const marks: boolean[] = []
      const { mnt, session } = await recording(
        t,
        {},
        {
          open: () => ({ openFlags: 1 }),
          read: ({ resent, offset }) => {
            marks.push(resent)
            return resent || offset > 0 ? Buffer.from(offset > 0 ? '' : 'x') : new Promise(() => undefined)
          },
        },
      )
      assert.ok(session.negotiation.agreed.has('FUSE_HAS_RESEND'))
      const cat = run('cat', [`${mnt}/file`])
      await until('read', () => marks.length === 1)
      await session.notify.resend()
      assert.equal((await cat).stdout, 'x')
      assert.deepEqual(marks.slice(0, 2), [false, true])
    },
  },
  FUSE_OVER_IO_URING: {
    call: "cat(1), with transport: 'ring'",
    shows: 'requests come through io_uring, the device brings INIT and FORGET',
    prove: async (t) => {
      if (noRing !== false) return t.skip(noRing)
      await turnRingOn(t)
      const { mnt, session } = await recording(t, { transport: 'ring' })
      assert.ok(session.negotiation.agreed.has('FUSE_OVER_IO_URING'))
      assert.equal((await run('cat', [`${mnt}/file`])).stdout, 'content of file')
      const { transport, device } = session.stats()
      assert.equal(transport, 'ring')
      assert.equal(device['deviceRequests'], 1)
      assert.ok((device['requests'] ?? 0) > 4)
      await assert.rejects(
        mountFilesystem(temporary(t), {}, { want: ['FUSE_OVER_IO_URING'] }),
        /transport: 'ring'/,
      )
    },
  },
  FUSE_REQUEST_TIMEOUT: {
    call: 'read(2) that is never answered',
    shows: 'the kernel ends the connection after the time (in steps of 15 s)',
    prove: async (t) => {
      const { mnt, session } = await recording(
        t,
        { requestTimeout: 1 },
        {
          open: () => ({ openFlags: 1 }),
          read: () => new Promise(() => undefined),
        },
      )
      assert.equal(session.negotiation.requestTimeout, 1)
      const { code } = await run('cat', [`${mnt}/file`], { timeout: 50_000 })
      assert.notEqual(code, 0)
      // Kernel: ABORT_ERROR is for fusectl only, this end reads as ENODEV.
      assert.deepEqual(await session.closed, { reason: 'aborted', errno: ENODEV })
    },
  },
} satisfies Record<string, Check | Cannot>

export const flagRows: Rows<InitFlagName> = { ...nameAndOwnerRows, ...connectionRows, ...cacheFlagRows }
