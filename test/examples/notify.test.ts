// The examples about notifications, each against a real mount: what a caller sees with them, and without.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { run, sh, skip } from '../support/mounting.js'
import { example } from './example.js'

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await condition()) return
    await delay(50)
  }
  assert.fail(`still not so: ${what}`)
}

const names = async (mnt: string): Promise<string> => (await sh(`ls ${mnt}`)).trim()
const isThere = async (path: string): Promise<boolean> => (await run('stat', [path])).code === 0

/** Whether it is so in one of five tries: whatever else drops the kernel's caches on this machine may be in the way. */
async function inOneOfFive(isSo: () => Promise<boolean>): Promise<boolean> {
  for (let i = 0; i < 5; i++) if (await isSo()) return true
  return false
}

describe('examples/notify-inval-entry', { skip, timeout: 60_000 }, () => {
  for (const how of ['inval', 'expire'] as const) {
    it(`makes the old name go away, by ${how}`, async (t) => {
      const { mnt } = await example(t, 'notify-inval-entry', '1000', how)
      let old = await names(mnt)
      for (let i = 0; i < 20 && !(await isThere(`${mnt}/${old}`)); i++) old = await names(mnt)
      await until(async () => !(await isThere(`${mnt}/${old}`)), `${old} is gone`)
      assert.notEqual(await names(mnt), old)
    })
  }

  it('leaves it in the cache without notifying', async (t) => {
    const { mnt } = await example(t, 'notify-inval-entry', '1000', 'silent')
    const stays = async (): Promise<boolean> => {
      let old = await names(mnt)
      for (let i = 0; i < 20 && !(await isThere(`${mnt}/${old}`)); i++) old = await names(mnt)
      await until(async () => (await names(mnt)) !== old, 'the name has changed')
      return await isThere(`${mnt}/${old}`)
    }
    assert.ok(await inOneOfFive(stays))
  })
})

describe('examples/notify-inval-inode', { skip, timeout: 60_000 }, () => {
  for (const how of ['inval', 'store'] as const) {
    it(`makes new content seen, by ${how}`, async (t) => {
      const { mnt } = await example(t, 'notify-inval-inode', '300', how)
      const old = await sh(`cat ${mnt}/time`)
      assert.match(old, /^\d{4}-\d\d-\d\dT/)
      await until(async () => (await sh(`cat ${mnt}/time`)) !== old, 'new content')
    })
  }

  it('leaves it in the cache without notifying', async (t) => {
    const { mnt } = await example(t, 'notify-inval-inode', '100', 'silent')
    const stays = async (): Promise<boolean> => {
      const old = await sh(`cat ${mnt}/time`)
      await delay(500)
      return (await sh(`cat ${mnt}/time`)) === old
    }
    assert.ok(await inOneOfFive(stays))
  })
})

describe('examples/notify-store-retrieve', { skip, timeout: 60_000 }, () => {
  it('pushes content that is never asked for, and finds it again', async (t) => {
    const { mnt, output } = await example(t, 'notify-store-retrieve', '100')
    await sh(`stat ${mnt}/time`)
    await until(() => output().includes('stored and retrieved'), 'something is stored')
    const seen = new Set<string>()
    for (let i = 0; i < 10; i++) {
      seen.add(await sh(`cat ${mnt}/time`))
      await delay(100)
    }
    assert.ok(seen.size > 3, `${seen.size} different contents`)
    assert.match(output(), /equal; READ requests: 0/)
    assert.doesNotMatch(output(), /different|READ requests: [1-9]/)
  })
})

describe('examples/notify-prune', { skip, timeout: 60_000 }, () => {
  it('makes the kernel forget names that nobody uses', async (t) => {
    const { mnt, output } = await example(t, 'notify-prune', '200', '100')
    // Again and again: whatever else drops the kernel's caches on this machine takes the names away, too.
    const ask = 'for i in $(seq 500); do test -e name$i; done'
    await sh(`cd ${mnt} && exec 3< used && for again in 1 2 3 4 5 6 7 8; do ${ask}; sleep 0.3; done; cat <&3`)
    const counts = (): number[] =>
      [...output().matchAll(/remembers (\d+) names/g)].map(([, count]) => Number(count))
    await until(() => counts().some((count) => count > 100), 'many names')
    await until(() => (counts().at(-1) ?? 0) <= 100, 'few names')
    assert.doesNotMatch(output(), /Error/)
  })
})
