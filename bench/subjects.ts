// Owns what is compared: a native directory, our own servers in each mode, and the peers, each with the command that mounts it.
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { attempt, installed } from './child.js'

/** The parts of the benchmark; a subject takes part in some of them. */
export type Chapter = 'trips' | 'calls' | 'data' | 'trees' | 'programs' | 'life'

export const chapters: readonly Chapter[] = ['trips', 'calls', 'data', 'trees', 'programs', 'life']

export interface Subject {
  name: string
  /** Absent for the native directory. `{src}`, `{mnt}` and `{loop}` (the program built from loop.c) stand for paths. */
  command?: string[]
  env?: Record<string, string>
  chapters: readonly Chapter[]
  /** Speaks FUSE over io_uring, which the kernel must allow. */
  ring: boolean
  peer: boolean
  /** Mounts nothing and ends by itself: what starting costs without a filesystem. */
  program?: boolean
}

export const projectRoot = resolve(import.meta.dirname, '../..')

const node = process.execPath
const mirrorServer = join(projectRoot, 'build/bench/servers/mirror.js')
const helloServer = join(projectRoot, 'build/bench/servers/hello.js')
const longTimes = { entryValid: 86_400, attrValid: 86_400 }

// A mode is one row: its name, the options of mountMirror() or mount(), and where it says something that others do not.
const mirrorModes: [name: string, options: object, chapters: Chapter[]][] = [
  ['mirror', {}, [...chapters]],
  ['mirror ring', { transport: 'ring' }, ['trips', 'calls', 'trees', 'life']],
  ['mirror workers', { workers: 'auto' }, ['trips', 'calls']],
  ['mirror ring workers', { transport: 'ring', workers: 'auto' }, ['trips']],
  ['mirror served', { passthrough: 'off' }, ['data']],
  ['mirror ring served', { passthrough: 'off', transport: 'ring' }, ['data']],
  ['mirror long', { cache: longTimes }, ['calls', 'trees', 'programs']],
  ['mirror strong', { cache: 'strong' }, ['trees', 'programs']],
]

const helloModes: [name: string, options: object, chapters: Chapter[]][] = [
  ['hello', {}, ['trips', 'life']],
  ['hello ring', { transport: 'ring' }, ['trips', 'life']],
  ['hello workers', { workers: 'auto' }, ['trips', 'life']],
  ['hello ring workers', { transport: 'ring', workers: 'auto' }, ['trips', 'life']],
]

function own(
  name: string,
  command: string[],
  within: readonly Chapter[],
  more: Partial<Subject> = {},
): Subject {
  return { name, command, chapters: within, ring: false, peer: false, ...more }
}

/** The native directory, our servers, and the two yardsticks: the C loop for a round trip, `node -e 0` for starting. */
export function ownSubjects(): Subject[] {
  const cli = join(projectRoot, 'dist/cli/main.js')
  return [
    // A request is what `trips` measure, and here is none.
    { name: 'native', chapters: ['calls', 'data', 'trees', 'programs'], ring: false, peer: false },
    ...mirrorModes.map(([name, options, within]) =>
      own(name, [node, mirrorServer, '{src}', '{mnt}', JSON.stringify(options)], within, {
        ring: 'transport' in options,
      }),
    ),
    ...helloModes.map(([name, options, within]) =>
      own(name, [node, helloServer, '{mnt}', JSON.stringify(options)], within, {
        ring: 'transport' in options,
      }),
    ),
    own('C loop', ['{loop}', '{mnt}'], ['trips']),
    own('devfuse mirror', [node, cli, 'mirror', '{src}', '{mnt}'], ['life']),
    own('node -e 0', [node, '-e', '0'], ['life'], { program: true }),
  ]
}

const peerKeys = ['name', 'command', 'chapters', 'env', 'ring']

/**
 * Peers described by a JSON file, or by every `*.json` of a directory:
 * `{ "name": …, "command": [program, …, "{src}", "{mnt}"] }`, and where they differ from the default `"chapters"` (all), `"env"`
 * and `"ring"`. The program must stay in the foreground.
 */
export function readPeers(path: string): Subject[] {
  if (!statSync(path).isDirectory()) return [readPeer(path)]
  const files = readdirSync(path).filter((name) => name.endsWith('.json'))
  return files.toSorted().map((name) => readPeer(join(path, name)))
}

function readPeer(file: string): Subject {
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof value !== 'object' || value === null) throw new Error(`${file}: an object is expected`)
  const unknown = Object.keys(value).find((key) => !peerKeys.includes(key))
  if (unknown !== undefined)
    throw new Error(`${file}: unknown key "${unknown}"; the keys are ${peerKeys.join(', ')}`)
  const {
    name,
    command,
    chapters: within = chapters,
    env = {},
    ring = false,
  } = value as Record<string, unknown>
  if (typeof name !== 'string') throw new Error(`${file}: "name" must be a string`)
  if (!isStrings(command) || command.length === 0)
    throw new Error(`${file}: "command" must be a list of strings`)
  const wrong = isStrings(within) ? within.find((chapter) => !chapters.includes(chapter as Chapter)) : within
  if (wrong !== undefined) {
    throw new Error(`${file}: "chapters" must be a list of some of ${chapters.join(', ')}`)
  }
  if (typeof env !== 'object' || env === null || !isStrings(Object.values(env))) {
    throw new Error(`${file}: "env" must be an object of strings`)
  }
  if (typeof ring !== 'boolean') throw new Error(`${file}: "ring" must be true or false`)
  return {
    name,
    command,
    chapters: within as Chapter[],
    env: env as Record<string, string>,
    ring,
    peer: true,
  }
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((word) => typeof word === 'string')
}

const debianExample = '/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c'

/** Peers that are installed: Debian's bindfs, mergerfs and the example of libfuse3-dev (built into `directory`), and fuse-native. */
export async function foundPeers(directory: string, npm: string): Promise<Subject[]> {
  const peers: Subject[] = []
  const add = (name: string, command: string[]) => peers.push(own(name, command, chapters, { peer: true }))
  if (existsSync(debianExample)) {
    const program = join(directory, 'passthrough_ll')
    const build = `cc -O2 -w ${debianExample} -o ${program} $(pkg-config --cflags --libs fuse3)`
    const version = (await attempt(['pkg-config', '--modversion', 'fuse3'])).stdout.trim()
    if ((await attempt(['sh', '-c', build])).status === 0) {
      add(`libfuse ${version} passthrough_ll`, [program, '-f', '-o', 'source={src}', '{mnt}'])
    }
  }
  if (await installed('bindfs')) add('bindfs', ['bindfs', '-f', '{src}', '{mnt}'])
  if (await installed('mergerfs')) add('mergerfs', ['mergerfs', '-f', '{src}', '{mnt}'])
  const byPath = join(projectRoot, 'build/bench/servers/by-path.js')
  const fuseNative = resolve(npm, 'node_modules/fuse-native')
  if (existsSync(fuseNative)) {
    add('fuse-native', [node, byPath, fuseNative, '{src}', '{mnt}'])
    peers.push(own('compat/fuse-native', [node, byPath, 'devfuse', '{src}', '{mnt}'], chapters))
  }
  return peers
}
