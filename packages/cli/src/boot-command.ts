/**
 * `holdfast boot`: from options to a machine, from a machine to a kernel, and from a kernel to what was asked of it.
 */
import { readFileSync } from 'node:fs';
import { E820_TYPE_RESERVED, parseE820Text } from '@holdfast/e820';
import { type BootOutcome, type Firmware, formatLogLine } from '@holdfast/kernel';
import { DEFAULT_RELEASE, GIB, KIB, KernelError, type KernelRelease, parseRelease, parseSize } from '@holdfast/lib';
import { createNvdimmRootMethods } from '@holdfast/machine';
import type { ConfigArea } from '@holdfast/nvdimm';
import { buildMachine } from './build-machine.js';
import { CliError } from './cli-error.js';
import { isGuestScript, scriptCommands } from './console/script-lines.js';
import { placeDimmImages, withImageLabels } from './dimm-images.js';
import { type LoadedFirmware, loadFirmware } from './firmware.js';
import { labelledDimmFirmware } from './labelled-dimms.js';
import { openDrives, parseDisk } from './drives.js';
import { parseFields } from './fields.js';
import { planMachine } from './machine-plan.js';
import { pcMap, pmemLines } from './pc-map.js';
import { needFiveLevels, parsePciPmem, plugCards } from './pci-cards.js';
import type { CommandRunner } from './run-commands.js';
import { type System, createSystem } from './system.js';
import { parseVirtioMem, parseVirtioPmem, plugVirtio } from './virtio-devices.js';

/** As commander gives them; all text as typed. */
export interface BootCommandOptions {
  firmware?: string;
  memory?: string;
  cmdline?: string;
  kernel?: string;
  nvdimm?: string[];
  disk?: string[];
  virtioPmem?: string[];
  virtioMem?: string[];
  pciPmem?: string[];
  run?: string[];
  script?: string;
  dmesg?: boolean;
  json?: boolean;
  sysroot?: string;
  /** Print, behind each command that failed, which rule refused it and what would do. */
  explain?: boolean;
  seed?: string;
  cpus?: string;
  la57?: boolean;
  bareMetal?: boolean;
  /** The firmware scrubs, clears and injects media errors of its NVDIMMs. */
  ars?: boolean;
}

/** Where output goes, and whether a person sits there. */
export interface Terminal {
  readonly interactive: boolean;
  out(data: string | Uint8Array): void;
  err(text: string): void;
}

interface NvdimmOption {
  readonly sizeBytes: number;
  /** 0 for legacy pmem. */
  readonly labelBytes: number;
  readonly image: string | undefined;
}

/** Build the machine that the options ask for, and boot it. @throws CliError, KernelError for bad files and sizes. */
export async function bootFromOptions(options: BootCommandOptions, note: (text: string) => void = () => {}, onBoot?: (outcome: BootOutcome) => void): Promise<System> {
  if (options.firmware !== undefined && options.memory !== undefined) throw new CliError('--memory describes a machine without --firmware; give one of them');
  const nvdimms = (options.nvdimm ?? []).map(parseNvdimm);
  const virtioPlans = [...(options.virtioPmem ?? []).map(parseVirtioPmem), ...(options.virtioMem ?? []).map(parseVirtioMem)];
  const cards = (options.pciPmem ?? []).map(parsePciPmem);
  const loaded = options.firmware === undefined ? pcFirmware(options.memory ?? '4G') : loadFirmware(options.firmware);
  const cmdline = options.cmdline ?? loaded.cmdline ?? '';
  const release = chooseRelease(options.kernel ?? loaded.release);
  if (options.firmware !== undefined) {
    if (options.cmdline === undefined && loaded.cmdline !== undefined) note(`--cmdline from ${options.firmware}: ${loaded.cmdline}`);
    if (options.kernel === undefined && loaded.release !== undefined) note(`--kernel from ${options.firmware}: ${loaded.release}`);
  }
  const seed = options.seed === undefined ? 0 : wholeNumber(options.seed, '--seed', 0, Number.MAX_SAFE_INTEGER);
  const cpus = options.cpus === undefined ? undefined : wholeNumber(options.cpus, '--cpus', 1, 256);
  const added = addNvdimms(loaded.firmware, nvdimms);
  const dimmImages = placeDimmImages(loaded.firmware, loaded.dimmImages, note);
  const images = new Map([...added.images, ...dimmImages.images]);
  const labels = new Map([...added.labels, ...dimmImages.labels]);
  const la57 = options.la57 ?? (needFiveLevels(cards) || undefined);
  const plan = planMachine({ firmware: added.firmware, cmdline, release, images, labels, bounds: dimmImages.bounds, ...(la57 === undefined ? {} : { la57 }) });
  const { machine, images: opened, labelAreas } = await buildMachine(plan, {
    ...(cpus === undefined ? {} : { cpus }),
    hypervisor: options.bareMetal ? false : (loaded.hypervisor ?? true),
  });
  const labelled = withLabelAreas(added.firmware, [...added.labels.keys()].map((start) => labelAreas.get(start)!));
  const hasScrub = loaded.hasScrub || options.ars === true;
  const firmware = {
    ...withImageLabels(labelled, dimmImages, labelAreas),
    ...(hasScrub ? { nvdimmMethods: createNvdimmRootMethods(machine) } : {}),
  };
  const files = [...opened];
  try {
    const pci = await plugCards(machine, cards, files);
    const virtio = await plugVirtio(machine, firmware, virtioPlans);
    files.push(...virtio.images);
    const drives = await openDrives((options.disk ?? []).map(parseDisk), files);
    const config = options.kernel === undefined ? loaded.config : {};
    return createSystem({ machine, images: files, virtio: virtio.devices, drives, firmware, cmdline, release, config, seed, ...(pci ? { pci } : {}), ...(onBoot ? { onBoot } : {}) });
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

function pcFirmware(memory: string): LoadedFirmware {
  const e820 = pcMap(parseSize(memory, '--memory'));
  return { firmware: { e820 }, cmdline: undefined, release: undefined, hypervisor: undefined, config: {}, dimmImages: new Map(), hasScrub: false };
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
  return { firmware: { ...firmware, e820, ...labelledDimmFirmware(placed) }, images, labels: new Map(placed.map(({ start, labelBytes }) => [start, labelBytes])) };
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

/** The whole command: boot, then run, print and export as asked. @returns the exit status */
export async function bootCommand(options: BootCommandOptions, terminal: Terminal): Promise<number> {
  const work = commandsOf(options);
  const asked = work.length > 0 || options.json === true || options.sysroot !== undefined;
  const console = !asked && terminal.interactive;
  const showLog = options.dmesg === true || !asked;
  const printLog = ({ log }: BootOutcome): void => {
    if (showLog && !options.json) terminal.out(log.lines.map((line) => `${formatLogLine(line)}\n`).join(''));
  };
  const system = await bootFromOptions(options, (text) => terminal.err(`holdfast: ${text}\n`), printLog);
  if (system.panic !== undefined) terminal.err(`holdfast: the kernel panicked: ${system.panic}\n`);
  let status = system.panic === undefined ? 0 : 1;
  if (options.json) {
    status = await runForJson(system, work, terminal, { status, explain: options.explain === true });
  } else if (work.length > 0) {
    const { createCommandRunner } = await import('./run-commands.js');
    const runner = createCommandRunner(system, { output: { out: (data) => terminal.out(data), err: (text) => terminal.err(text) }, explain: options.explain === true });
    status = await runAll(runner, work);
  }
  if (options.sysroot !== undefined) await writeSysroot(system, options.sysroot, terminal);
  if (console && system.poweredOn) {
    const { runConsole } = await import('./interactive.js');
    status = await runConsole(system);
  }
  system.close();
  return status;
}

async function runForJson(system: System, work: readonly Work[], terminal: Terminal, { status, explain }: { status: number; explain: boolean }): Promise<number> {
  const [{ createCommandRunner }, { bootFacts, withCommands }] = await Promise.all([import('./run-commands.js'), import('./report.js')]);
  const facts = bootFacts(system, system.kernel?.cmdline ?? '');
  const runner = createCommandRunner(system);
  const last = work.length > 0 ? await runAll(runner, work) : status;
  terminal.out(`${JSON.stringify(withCommands(facts, runner, { explain }), undefined, 1)}\n`);
  return last;
}

/** Something to run: a command with a record of its own, or a guest script that makes its records. */
interface Work {
  readonly text: string;
  readonly isScript: boolean;
}

async function runAll(runner: CommandRunner, work: readonly Work[]): Promise<number> {
  for (const { text, isScript } of work) {
    if (runner.exited) break;
    await (isScript ? runner.runScript(text) : runner.run(text));
  }
  return runner.status;
}

async function writeSysroot(system: System, target: string, terminal: Terminal): Promise<void> {
  const { exportSysroot } = await import('./sysroot.js');
  const { directories, files, links } = exportSysroot(system.root, target);
  terminal.err(`holdfast: ${target}: ${directories} directories, ${files} files, ${links} links\n`);
}

/** The lines of --run, then what --script holds. */
function commandsOf({ run = [], script }: BootCommandOptions): Work[] {
  const lines = run.map((text) => ({ text, isScript: false }));
  if (script === undefined) return lines;
  const text = readScript(script);
  if (isGuestScript(text)) return [...lines, { text, isScript: true }];
  return [...lines, ...scriptCommands(text).map((command) => ({ text: command, isScript: false }))];
}

function readScript(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new KernelError(missing ? 'ENOENT' : 'EIO', `${path}: ${missing ? 'No such file or directory' : String(error)}`, { cause: error });
  }
}
