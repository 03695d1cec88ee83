/**
 * A tree of files made of a captured machine's texts (`nd-sysfs.txt`, `dax-sysfs.txt`, `block.txt`): the devices of /sys/bus/nd below
 * their parents, as a kernel shows them, and read-only.
 */
import { type VfsDir, type VfsNode, vfsDir, vfsLink, vfsText } from '@holdfast/kernel';

interface Folder {
  [name: string]: Folder | VfsNode;
}

const ROOT = '/sys/devices/captured';

export function capturedTree({ nd, dax = '', block = '' }: { nd: string; dax?: string; block?: string }): VfsDir {
  const top: Folder = {};
  const disks = new Set([...block.matchAll(/^\/sys\/block\/([^/]+)\//gm)].map((match) => match[1]!));
  const devices = new Set<string>();
  for (const [name, attribute, value, isLink] of lines(nd, '/sys/bus/nd/devices/')) {
    devices.add(name);
    put(top, `${pathOf(name)}/${attribute}`, isLink ? (value === '' ? undefined : vfsLink(`/sys/bus/nd/drivers/${value}`)) : vfsText(() => `${value}\n`));
  }
  for (const name of devices) {
    const disk = diskOf(top, name);
    if (disk && disks.has(disk)) put(top, `${pathOf(name)}/block/${disk}/ro`, vfsText(() => '0\n'));
    put(top, `/sys/bus/nd/devices/${name}`, vfsLink(pathOf(name)));
  }
  for (const [name, attribute, value, isLink] of lines(dax, '/sys/bus/dax/devices/')) {
    const parent = parentOfDax(top, devices, dax, name);
    const path = attribute.startsWith('../') ? `${parent}/${attribute.slice(3)}` : `${parent}/${name}/${attribute}`;
    put(top, path, isLink ? (value === '' ? undefined : vfsLink(`/sys/bus/dax/drivers/${value}`)) : vfsText(() => `${value}\n`));
    put(top, `/sys/bus/dax/devices/${name}`, vfsLink(`${parent}/${name}`));
  }
  return toDir(top);
}

function* lines(text: string, head: string): Generator<[device: string, attribute: string, value: string, isLink: boolean]> {
  for (const line of text.split('\n')) {
    const match = line.startsWith(head) && /^([^/]+)\/([^=]*?)(=|->)(.*)$/.exec(line.slice(head.length));
    if (match && !match[1]!.includes('*')) yield [match[1]!, match[2]!, match[4]!, match[3] === '->'];
  }
}

function pathOf(name: string): string {
  const region = /^(?:namespace|btt|pfn|dax)(\d+)\./.exec(name)?.[1];
  const parent = name.startsWith('ndbus') ? ROOT : region === undefined ? `${ROOT}/ndbus0` : `${ROOT}/ndbus0/region${region}`;
  return `${parent}/${name}`;
}

/** The disk that a namespace or its holder makes if it is bound to nd_pmem. */
function diskOf(top: Folder, name: string): string | undefined {
  const device = at(top, pathOf(name));
  if (!device || !('driver' in device)) return undefined;
  const ns = name.startsWith('namespace') ? name : /^(?:btt|pfn)/.test(name) ? textOf(device['namespace']) : undefined;
  const match = ns === undefined ? null : /^namespace(\d+)\.(\d+)$/.exec(ns);
  if (!match) return undefined;
  return `pmem${match[1]}${match[2] === '0' ? '' : `.${match[2]}`}${name.startsWith('btt') ? 's' : ''}`;
}

/** A capture does not say which nd device a dax device hangs below: the one with its size that is bound, each taken once. */
function parentOfDax(top: Folder, devices: ReadonlySet<string>, dax: string, name: string): string {
  const size = new RegExp(`^/sys/bus/dax/devices/${name.replace('.', '\\.')}/\\.\\./dax_region/size=(\\d+)$`, 'm').exec(dax)?.[1];
  const parent = [...devices].find((each) => each.startsWith('dax') && textOf(at(top, pathOf(each))?.['size']) === size && 'driver' in at(top, pathOf(each))!);
  return parent === undefined ? `${ROOT}/hmem` : pathOf(parent);
}

function textOf(node: Folder | VfsNode | undefined): string | undefined {
  return node && node.kind === 'file' && 'read' in node ? String((node as { read(): string }).read()).trim() : undefined;
}

function at(top: Folder, path: string): Folder | undefined {
  return path.split('/').filter(Boolean).reduce<Folder | undefined>((folder, part) => folder?.[part] as Folder | undefined, top);
}

function put(top: Folder, path: string, node: VfsNode | undefined): void {
  if (!node) return;
  const parts = path.split('/').filter(Boolean);
  let folder = top;
  for (const part of parts.slice(0, -1)) folder = (folder[part] ??= {}) as Folder;
  folder[parts.at(-1)!] = node;
}

function toDir(folder: Folder): VfsDir {
  const isNode = (entry: Folder | VfsNode): entry is VfsNode => typeof entry.kind === 'string';
  return vfsDir(Object.fromEntries(Object.entries(folder).map(([name, entry]) => [name, isNode(entry) ? entry : toDir(entry)])));
}
