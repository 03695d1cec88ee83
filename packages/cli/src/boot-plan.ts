/**
 * From options to a machine: first a plan, which opens nothing of the host; then its image files; then the hardware, at once.
 *
 * The last step takes any images: those of the files, or the outcomes of a power cut.
 */
import { E820_TYPE_RESERVED, parseE820Text } from '@holdfast/e820';
import type { Firmware } from '@holdfast/kernel';
import { DEFAULT_RELEASE, GIB, KIB, type KernelRelease, parseRelease, parseSize } from '@holdfast/lib';
import { type ImageBacking, type Machine, type MediumSlot, createNvdimmRootMethods } from '@holdfast/machine';
import type { ConfigArea } from '@holdfast/nvdimm';
import type { Drive } from '@holdfast/sd';
import { assembleMachine, openMediaImages } from './build-machine.js';
import { CliError } from './cli-error.js';
import { type DimmImages, placeDimmImages, withImageLabels } from './dimm-images.js';
import { type DrivePlan, createDrives, openDriveImages, parseDisk } from './drives.js';
import { parseFields } from './fields.js';
import { type LoadedFirmware, loadFirmware } from './firmware.js';
import type { DimmPlan } from './host/slot-layout.js';
import { labelledDimmFirmware } from './labelled-dimms.js';
import { type MachinePlan, planMachine } from './machine-plan.js';
import { pcMap, pmemLines } from './pc-map.js';
import { type PciPmemOption, needFiveLevels, parsePciPmem } from './pci-cards.js';

/** A machine in words: options as typed. */
export interface MachineDescription {
  firmware?: string;
  memory?: string;
  cmdline?: string;
  kernel?: string;
  nvdimm?: string[];
  disk?: string[];
  pciPmem?: string[];
  seed?: string;
  cpus?: string;
  la57?: boolean;
  bareMetal?: boolean;
  /** The firmware scrubs, clears and injects media errors of its NVDIMMs. */
  ars?: boolean;
  /** How many bytes of stores that nobody flushed a power cut can take back, or `all`. */
  openStores?: string;
}

/** What will be built and booted. */
export interface BootPlan {
  readonly machine: MachinePlan;
  readonly drives: readonly DrivePlan[];
  readonly cards: readonly PciPmemOption[];
  readonly cmdline: string;
  readonly release: KernelRelease;
  readonly config: LoadedFirmware['config'];
  readonly seed: number;
  readonly cpus: number | undefined;
  readonly hypervisor: boolean;
  readonly hasScrub: boolean;
  readonly undecidedBytes: number | undefined;
  /** DIMMs that no map tells of, in the order of their slots. */
  readonly dimms: readonly DimmPlan[];
  readonly added: AddedNvdimms;
  readonly dimmImages: DimmImages;
}

/** What keeps the bytes of a machine: by the address of the NVDIMM, its label area behind the media; and by the drive's number. */
export interface StoreImages {
  readonly nvdimms: ReadonlyMap<number, ImageBacking>;
  readonly drives: readonly (ImageBacking | undefined)[];
}

/** A machine before its first boot. */
export interface Hardware {
  readonly machine: Machine;
  /** Its non-volatile media. */
  readonly nvdimms: readonly MediumSlot[];
  /** By address of their NVDIMM. */
  readonly labelAreas: ReadonlyMap<number, ConfigArea>;
  readonly drives: readonly Drive[];
  readonly firmware: Firmware;
}

interface NvdimmOption {
  readonly sizeBytes: number;
  /** 0 for legacy pmem. */
  readonly labelBytes: number;
  readonly image: string | undefined;
}

/** @throws CliError, KernelError for what does not fit together */
export function planBoot(options: MachineDescription, note: (text: string) => void = () => {}): BootPlan {
  if (options.firmware !== undefined && options.memory !== undefined) throw new CliError('--memory describes a machine without --firmware; give one of them');
  const nvdimms = (options.nvdimm ?? []).map(parseNvdimm);
  const cards = (options.pciPmem ?? []).map(parsePciPmem);
  const loaded = options.firmware === undefined ? pcFirmware(options.memory ?? '4G') : loadFirmware(options.firmware);
  const cmdline = options.cmdline ?? loaded.cmdline ?? '';
  const release = chooseRelease(options.kernel ?? loaded.release);
  if (options.firmware !== undefined) {
    if (options.cmdline === undefined && loaded.cmdline !== undefined) note(`--cmdline from ${options.firmware}: ${loaded.cmdline}`);
    if (options.kernel === undefined && loaded.release !== undefined) note(`--kernel from ${options.firmware}: ${loaded.release}`);
  }
  const added = addNvdimms(loaded.firmware, nvdimms);
  const dimmImages = placeDimmImages(loaded.firmware, loaded.dimmImages, note);
  const images = new Map([...added.images, ...dimmImages.images]);
  const labels = new Map([...added.labels, ...dimmImages.labels]);
  const la57 = options.la57 ?? (needFiveLevels(cards) || undefined);
  return {
    machine: planMachine({ firmware: added.firmware, cmdline, release, images, labels, bounds: dimmImages.bounds, ...(la57 === undefined ? {} : { la57 }) }),
    drives: (options.disk ?? []).map(parseDisk),
    cards,
    cmdline,
    release,
    config: options.kernel === undefined ? loaded.config : {},
    seed: options.seed === undefined ? 0 : wholeNumber(options.seed, '--seed', 0, Number.MAX_SAFE_INTEGER),
    cpus: options.cpus === undefined ? undefined : wholeNumber(options.cpus, '--cpus', 1, 256),
    hypervisor: options.bareMetal ? false : (loaded.hypervisor ?? true),
    hasScrub: loaded.hasScrub || options.ars === true,
    undecidedBytes: parseOpenStores(options.openStores),
    dimms: loaded.memoryDevices,
    added,
    dimmImages,
  };
}

/** Open the files that the plan names, or make them. @throws KernelError for one that cannot be opened, or has another size */
export async function openImages(plan: BootPlan): Promise<{ readonly images: StoreImages; readonly files: { close(): void }[] }> {
  const files: { close(): void }[] = [];
  try {
    const nvdimms = await openMediaImages(plan.machine, files);
    const drives = await openDriveImages(plan.drives, files);
    return { images: { nvdimms, drives }, files };
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

/** Put the machine together. What has no image is in memory. */
export function assembleHardware(plan: BootPlan, images: StoreImages): Hardware {
  const { cpus, hypervisor, undecidedBytes, added, dimmImages } = plan;
  const { machine, nvdimms, labelAreas } = assembleMachine(plan.machine, images.nvdimms, {
    ...(cpus === undefined ? {} : { cpus }),
    ...(undecidedBytes === undefined ? {} : { undecidedBytes }),
    hypervisor,
  });
  const labelled = withLabelAreas(added.firmware, [...added.labels.keys()].map((start) => labelAreas.get(start)!));
  const firmware = { ...withImageLabels(labelled, dimmImages, labelAreas), ...(plan.hasScrub ? { nvdimmMethods: createNvdimmRootMethods(machine) } : {}) };
  return { machine, nvdimms, labelAreas, drives: createDrives(plan.drives, images.drives), firmware };
}

function pcFirmware(memory: string): LoadedFirmware {
  const e820 = pcMap(parseSize(memory, '--memory'));
  return {
    firmware: { e820, takesMemory: true },
    cmdline: undefined,
    release: undefined,
    hypervisor: undefined,
    config: {},
    dimmImages: new Map(),
    memoryDevices: [],
    hasScrub: false,
  };
}

function chooseRelease(text: string | undefined): KernelRelease {
  return text === undefined ? DEFAULT_RELEASE : parseRelease(text);
}

/** `size=1G,label=128K,image=FILE`. @throws CliError */
function parseNvdimm(text: string): NvdimmOption {
  const expected = `--nvdimm '${text}': expected size=SIZE[,label=SIZE][,image=FILE], as in size=1G,image=pmem.img`;
  const fields = parseFields(text, ['size', 'label', 'image']);
  const size = fields?.get('size');
  const image = fields?.get('image');
  if (fields === undefined || size === undefined || image === '') throw new CliError(expected);
  const sizeBytes = parseSize(size, '--nvdimm size');
  if (sizeBytes === 0 || sizeBytes % 4096 !== 0) throw new CliError(`--nvdimm size '${size}': expected a multiple of 4096 above 0`);
  const label = fields.get('label');
  const labelBytes = label === undefined ? 0 : parseSize(label, '--nvdimm label');
  if (label !== undefined && (labelBytes < MIN_LABEL_AREA || labelBytes % 4096 !== 0)) {
    throw new CliError(`--nvdimm label '${label}': expected a multiple of 4096 of at least ${MIN_LABEL_AREA}, as QEMU does`);
  }
  return { sizeBytes, labelBytes, image };
}

/** Bytes. */
const MIN_LABEL_AREA = 128 * KIB;

/** What the added NVDIMMs make of a machine. Maps are by address. */
interface AddedNvdimms {
  readonly firmware: Firmware;
  readonly images: ReadonlyMap<number, string>;
  readonly labels: ReadonlyMap<number, number>;
}

/** Put NVDIMMs above the highest row of the map: in the map those without labels, and behind them in an NFIT those with. @throws CliError */
function addNvdimms(firmware: Firmware, nvdimms: readonly NvdimmOption[]): AddedNvdimms {
  const legacy = nvdimms.filter(({ labelBytes }) => labelBytes === 0);
  const labelled = nvdimms.filter(({ labelBytes }) => labelBytes > 0);
  const { e820, images } = addLegacy(firmware.e820, legacy);
  if (labelled.length === 0) return { firmware: { ...firmware, e820 }, images, labels: new Map() };
  if (firmware.nfit) throw new CliError('--nvdimm label= describes DIMMs in an NFIT, and --firmware has one already');
  let next = Math.max(4 * GIB, topOfMap(e820));
  const placed = labelled.map((dimm) => {
    const start = Math.ceil(next / GIB) * GIB;
    next = start + dimm.sizeBytes;
    return { ...dimm, start };
  });
  for (const { start, image } of placed) if (image !== undefined) images.set(start, image);
  return {
    firmware: { ...firmware, e820, ...labelledDimmFirmware(placed) },
    images,
    labels: new Map(placed.map(({ start, labelBytes }) => [start, labelBytes])),
  };
}

/** Give the DIMMs of {@link addNvdimms} their label areas, in order. */
function withLabelAreas(firmware: Firmware, areas: readonly ConfigArea[]): Firmware {
  if (areas.length === 0) return firmware;
  return { ...firmware, dimms: (firmware.dimms ?? []).map((dimm, slot) => ({ ...dimm, labelArea: areas[slot]! })) };
}

function addLegacy(e820: string, nvdimms: readonly NvdimmOption[]): { e820: string; images: Map<number, string> } {
  const images = new Map<number, string>();
  if (nvdimms.length === 0) return { e820, images };
  const lines = pmemLines(Math.max(4 * GIB, topOfMap(e820)), nvdimms.map(({ sizeBytes }) => sizeBytes));
  for (const [index, line] of lines.entries()) {
    const { image } = nvdimms[index]!;
    if (image !== undefined) images.set(Number(/0x[0-9a-f]+/.exec(line)![0]), image);
  }
  // Right behind the firmware's own rows: a map in a whole dmesg ends where other lines begin.
  const rows = e820.trimEnd().split('\n');
  const last = rows.findLastIndex((row) => /BIOS-e8\w\w: /.test(row));
  return { e820: [...rows.slice(0, last + 1), ...lines, ...rows.slice(last + 1), ''].join('\n'), images };
}

/** The end of the highest row that is not reserved, in bytes. */
function topOfMap(e820: string): number {
  const rows = parseE820Text(e820).entries.filter(({ type }) => type !== E820_TYPE_RESERVED);
  return Math.max(0, ...rows.map(({ addr, size }) => Number(addr + size)));
}

function wholeNumber(text: string, what: string, least: number, most: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(number >= least && number <= most)) throw new CliError(`${what} '${text}': expected a whole number from ${least} to ${most}`);
  return number;
}

/** @throws CliError, KernelError for a size */
function parseOpenStores(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return text === 'all' ? Infinity : parseSize(text, '--open-stores');
}
