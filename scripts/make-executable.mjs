// tsc writes plain files: the command has to be executable to be run by its path.
import { chmodSync } from 'node:fs'

chmodSync(new URL('../dist/cli/main.js', import.meta.url), 0o755)
