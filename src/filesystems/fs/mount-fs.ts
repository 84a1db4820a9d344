// mountFs: from an object to a mount.
import { OptionError, mount } from '../../index.js'
import type { Session, SessionOptions } from '../../index.js'
import { typeOf } from './attributes.js'
import { NOBODY, filesystemOver } from './filesystem.js'
import { splitOptions } from './options.js'
import type { FsOptions } from './options.js'
import type { PathFilesystem } from './path-filesystem.js'
import { S_IFDIR } from '../../syscalls/index.js'
import { recognise } from './recognise.js'
import { statMethod } from './stat-method.js'
import { requireDirectory } from '../mount-point.js'

/** An object of any kind that {@link recognise} knows. */
export type AnyFilesystem = object

/**
 * Mounts an object that is a filesystem of some kind: anything with methods of `node:fs` or `node:fs/promises` or a part of
 * them, or a {@link PathFilesystem} of your own. What it is is told by what it has.
 *
 * Throws an `OptionError` where the object is of no known kind or an option can't work, and what `mount` throws.
 */
export async function mountFs(
  fsLike: (PathFilesystem & object) | AnyFilesystem,
  mountPoint: string,
  options: FsOptions = {},
): Promise<Session> {
  const { path, shape: shapeOptions, session } = splitOptions(options)
  const { fs, shape } = recognise(fsLike, shapeOptions)
  await requireDirectory(mountPoint)
  await fs.init?.()
  try {
    if (shapeOptions.root !== undefined) await checkRoot(fs, shapeOptions.root)
    const filesystem = filesystemOver(fs, path, true)
    const { prefer = [], ...mountOptions } = filesystem.mountOptions
    return await mount(mountPoint, filesystem, {
      fsName: shape.replaceAll(/[\s,]+/g, '-'),
      subtype: 'fs',
      ...mountOptions,
      ...(isRootsAlone(session) && { defaultPermissions: false }),
      ...session,
      prefer: [...prefer, ...(session.prefer ?? [])],
    })
  } catch (error) {
    try {
      await fs.destroy?.()
    } catch {
      // Why there is no mount says more than why it could not be cleared up after it.
    }
    throw error
  }
}

/** A root that is not there would look like an empty directory. */
async function checkRoot(fs: PathFilesystem, root: string): Promise<void> {
  const stats = await Promise.resolve()
    .then(() => statMethod(fs)('/', NOBODY))
    .catch((error: unknown) => {
      throw new OptionError(`option \`root\` can't be ${root}: ${(error as Error).message}`, {
        cause: error,
      })
    })
  // Where directories are no more than what keys begin with, the first file makes it.
  const canCome = fs.mkdir === undefined && fs.writeFile !== undefined
  if (stats === undefined || stats === null ? !canCome : typeOf(stats) !== S_IFDIR)
    throw new OptionError(`option \`root\` can't be ${root}: the object has no such directory`)
}

/**
 * Whether nobody but root gets at the mount, who may do everything. Kernel: with default_permissions it asks for the attributes of every
 * directory on the way, each time that they are out of date, only to find that out.
 */
function isRootsAlone({ access = 'owner', ...options }: SessionOptions): boolean {
  const others = options.allowOther || options.allowRoot || options.owner !== undefined || access !== 'owner'
  // Words for the kernel may say anything.
  return process.geteuid?.() === 0 && !others && options.options === undefined
}
