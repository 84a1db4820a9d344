// Who uses a mount in these tests: a process that runs the shared cases, and ordinary programs.
import { spawn } from 'node:child_process'
import type { TestContext } from 'node:test'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { sh } from '../support/mounting.js'
import { cases } from './shared-cases.js'

/** Runs the shared cases from another process, each as a subtest. */
export async function runCases(t: TestContext, mnt: string): Promise<void> {
  const runner = join(import.meta.dirname, 'case-runner.js')
  const child = spawn('timeout', ['-s', 'KILL', '40', process.execPath, runner, mnt], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const outcomes = new Map<string, string | undefined>()
  for await (const line of createInterface({ input: child.stdout })) {
    const { name, error } = JSON.parse(line) as { name: string; error?: string }
    outcomes.set(name, error)
  }
  for (const name of Object.keys(cases)) {
    await t.test(name, () => {
      if (!outcomes.has(name)) throw new Error('the case did not end')
      const error = outcomes.get(name)
      if (error !== undefined) throw new Error(error)
    })
  }
}

const GIT = 'git -c user.name=T -c user.email=t@example.org -c init.defaultBranch=main -c gc.auto=0'

/** A small tree of every kind that `cp -a` keeps. */
const MAKE_TREE = `
  mkdir -p "$SRC"/tree/sub/deep "$SRC"/tree/empty
  for i in 1 2 3 4 5 6 7 8; do echo "line $i of many" > "$SRC"/tree/sub/file$i; done
  head -c 300000 /dev/urandom > "$SRC"/tree/random
  : > "$SRC"/tree/nothing
  echo '#!/bin/sh' > "$SRC"/tree/script; chmod 755 "$SRC"/tree/script
  echo secret > "$SRC"/tree/sub/deep/secret; chmod 600 "$SRC"/tree/sub/deep/secret
  ln -s ../script "$SRC"/tree/sub/link
  touch -d '2001-02-03 04:05:06' "$SRC"/tree/nothing "$SRC"/tree/script`

/** What is compared of two trees: names, types, modes, sizes, times in seconds, targets of symlinks. */
const SHOW = `find . -mindepth 1 \\( -type d -printf '%y %m %P\\n' \\) -o \\( -type l -printf '%y %P %l\\n' \\) -o -printf '%y %m %s %Ts %P\\n' | LC_ALL=C sort`

export const programs: Record<string, string> = {
  'cp -a, find, diff': `
    cp -a "$SRC"/tree "$MNT"/copy
    (cd "$SRC"/tree && ${SHOW}) > "$SRC"/wanted; (cd "$MNT"/copy && ${SHOW}) > "$SRC"/found
    diff "$SRC"/wanted "$SRC"/found
    diff -r --no-dereference "$SRC"/tree "$MNT"/copy`,
  'grep -r': `test "$(grep -rl 'line [35]' "$MNT"/copy | wc -l)" = 2`,
  tar: `
    tar -C "$MNT" -cf "$SRC"/copy.tar copy; mkdir "$MNT"/untarred "$SRC"/untarred
    tar -C "$MNT"/untarred -xf "$SRC"/copy.tar; tar -C "$SRC"/untarred -xf "$SRC"/copy.tar
    (cd "$MNT"/untarred && ${SHOW}) > "$SRC"/found; (cd "$SRC"/untarred && ${SHOW}) > "$SRC"/wanted
    diff "$SRC"/wanted "$SRC"/found
    diff -r --no-dereference "$SRC"/tree "$MNT"/untarred/copy`,
  'mv of directories and files': `
    mv "$MNT"/untarred "$MNT"/moved; mv "$MNT"/moved/copy/random "$MNT"/random
    cmp "$SRC"/tree/random "$MNT"/random; test ! -e "$MNT"/untarred
    mv -T "$MNT"/moved/copy "$MNT"/elsewhere; test -x "$MNT"/elsewhere/script`,
  'dd at positions': `
    dd if="$SRC"/tree/random of="$MNT"/random bs=1000 skip=7 seek=11 count=13 conv=notrunc status=none
    cp "$SRC"/tree/random "$SRC"/random
    dd if="$SRC"/tree/random of="$SRC"/random bs=1000 skip=7 seek=11 count=13 conv=notrunc status=none
    cmp "$SRC"/random "$MNT"/random`,
  'sed -i': `sed -i 's/line/row/' "$MNT"/elsewhere/sub/file3; test "$(cat "$MNT"/elsewhere/sub/file3)" = 'row 3 of many'`,
  'a descriptor that outlives its file': `
    exec 3<> "$MNT"/elsewhere/sub/file4; rm "$MNT"/elsewhere/sub/file4
    printf LINE >&3; cat /proc/self/fd/3 > /dev/null || true; exec 3>&-`,
  git: `
    cd "$MNT"/elsewhere; export HOME="$SRC" GIT_CONFIG_NOSYSTEM=1
    ${GIT} init -q; ${GIT} add .; ${GIT} commit -qm one
    echo more >> sub/file1; ${GIT} mv sub/file2 sub/renamed; ${GIT} commit -qam two
    ${GIT} fsck --strict --full 2>&1; test -z "$(${GIT} status --porcelain)"
    ${GIT} checkout -q HEAD~1; test -e sub/file2; ${GIT} checkout -q main; test -e sub/renamed`,
  'rm -rf': `cd "$SRC"; rm -rf "$MNT"/copy "$MNT"/elsewhere "$MNT"/moved "$MNT"/random; test ! -e "$MNT"/copy`,
}

/** Runs ordinary programs on a mount, one subtest each; `src` is an empty directory elsewhere. */
export async function runPrograms(t: TestContext, mnt: string, src: string): Promise<void> {
  const env = { ...process.env, MNT: mnt, SRC: src }
  await sh(MAKE_TREE, { env })
  for (const [name, script] of Object.entries(programs))
    await t.test(name, async () => void (await sh(script, { env, timeout: 20_000 })))
}
