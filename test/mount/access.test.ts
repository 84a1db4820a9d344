// Who may use a mount: the access list of the session, with three users, and what it must not break.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { mount } from 'devfuse'
import type { Filesystem, SessionOptions } from 'devfuse'
import { dropDentries, mounted, run, sh, skip, temporary } from '../support/mounting.js'
import { as, attrOf, mountAt, oneFile, until } from '../support/server.js'

const owner = 1001
const stranger = 1002
const users = { root: 0, owner, stranger }
const OWNED: SessionOptions = { owner: { uid: owner, gid: owner } }

/** What each user gets: `yes`, or the words of ls and cat. */
async function verdicts(mnt: string): Promise<Record<string, string>> {
  const list: Record<string, string> = {}
  for (const [name, id] of Object.entries(users)) {
    const commands = [
      `cat ${mnt}/file`,
      `ls ${mnt}`,
      `stat ${mnt}/file`,
      `stat -f ${mnt}`,
      `echo > ${mnt}/new`,
    ]
    const results = await Promise.all(
      commands.map((command) => run('setpriv', [...as(id).slice(1), 'sh', '-c', command], { timeout: 5000 })),
    )
    const [read, listed, stated] = results as [(typeof results)[0], (typeof results)[0], (typeof results)[0]]
    const good = read.stdout === 'hello\n' && listed.stdout === 'file\n' && stated.code === 0
    const denied = [read, listed, stated].every(({ stderr }) => /Permission denied/.test(stderr))
    list[name] = good ? 'yes' : denied ? 'no' : results.map(({ stderr }) => stderr).join()
  }
  return list
}

describe('access', { skip, timeout: 60_000 }, () => {
  const cases: [SessionOptions, Record<keyof typeof users, string>][] = [
    [{ ...OWNED }, { root: 'no', owner: 'yes', stranger: 'no' }],
    [
      { ...OWNED, allowRoot: true },
      { root: 'yes', owner: 'yes', stranger: 'no' },
    ],
    [
      { ...OWNED, access: 'rootAndOwner' },
      { root: 'yes', owner: 'yes', stranger: 'no' },
    ],
    [
      { ...OWNED, allowOther: true },
      { root: 'yes', owner: 'yes', stranger: 'yes' },
    ],
    [
      { ...OWNED, access: 'all' },
      { root: 'yes', owner: 'yes', stranger: 'yes' },
    ],
    [
      { ...OWNED, access: 'owner' },
      { root: 'no', owner: 'yes', stranger: 'no' },
    ],
    [
      { ...OWNED, access: 'owner', allowOther: true },
      { root: 'no', owner: 'yes', stranger: 'no' },
    ],
    [
      { access: 'owner', allowOther: true },
      { root: 'yes', owner: 'no', stranger: 'no' },
    ],
  ]
  for (const [options, expected] of cases) {
    it(`${JSON.stringify(options)}: ${JSON.stringify(expected)}`, async (t) => {
      const { mnt } = await mounted(t, oneFile, options)
      assert.deepEqual(await verdicts(mnt), expected)
      t.diagnostic(`${JSON.stringify(options)} let in: ${JSON.stringify(expected)}`)
    })
  }

  it('asks the filesystem nothing for whoever is refused, with or without methods', async (t) => {
    const seen: number[] = []
    const note =
      <Request extends { uid: number }, Result>(answer: (request: Request) => Result) =>
      (request: Request): Result => {
        seen.push(request.uid)
        return answer(request)
      }
    const { mnt } = await mounted(
      t,
      {
        lookup: note(oneFile.lookup!),
        getattr: note(oneFile.getattr!),
        readdir: oneFile.readdir!,
        read: oneFile.read!,
      },
      { ...OWNED, allowRoot: true },
    )
    assert.equal((await verdicts(mnt))['stranger'], 'no')
    assert.deepEqual(
      [...new Set(seen)].toSorted((a, b) => a - b),
      [0, owner],
    )
  })

  it('lets whoever holds an open file use it: reads, late writes, the last close', async (t) => {
    let text = Buffer.from('hello\n')
    const closed: string[] = []
    const written: string[] = []
    const filesystem: Filesystem = {
      ...oneFile,
      lookup: ({ name }) => (name === 'file' ? { nodeid: 2, attr: attrOf(2, { size: text.length }) } : -2),
      getattr: ({ nodeid }) => ({ attr: attrOf(nodeid, nodeid === 2 ? { size: text.length } : {}) }),
      setattr: ({ nodeid }) => ({ attr: attrOf(nodeid, { size: text.length }) }),
      read: ({ offset, size }) => text.subarray(offset, offset + size),
      write: ({ data, offset }) => {
        written.push(data.toString())
        text = Buffer.concat([text.subarray(0, offset), data])
        return data.byteLength
      },
      flush: () => undefined,
      fsync: () => undefined,
      release: () => {
        closed.push('release')
      },
      forget: () => {
        closed.push('forget')
      },
    }
    const { mnt } = await mounted(t, filesystem, {
      ...OWNED,
      allowRoot: true,
      want: ['FUSE_WRITEBACK_CACHE'],
      passthrough: 'off',
    })
    const stranged = as(stranger).join(' ')
    assert.equal(
      await sh(`exec 3<${mnt}/file; exec ${stranged} sh -c 'read -r line <&3; echo "$line"'`),
      'hello\n',
    )
    await sh(`exec 3>>${mnt}/file; exec ${stranged} sh -c 'echo more >&3; :'`)
    assert.ok(await until(() => closed.filter((word) => word === 'release').length === 2), closed.join())
    assert.ok(await until(() => written.join('').includes('more')), written.join())
    assert.match(text.toString(), /^hello\nmore\n$/)
    await dropDentries(mnt)
    assert.ok(await until(() => closed.includes('forget')), closed.join())
    assert.match((await run('setpriv', [...as(stranger).slice(1), 'cat', `${mnt}/file`])).stderr, /denied/)
    t.diagnostic(
      'a stranger used files that root had opened; write-back, release and forget passed; a new open did not',
    )
  })

  it('cannot be had together with idmapped mounts, where requests say nobody’s id', async (t) => {
    const mnt = temporary(t)
    await assert.rejects(
      mount(mnt, oneFile, { allowRoot: true, defaultPermissions: true, want: ['FUSE_ALLOW_IDMAP'] }),
      /FUSE_ALLOW_IDMAP hides who calls/,
    )
    assert.equal(mountAt(mnt), undefined)
  })
})
