// Mounts of type fuseblk on a loop device: what only those are asked (BMAP, DESTROY, SYNCFS).
import type { TestContext } from 'node:test'
import { cleanup, sh, temporary } from '../support/mounting.js'
import { recording } from './rows.js'
import type { Mounted } from './rows.js'

/** The recording filesystem, mounted on a loop device of its own. */
export async function onBlockDevice(t: TestContext): Promise<Mounted> {
  const folder = temporary(t)
  const image = `${folder}/image`
  const device = (await sh(`truncate -s 1M ${image}; losetup -f --show ${image}`)).trim()
  cleanup(t, () => sh(`losetup -d ${device}`))
  return await recording(t, { blockDevice: device, blksize: 512 })
}
