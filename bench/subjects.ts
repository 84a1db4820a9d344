// Owns what is compared: a native directory, our own servers and the peers, each with the command that mounts it.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { attempt, installed } from './child.js'

export interface Subject {
  name: string
  /** Absent for the native directory. `{src}` and `{mnt}` stand for the directories. */
  command?: string[]
  /** The tree behind it is the source directory; otherwise only calls that need no file of ours make sense. */
  mirrors: boolean
  peer: boolean
}

export const projectRoot = resolve(import.meta.dirname, '../..')

const node = process.execPath

export function ownSubjects(): Subject[] {
  return [
    { name: 'native', mirrors: true, peer: false },
    {
      name: 'mirror',
      command: [node, join(projectRoot, 'dist/cli/main.js'), 'mirror', '{src}', '{mnt}'],
      mirrors: true,
      peer: false,
    },
    {
      name: 'hello',
      command: [node, join(projectRoot, 'build/bench/hello-server.js'), '{mnt}'],
      mirrors: false,
      peer: false,
    },
  ]
}

/** A peer described by a JSON file: `{ "name": …, "command": [program, …, "{src}", "{mnt}"] }`; it must stay in the foreground. */
export function readPeer(file: string): Subject {
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof value !== 'object' || value === null) throw new Error(`${file}: an object is expected`)
  const { name, command } = value as { name?: unknown; command?: unknown }
  if (typeof name !== 'string') throw new Error(`${file}: "name" must be a string`)
  if (!Array.isArray(command) || command.length === 0 || !command.every((word) => typeof word === 'string')) {
    throw new Error(`${file}: "command" must be a list of strings`)
  }
  return { name, command, mirrors: true, peer: true }
}

const debianExample = '/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c'

/** Peers that Debian has: the passthrough_ll example of libfuse3-dev, built into `directory`, and bindfs. */
export async function debianPeers(directory: string): Promise<Subject[]> {
  const peers: Subject[] = []
  if (existsSync(debianExample)) {
    const program = join(directory, 'passthrough_ll')
    const build = `cc -O2 -w ${debianExample} -o ${program} $(pkg-config --cflags --libs fuse3)`
    const version = (await attempt(['pkg-config', '--modversion', 'fuse3'])).stdout.trim()
    if ((await attempt(['sh', '-c', build])).status === 0) {
      const command = [program, '-f', '-o', 'source={src}', '{mnt}']
      peers.push({ name: `libfuse ${version} passthrough_ll`, command, mirrors: true, peer: true })
    }
  }
  if (await installed('bindfs')) {
    peers.push({ name: 'bindfs', command: ['bindfs', '-f', '{src}', '{mnt}'], mirrors: true, peer: true })
  }
  return peers
}
