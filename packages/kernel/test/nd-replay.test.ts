/**
 * Namespaces against a real Linux 6.1 with ndctl 76: the stores that ndctl made there are made here, with the same UUIDs. Devices, disks,
 * /proc/iomem, zones and the log must be as they were there after each command and each boot, and so must the bytes on the media.
 */
import { readFileSync } from 'node:fs';
import { type Kernel, boot, readFile } from '@holdfast/kernel';
import { GIB, KernelError, physAddr } from '@holdfast/lib';
import { type Machine, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type ConfigArea, createConfigArea } from '@holdfast/nvdimm';
import { describe, expect, it } from 'vitest';
import { capturedMedia, mediaLines } from '../../nvdimm/test/captured-media.js';
import { type CreateOptions, type Ndctl, ndctlStores } from './ndctl-stores.js';

/** A command of the guest, or what the machine showed; only what was different from the snapshot before. */
interface Step {
  cmd?: string;
  rc?: number;
  log?: string[];
  uuid?: string;
  rawUuid?: string;
  state?: Partial<State>;
}

interface State {
  nd: Devices;
  block: Devices;
  dax: Devices;
  iomem: string[];
  /** Node, name, start_pfn, spanned, present. */
  zones: [number, string, number, number, number][];
}

type Devices = Record<string, Record<string, string>>;

interface Golden {
  name: string;
  nfit?: string;
  srat?: string;
  dimms?: { handle: number; label_size: number; media_size: number }[];
  /** On the same media; `log` is what the drivers said by the end. */
  boots: { e820: string; cmdline: string; steps: Step[]; log: string[] }[];
}

const GOLDEN = JSON.parse(readFileSync(new URL('nd-golden.json', import.meta.url), 'utf8')) as Golden[];
/** Dumps that the captured machine took, by `case.step`. */
const DUMPS = ['d-reconf.fsdax', 'd-reconf.devdax', 'd-reconf.sector', 'd-reconf.sector520', 'd-reconf.raw', 'd-reconf.fsdaxmem', 'd-reconf.end', 'd-multi.four', 'd-multi.end', 'c-keep-fsdax.end', 'c-keep-sector.end'];

const PMEM_START = 4 * GIB;
const DRIVERS = /^(nd|nd_pmem|dax_pmem|nd_region|device_dax)[ :]/;
/** A WARN of Linux, where we refuse without one. */
const NOT_LOGGED = 'nd namespace0.0: request out of range';

const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));

describe('after the stores of ndctl, Linux 6.1 shows the same on', () => {
  it.each(GOLDEN)('$name', (golden) => {
    const { dimms = [], nfit, srat } = golden;
    const machine = createMachine({ media: [{ start: 0, medium: createDram(PMEM_START) }, { start: PMEM_START, medium: createNvdimm({ sizeBytes: 8 * GIB }) }] });
    const areas = dimms.map(({ handle, label_size, media_size }) => ({ handle, labelSizeBytes: label_size, mediaSizeBytes: media_size, labelArea: createConfigArea(label_size) }));
    for (const [nr, { e820, cmdline, steps, log }] of golden.boots.entries()) {
      const firmware = { e820, ...(nfit ? { nfit: bytesOf(nfit) } : {}), ...(srat ? { srat: bytesOf(srat) } : {}), dimms: areas };
      const { kernel, panic } = boot({ machine, firmware, cmdline });
      if (!kernel) throw new Error(panic);
      replaySteps(kernel, steps, (step) => compareMedia(`${golden.name}.${step}`, machine, areas));
      expect(driverLog(kernel)).toEqual(anyNumbers(log.filter((line) => line !== NOT_LOGGED)));
      kernel.shutdown();
      if (nr === 0) compareMedia(`${golden.name}.end`, machine, areas);
    }
  });
});

function replaySteps(kernel: Kernel, steps: readonly Step[], dump: (label: string) => void): void {
  const ndctl = ndctlStores(kernel.root);
  let known: Partial<State> = {};
  for (const [index, { state, ...step }] of steps.entries()) {
    if (state) {
      known = { ...known, ...state };
      const now = stateOf(kernel, ndctl);
      const want = { ...now, ...known, nd: canonical(known.nd ?? now.nd) };
      expect({ ...now, nd: canonical(now.nd) }, `after ${steps[index - 1]?.cmd ?? 'boot'}`).toEqual(want);
    } else if (step.cmd!.startsWith('host dump ')) {
      dump(step.cmd!.slice('host dump '.length));
    } else if (step.rc === 0 || step.log) {
      // Else ndctl refused it by itself.
      const before = kernel.log.lines.length;
      run(ndctl, step);
      expect(anyNumbers(kernel.log.lines.slice(before).map(({ text }) => text)), `log of ${step.cmd}`).toEqual(anyNumbers(step.log ?? []));
    }
  }
}

const UNITS: Record<string, number> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

function run(ndctl: Ndctl, { cmd = '', uuid, rawUuid }: Step): void {
  const [, action, target] = /^ndctl (\S+)(?:.* (\S+))?$/.exec(cmd) ?? [];
  const targets = (prefix: string): string[] => (target === 'all' ? ndctl.names().filter((name) => name.startsWith(prefix)) : [target!]);
  switch (action) {
    case 'disable-region': return targets('region').forEach(ndctl.disableRegion);
    case 'enable-region': return targets('region').forEach(ndctl.enableRegion);
    case 'init-labels': return targets('nmem').forEach((dimm) => ndctl.initLabels(dimm));
    case 'disable-namespace': return ndctl.disable(target!);
    case 'enable-namespace': return ndctl.enable(target!);
    case 'check-namespace': return ndctl.check(target!);
    case 'destroy-namespace': return targets('namespace').forEach(ndctl.destroy);
    case 'create-namespace': ndctl.create(createOptions(cmd, uuid, rawUuid));
  }
}

function createOptions(cmd: string, uuid = 'eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee', rawUuid?: string): CreateOptions {
  const option = (letter: string): string | undefined => new RegExp(` -${letter} (\\S+)`).exec(cmd)?.[1];
  const bytes = (letter: string): number | undefined => {
    const text = option(letter);
    return text === undefined ? undefined : parseInt(text, 10) * (UNITS[text.at(-1)!] ?? 1);
  };
  const given = { reconfigure: option('e'), region: option('r'), map: option('M'), align: bytes('a'), sectorSize: bytes('l'), size: bytes('s'), name: option('n'), rawUuid };
  return { mode: option('m') ?? 'fsdax', uuid, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) } as CreateOptions;
}

/** Which btt, pfn or dax a probe gets is a race in Linux: in the log they have no numbers here. */
function anyNumbers(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/\b(btt|pfn|dax)\d+\.\d+/g, '$1'));
}

function driverLog({ log }: Kernel): string[] {
  return anyNumbers(log.lines.map(({ text }) => text).filter((text) => DRIVERS.test(text)));
}

/** For the same reason they are called after what they hold, and idle ones are alike. */
function canonical(nd: Devices): [string, Record<string, string>][] {
  const kindOf = (name: string): string | undefined => /^(btt|pfn|dax)\d/.exec(name)?.[1];
  const holders = new Map(Object.entries(nd).flatMap(([name, { holder }]) => (holder ? [[holder, `${kindOf(holder)} of ${name}`] as const] : [])));
  return Object.entries(nd)
    .map(([name, attributes]): [string, Record<string, string>] => {
      const { holder } = attributes;
      return [holders.get(name) ?? (kindOf(name) ? `idle ${kindOf(name)}` : name), { ...attributes, ...(holder ? { holder: holders.get(holder)! } : {}) }];
    })
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

const REGION = ['size', 'resource', 'align', 'available_size', 'max_available_extent'];
const NAMESPACE = ['size', 'resource', 'mode', 'sector_size', 'holder', 'holder_class', 'alt_name'];
const CLAIM = ['size', 'resource', 'mode', 'align', 'sector_size'];
const DISK = ['size', 'ro', 'queue/logical_block_size', 'queue/physical_block_size', 'queue/dax'];
const DAX = ['size', 'align', 'resource', 'target_node', 'numa_node', 'mapping0/end', 'mapping0/page_offset', 'mapping0/start'];

function stateOf({ root }: Kernel, ndctl: Ndctl): State {
  const text = (path: string): string => (readFile(root, path) as string).trimEnd();
  const devices = (folder: string, attributesOf: (name: string) => readonly string[]): Devices => {
    const read = (path: string): string[] => {
      try {
        return [text(path)];
      } catch (error) {
        if (error instanceof KernelError) return [];
        throw error;
      }
    };
    const names = ndctl.names(folder).filter((name) => !name.startsWith('ndbus'));
    return Object.fromEntries(names.map((name) => [name, Object.fromEntries(attributesOf(name).flatMap((attribute) => read(`${folder}/${name}/${attribute}`).map((value) => [attribute, value])))]));
  };
  const kinds: Record<string, readonly string[]> = { region: REGION, namespace: NAMESPACE, nmem: ['state'] };
  return {
    nd: devices('/sys/bus/nd/devices', (name) => kinds[/^\D+/.exec(name)![0]] ?? CLAIM),
    block: devices('/sys/block', () => DISK),
    dax: devices('/sys/bus/dax/devices', () => DAX),
    iomem: pmemLines(text('/proc/iomem')),
    zones: zonesOf(text('/proc/zoneinfo')),
  };
}

/** Persistent memory and what is inside it. */
function pmemLines(iomem: string): string[] {
  const lines = iomem.split('\n');
  const indent = (line: string): number => /^ */.exec(line)![0].length;
  return lines.flatMap((line, index) => {
    if (!line.includes('Persistent Memory')) return [];
    const end = lines.findIndex((other, at) => at > index && indent(other) <= indent(line));
    return lines.slice(index, end < 0 ? undefined : end);
  });
}

function zonesOf(zoneinfo: string): State['zones'] {
  return zoneinfo.split(/^Node /m).flatMap((zone): State['zones'] => {
    const [, node, name] = /^(\d+), zone +(\w+)/.exec(zone) ?? [];
    const field = (key: string): number => Number(new RegExp(`^ +${key}:? +(\\d+)`, 'm').exec(zone)?.[1] ?? 0);
    return field('present') > 0 ? [[Number(node), name!, field('start_pfn'), field('spanned'), field('present')]] : [];
  });
}

function compareMedia(name: string, machine: Machine, dimms: readonly { mediaSizeBytes: number; labelArea: ConfigArea }[]): void {
  if (!DUMPS.includes(name)) return;
  const media = capturedMedia(name);
  const [dimm] = dimms;
  expect(media.sections.length, name).toBeGreaterThan(0);
  for (const section of media.sections) {
    const isLabels = section.name === 'label-area';
    const ours = isLabels ? dimm!.labelArea.read(0, section.length) : new Uint8Array(section.length);
    // The dump of a legacy range is one of all RAM, whose part above 4 GiB begins at the 3 GiB that lie below.
    if (!isLabels) machine.memory.read(physAddr(PMEM_START + section.offset - (dimm ? 0 : media.rangeStart)), ours);
    expect(mediaLines(ours), `${name}: ${section.name} at ${section.offset}`).toEqual(mediaLines(media.read(section.offset, section.length)));
  }
}
