// rsync through a mirror, there and back, with hard links, ACLs and extended attributes: afterwards nothing is left to do.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { missing, run } from './command.js'
import { place, unfit } from './mounted.js'
import { makeTree } from './tree.js'

const skip = missing('rsync', 'setfattr', 'setfacl') || unfit()

test('rsync -aHAX there and back reports nothing to do', { skip, timeout: 300_000 }, async (t) => {
  const here = place(t, 'rsync')
  const tree = here.path('tree')
  makeTree(tree, { directories: 40, filesEach: 30, variety: true })
  await run(['setfattr', '-n', 'user.note', '-v', 'kept', `${tree}/d0/dir-0/file-5.txt`])
  await run(['setfattr', '-n', 'trusted.secret', '-v', 'kept too', `${tree}/d0/dir-0/file-6.txt`])
  await run(['setfacl', '-m', 'u:12345:rw,g:54321:r', `${tree}/d0/dir-0/file-7.txt`])
  await run(['setfacl', '-m', 'd:u:12345:rwx', `${tree}/d0/dir-0/empty`])
  await run(['mkfifo', `${tree}/pipe`])
  await run(['mknod', `${tree}/null`, 'c', '1', '3'])
  await run(['truncate', '-s', '1G', `${tree}/sparse`])
  await run(['chown', '1234:4321', `${tree}/d1/dir-1/file-8.txt`])

  const { mnt } = await here.mirror()
  const sync = async (from: string, to: string, ...options: string[]) =>
    (await run(['rsync', '-aHAXS', '--numeric-ids', ...options, `${from}/`, `${to}/`], { timeout: 180_000 }))
      .stdout
  const compare = (from: string, to: string) =>
    sync(from, to, '--checksum', '--dry-run', '--delete', '--itemize-changes')

  await sync(tree, `${mnt}/copy`)
  assert.equal(await compare(tree, `${mnt}/copy`), '', 'there')
  await sync(`${mnt}/copy`, here.path('back'))
  assert.equal(await compare(`${mnt}/copy`, here.path('back')), '', 'back')
  assert.equal(await compare(tree, here.path('back')), '', 'both ways')
  const { stdout } = await run(['du', '-k', `${mnt}/copy/sparse`])
  assert.ok(Number.parseInt(stdout, 10) < 1024, `the sparse file takes ${stdout}`)
})
