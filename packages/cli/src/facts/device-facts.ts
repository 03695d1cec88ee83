/**
 * Devices as facts: the attributes under /sys/bus/nd/devices, /sys/bus/dax/devices and /sys/block.
 *
 * Two steps, as for memory: {@link deviceAttributes} walks the tree into lines `path=value` (`path->driver` for the bound driver),
 * as the captures keep them; {@link parseDeviceAttributes} makes facts of such a text.
 * Not facts: what differs at each boot or says nothing of memory (uuid, cookies of tables, ioctl masks).
 */
import type { VfsDir } from '@holdfast/kernel';
import { dirAt, naturalOrder, nodeAt, textOfFile } from './sysfs.js';

/** Attributes by device; a path below the device, such as `queue/dax`, is one name. */
export type DeviceFacts = Record<string, Record<string, string>>;

const ND_NOT_FACTS = /^(?:uuid|devtype|modalias|commands|wait_probe|dpa_extents|nfit\/.*|uevent|power\/.*)$/;

/** What of a class of devices is captured: the folder, which files below a device, and which of them are no facts. */
export const DEVICE_CLASSES = {
  nd: { folder: '/sys/bus/nd/devices', below: ['', 'nfit'], driver: true },
  dax: { folder: '/sys/bus/dax/devices', below: ['', 'mapping0', '../dax_region'], driver: true },
  block: { folder: '/sys/block', below: ['', 'queue', 'integrity'], driver: false },
} as const;
export type DeviceClass = keyof typeof DEVICE_CLASSES;

const BLOCK_TOP = ['size', 'ro', 'dev', 'removable', 'capability', 'alignment_offset', 'discard_alignment'];
/** Files that the captures do not hold. */
const NOT_CAPTURED = /^(?:uevent|badblocks)$/;

/** The lines `path=value` of a class of devices in a running kernel; the empty glob that a shell would show if there is none. */
export function deviceAttributes(root: VfsDir, kind: DeviceClass): string {
  const { folder, below, driver } = DEVICE_CLASSES[kind];
  const names = [...(dirAt(root, folder)?.list() ?? [])].sort(naturalOrder);
  if (names.length === 0) return kind === 'nd' ? `${folder}/*/driver->\n` : '';
  const lines: string[] = [];
  for (const name of names) {
    const device = `${folder}/${name}`;
    if (driver) lines.push(`${device}/driver->${driverOf(root, device)}`);
    for (const part of below) {
      const at = part === '' ? device : `${device}/${part}`;
      for (const [attribute, value] of filesIn(root, at, kind === 'block' && part === '' ? BLOCK_TOP : undefined)) {
        lines.push(`${at}/${attribute}=${value}`);
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

function filesIn(root: VfsDir, path: string, only?: readonly string[]): [string, string][] {
  const dir = dirAt(root, path);
  if (!dir) return [];
  return [...(only ?? [...dir.list()].sort())].flatMap((name): [string, string][] => {
    const text = NOT_CAPTURED.test(name) ? undefined : textOfFile(dir.lookup(name));
    return text === undefined ? [] : [[name, text]];
  });
}

function driverOf(root: VfsDir, device: string): string {
  const link = nodeAt(root, `${device}/driver`, { follow: false });
  return link?.kind === 'link' ? link.target.split('/').at(-1)! : '';
}

/** Read such lines. */
export function parseDeviceAttributes(kind: DeviceClass, text: string): DeviceFacts {
  const facts: DeviceFacts = {};
  const head = `${DEVICE_CLASSES[kind].folder}/`;
  for (const line of text.split('\n')) {
    if (!line.startsWith(head)) continue;
    const match = /^([^/]+)\/(.*?)(?:=|->)(.*)$/.exec(line.slice(head.length));
    if (!match) continue;
    const [, device, attribute, value] = match as unknown as [string, string, string, string];
    if (kind === 'nd' && (ND_NOT_FACTS.test(attribute) || (attribute === 'dev' && device.startsWith('nmem')))) continue;
    (facts[device] ??= {})[attribute] = value.trim();
  }
  return facts;
}
