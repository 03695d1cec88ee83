/**
 * The file `uevent` of a device: what its events say, and where user space asks for one. Mirrors drivers/base/core.c: dev_uevent, uevent_show,
 * uevent_store, and lib/kobject_uevent.c: kobject_synth_uevent.
 *
 * Differs from Linux: nobody listens to a netlink socket, so that an event that was asked for goes nowhere.
 */
import { KERN, KernelError, type Printk } from '@holdfast/lib';
import type { VfsFile } from './vfs.js';

const ACTIONS: readonly string[] = ['add', 'remove', 'change', 'move', 'online', 'offline', 'bind', 'unbind'];
const UUID = /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

export interface UeventSource {
  /** Where its directory is, from /sys on: `/devices/…`. */
  readonly devpath: string;
  /** What the kernel's own lines about the device begin with: its driver or bus, and its name (dev_driver_string). */
  readonly who: () => string;
  readonly lines: () => readonly string[];
  readonly printk: Printk;
}

export function ueventFile({ devpath, who, lines, printk }: UeventSource): VfsFile {
  return {
    kind: 'file',
    mode: 0o644,
    read: () => lines().map((line) => `${line}\n`).join(''),
    write(text) {
      try {
        askForUevent(devpath, text, printk);
      } catch (error) {
        printk(`${who()}: uevent: failed to send synthetic uevent: -22`, KERN.err);
        throw error;
      }
    },
  };
}

/** The file `uevent` of a bus or a driver, which can only be written. */
export function synthUevent(devpath: string, printk: Printk): VfsFile {
  return { kind: 'file', mode: 0o200, write: (text) => askForUevent(devpath, text, printk) };
}

/** @throws KernelError EINVAL for what is no event */
function askForUevent(devpath: string, text: string, printk: Printk): void {
  const refusal = refusalOf(text);
  if (refusal === undefined) return;
  printk(`synth uevent: ${devpath}: ${refusal}`, KERN.warning);
  throw new KernelError('EINVAL', `uevent of ${devpath}: ${refusal}; expected one of ${ACTIONS.join(', ')}, and maybe a UUID with KEY=VALUE words`);
}

/** `ACTION[ UUID[ KEY=VALUE …]]`: what is wrong with it, or undefined. */
function refusalOf(text: string): string | undefined {
  const [action = '', uuid, ...words] = text.replace(/\n$/, '').split(' ');
  if (!ACTIONS.includes(action)) return 'unknown uevent action string';
  if (uuid === undefined) return undefined;
  const isSound = UUID.test(uuid) && words.every((word) => /^[A-Za-z0-9]+=[A-Za-z0-9]+$/.test(word));
  return isSound ? undefined : 'incorrect uevent action arguments';
}

/** The lines of a node's numbers and name. */
export function nodeLines(major: number, minor: number, name: string): string[] {
  return [`MAJOR=${major}`, `MINOR=${minor}`, `DEVNAME=${name}`];
}
