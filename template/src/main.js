// Mounts the filesystem until Ctrl-C: npm start [-- MOUNTPOINT]
import { mkdirSync } from 'node:fs'
import { mountFs } from 'devfuse/fs'
import { createFilesystem } from './filesystem.js'

const mountPoint = process.argv[2] ?? 'mnt'
mkdirSync(mountPoint, { recursive: true })
const session = await mountFs(createFilesystem(), mountPoint)
console.log(`mounted; in another terminal: ls ${session.mountPoint}`)
await session.closed
