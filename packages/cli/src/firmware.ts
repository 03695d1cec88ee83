/**
 * Reads a firmware description: a directory (`e820.txt`, and where there are any `SRAT`, `SLIT`, `NFIT`, `dimms.json`, `cmdline`),
 * or a single file, which is then the `e820.txt`. That file may be a whole dmesg, which then tells more than the map.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type E820Firmware, parseE820Text } from '@holdfast/e820';
import type { Firmware, FirmwareDimm, KernelConfig } from '@holdfast/kernel';
import { KernelError, parseRelease } from '@holdfast/lib';
import { createConfigArea } from '@holdfast/nvdimm';
import { stripLogPrefix } from './facts/boot-log.js';
import { sratOfLog } from './srat-of-log.js';

export interface LoadedFirmware {
  readonly firmware: Firmware;
  /** What the description says the kernel was given; undefined if it does not. */
  readonly cmdline: string | undefined;
  /** The `Linux version` of a dmesg. */
  readonly release: string | undefined;
  /** Whether the machine is a guest, where a dmesg tells. */
  readonly hypervisor: boolean | undefined;
  /** How the kernel of a dmesg was built, as far as its log shows. */
  readonly config: KernelConfig;
}

const GUEST = /^Hypervisor detected|^DMI: (?:QEMU|VMware|innotek|Xen|Google|Amazon EC2|Red Hat KVM|OpenStack|Microsoft Corporation Virtual|Bochs)|paravirtualized kernel on KVM/i;

/** @throws KernelError ENOENT and the like, or EINVAL with file, line and what was expected. */
export function loadFirmware(path: string): LoadedFirmware {
  if (!existsSync(path)) throw new KernelError('ENOENT', `${path}: No such file or directory`);
  const isDirectory = statSync(path).isDirectory();
  const e820Path = isDirectory ? join(path, 'e820.txt') : path;
  const e820 = readText(e820Path);
  const told = parseMap(e820, e820Path);
  const file = (name: string): Uint8Array | undefined => (isDirectory && existsSync(join(path, name)) ? readBytes(join(path, name)) : undefined);
  const [srat, slit, nfit] = [file('SRAT') ?? sratOfLog(e820), file('SLIT'), file('NFIT')];
  const dimms = isDirectory && existsSync(join(path, 'dimms.json')) ? readDimms(join(path, 'dimms.json')) : undefined;
  const cmdline = isDirectory && existsSync(join(path, 'cmdline')) ? readText(join(path, 'cmdline')).trim() : told.cmdline;
  const lines = e820.split('\n').map(stripLogPrefix);
  const tellsWhere = lines.some((line) => line.startsWith('DMI: '));
  return {
    firmware: {
      e820,
      ...(srat ? { srat } : {}),
      ...(slit ? { slit } : {}),
      ...(nfit ? { nfit } : {}),
      ...(dimms ? { dimms } : {}),
    },
    cmdline,
    release: told.release === undefined ? undefined : readableRelease(told.release),
    hypervisor: tellsWhere ? lines.some((line) => GUEST.test(line)) : undefined,
    config: configOfLog(lines),
  };
}

/** A log that lists its zones shows whether zone Device is one of them. */
function configOfLog(lines: readonly string[]): KernelConfig {
  const zones = lines.indexOf('Zone ranges:');
  return zones < 0 ? {} : { zoneDevice: lines.slice(zones + 1, zones + 6).some((line) => /^ {2}Device /.test(line)) };
}

function parseMap(text: string, path: string): E820Firmware {
  try {
    return parseE820Text(text);
  } catch (error) {
    if (error instanceof KernelError) throw new KernelError(error.code, `${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** A release that this program can read, or none: a vendor may call a kernel anything. */
function readableRelease(release: string): string | undefined {
  try {
    return parseRelease(release).text;
  } catch {
    return undefined;
  }
}

function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw fileError(path, error);
  }
}

function readText(path: string): string {
  return new TextDecoder().decode(readBytes(path));
}

/** Node's error in the words of a Unix tool. */
function fileError(path: string, error: unknown): KernelError {
  const code = (error as NodeJS.ErrnoException).code;
  const known = code === 'ENOENT' || code === 'EISDIR' || code === 'EACCES' ? code : 'EIO';
  const words = { ENOENT: 'No such file or directory', EISDIR: 'Is a directory', EACCES: 'Permission denied', EIO: String(error) }[known];
  return new KernelError(known, `${path}: ${words}`, { cause: error });
}

function readDimms(path: string): FirmwareDimm[] {
  const expected = 'expected a list of { "handle", "label_size", "media_size" }';
  let parsed: unknown;
  try {
    parsed = JSON.parse(readText(path));
  } catch (error) {
    if (error instanceof KernelError) throw error;
    throw new KernelError('EINVAL', `${path}: no JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  if (!Array.isArray(parsed)) throw new KernelError('EINVAL', `${path}: ${expected}`);
  return parsed.map((entry: Record<string, unknown> | null, index) => {
    const number = (field: string): number => {
      const value = entry?.[field];
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
        throw new KernelError('EINVAL', `${path}: entry ${index}: ${field} is ${JSON.stringify(value)}; ${expected}`);
      }
      return value;
    };
    const handle = number('handle');
    const labelSizeBytes = number('label_size');
    // Made once for the machine, so that its bytes are there at the next boot.
    const labelArea = labelSizeBytes > 0 ? { labelArea: createConfigArea(labelSizeBytes) } : {};
    return { handle, labelSizeBytes, mediaSizeBytes: number('media_size'), ...labelArea };
  });
}
