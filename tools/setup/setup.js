/**
 * Makes a fresh clone usable with Node and npm alone: installs the pinned pnpm's lock file, then (--build) builds what changed.
 * With --update-lock the lock file follows the package.json files, as when there is a new package.
 * Plain JavaScript, because it runs before anything is installed.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const stampDir = join(root, 'node_modules/.holdfast');
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`holdfast needs Node 20.19 or later; this is ${process.version}`);
  process.exit(1);
}

const lock = process.argv.includes('--update-lock') ? '--no-frozen-lockfile' : '--frozen-lockfile';
once('install', installInputs, () => pnpm(['install', lock, '--reporter=append-only']));
if (process.argv.includes('--build')) {
  once('build', buildInputs, () => pnpm(['exec', 'turbo', 'run', 'build', '--output-logs=errors-only', '--ui=stream']));
}

/** Run a step unless its inputs are those of the last time that it succeeded. */
function once(name, inputs, step) {
  const stamp = join(stampDir, name);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs()) return;
  console.error(`holdfast: ${name}…`);
  step();
  mkdirSync(stampDir, { recursive: true });
  writeFileSync(stamp, inputs());
}

function installInputs() {
  const hash = createHash('sha256').update(process.version).update(readFileSync(join(root, 'pnpm-lock.yaml')));
  for (const folder of workspaceFolders()) hash.update(readFileSync(join(folder, 'package.json')));
  return hash.digest('hex');
}

/** Names, sizes and times of all sources: cheap enough to look at before every start. */
function buildInputs() {
  const hash = createHash('sha256');
  for (const folder of workspaceFolders()) {
    const src = join(folder, 'src');
    if (!existsSync(src)) continue;
    hash.update(String(existsSync(join(folder, 'dist'))));
    const settings = readdirSync(folder).filter((name) => /\.(json|js)$/.test(name));
    for (const entry of [...settings, ...readdirSync(src, { recursive: true }).map((name) => join('src', name))].sort()) {
      const { size, mtimeMs } = statSync(join(folder, entry));
      hash.update(`${entry} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

function workspaceFolders() {
  return ['packages', 'tools']
    .flatMap((area) => readdirSync(join(root, area)).sort().map((name) => join(root, area, name)))
    .filter((folder) => existsSync(join(folder, 'package.json')));
}

function pnpm(args) {
  const [name, version] = packageManager.split('@');
  const have = spawnSync(name, ['--version'], { encoding: 'utf8', shell: process.platform === 'win32' });
  const direct = have.status === 0 && have.stdout.trim() === version;
  const [command, prefix] = direct ? [name, []] : ['npx', ['--yes', packageManager]];
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', COREPACK_ENABLE_DOWNLOAD_PROMPT: '0' };
  const result = spawnSync(command, [...prefix, ...args], { cwd: root, stdio: ['ignore', 2, 2], env, shell: process.platform === 'win32' });
  if (result.status !== 0) {
    console.error(`holdfast: '${packageManager} ${args.join(' ')}' failed`);
    process.exit(result.status ?? 1);
  }
}
