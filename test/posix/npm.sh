#!/bin/bash
# npm install of common packages, a tsc run, a vite build and the results at work; then the same in a plain directory, offline from
# the cache that npm wrote to the filesystem: both trees must be alike.
#   npm.sh memory|mirror-auto|mirror-on|mirror-off|native
# PACKAGES are what is installed (default: express, typescript, vite, eslint and webpack).
. "$(dirname "$0")/serve.sh"
. "$here/cases.sh"
filesystem=${1:?the filesystem is missing}
need npm=npm diff=diffutils
mount_filesystem "$filesystem"
mkdir "$mnt/npm"
read -ra packages <<<"${PACKAGES:-express@5.1.0 typescript@5.6.3 vite@5.4.11 eslint@9.17.0 webpack@5.97.1 @types/express@5.0.0 @types/node@20.17.10}"
export place=$mnt/npm plain=$work/plain npm_config_audit=false npm_config_fund=false npm_config_loglevel=error npm_config_update_notifier=false
# A lock file without the places of the packages cannot be installed offline.
export npm_config_omit_lockfile_registry_resolved=false

app() {
  mkdir -p "$1/src"
  cat >"$1/package.json" <<<'{ "name": "app", "version": "1.0.0", "type": "module", "private": true }'
  cat >"$1/tsconfig.json" <<'JSON'
{ "compilerOptions": { "module": "nodenext", "target": "es2022", "strict": true, "skipLibCheck": true, "types": ["node"],
  "outDir": "out", "sourceMap": true, "declaration": true, "incremental": true }, "files": ["src/main.ts"] }
JSON
  cat >"$1/src/main.ts" <<'TS'
import express from 'express'
import type { UserConfig } from 'vite'
const app = express()
app.get('/', (_request, response) => { response.send('hello') })
export const config: UserConfig = { root: '.' }
console.log(typeof app.listen, config.root)
TS
  cat >"$1/src/page.js" <<<'import text from "./text.js"; document.body.textContent = text'
  cat >"$1/src/text.js" <<<'export default "a page"'
  cat >"$1/index.html" <<<'<!doctype html><html><body><script type="module" src="/src/page.js"></script></body></html>'
}

app "$place/app"
app "$plain"
npm_case() { expect 300 "$1" bash -euc -o pipefail "cd \"\$place/app\"; $2"; }

# What the network does is no filesystem's fault, and is tried again.
export complaints=$work/complaints
expect 600 install bash -euc -o pipefail 'cd "$place/app"
  tries=0
  until npm install --cache="$place/cache" "$@" 2>&1 | tee "$complaints"; do
    tries=$((tries + 1))
    test $tries -lt 4
    grep -E "npm error (code (ETIMEDOUT|ECONN|EAI_AGAIN|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|E429|E5|ERR_SOCKET)|network)" "$complaints"
    sleep $((tries * 5))
  done
  find node_modules -type f | wc -l >&3' - "${packages[@]}"
npm_case ls 'npm ls --all'
npm_case cache 'npm cache verify --cache="$place/cache"'
npm_case tsc 'node_modules/.bin/tsc --project .; cat out/* | sha256sum >&3'
npm_case run 'test "$(node out/main.js)" = "function ."'
npm_case vite 'node_modules/.bin/vite build; test -s dist/index.html; grep -q "a page" dist/assets/*.js'
if [ -z "${PACKAGES:-}" ]; then
  npm_case eslint 'node_modules/.bin/eslint --no-config-lookup --rule "no-undef: error" --global document src/*.js'
  npm_case webpack 'node -e "require(\"webpack\")({ mode: \"production\", context: process.cwd(), entry: \"./src/page.js\", output: { path: process.cwd() + \"/packed\" } },
    (error, stats) => { if (error || stats.hasErrors()) { console.error(error ?? stats.toString()); process.exit(1) } })"
    grep -q "a page" packed/main.js'
fi
# The reference: what the same lock file makes of a plain directory.
npm_case reference '
  cp package.json package-lock.json "$plain"
  cp -r "$place/cache" "$plain.cache"
  cd "$plain"
  npm install --offline --cache="$plain.cache"
  node_modules/.bin/tsc --project .
  node_modules/.bin/vite build'
same='diff -r --no-dereference --exclude=.vite --exclude=.cache --exclude=.package-lock.json node_modules "$plain/node_modules"'
npm_case same-packages "$same"
npm_case same-output 'diff -r out "$plain/out"; diff -r dist "$plain/dist"'
npm_case reinstall "rm -r node_modules; npm install --offline --cache=\"\$place/cache\"; $same"
npm_case removal 'cd ..; rm -r app cache; test -z "$(ls -A)"'
finish npm "$filesystem"
