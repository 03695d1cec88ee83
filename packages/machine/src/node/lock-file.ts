/**
 * One opener at a time: a file beside the image, made with O_EXCL, that names its process.
 *
 * A lock whose process is gone is stale and is taken over, so that a killed simulator leaves nothing to clean up. A process is known
 * by its pid and, where /proc tells it, its start time: pids come around again.
 */
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { KernelError } from '@holdfast/lib';
import { hostErrno, hostError } from './host-error.js';

/** How long writing a lock may take. */
const EMPTY_LOCK_MS = 1000;

/** Take the lock of an image, and return the function that gives it up. @throws KernelError EBUSY while another opener lives. */
export function lockImage(path: string): () => void {
  const lock = `${path}.lock`;
  const self = identify(process.pid);
  for (let tries = 0; ; tries++) {
    if (create(lock, self, path)) return () => rmSync(lock, { force: true });
    const holder = readLock(lock);
    if (holder === undefined) continue; // given up in between
    const [pid = ''] = holder.split(' ');
    if (isLive(lock, holder, pid) || tries > 2) {
      const who = pid === String(process.pid) ? 'this process' : `process ${pid}`;
      throw new KernelError('EBUSY', `image ${path}: in use by ${who} (${lock})`);
    }
    takeAway(lock, holder);
  }
}

function create(lock: string, self: string, path: string): boolean {
  try {
    const fd = openSync(lock, 'wx');
    writeSync(fd, self);
    closeSync(fd);
    return true;
  } catch (error) {
    if (hostErrno(error) === 'EEXIST') return false;
    throw hostError(path, `making the lock file ${lock}`, error);
  }
}

function readLock(lock: string): string | undefined {
  try {
    return readFileSync(lock, 'utf8');
  } catch {
    return undefined;
  }
}

/** An empty lock is being written, unless it is old: then its maker was killed in the middle. */
function isLive(lock: string, holder: string, pid: string): boolean {
  if (holder !== '') return identify(Number(pid)) === holder;
  return (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0) > Date.now() - EMPTY_LOCK_MS;
}

/** Remove a stale lock, unless somebody else has replaced it since it was read: renaming tells which one was removed. */
function takeAway(lock: string, stale: string): void {
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
    if (readLock(aside) === stale) rmSync(aside);
    else renameSync(aside, lock);
  } catch {
    // Another opener was faster; the next try finds its lock.
  }
}

/** `pid start-time` of a live process, else the empty string. */
function identify(pid: number): string {
  if (!Number.isInteger(pid) || pid <= 0) return '';
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (hostErrno(error) === 'ESRCH') return '';
  }
  return `${pid} ${startTime(pid)}`;
}

/** Field 22 of /proc/PID/stat (proc(5)); it is counted from the end of the command, which may hold spaces. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
