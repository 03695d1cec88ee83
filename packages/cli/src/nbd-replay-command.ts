/**
 * `holdfast nbd replay FILE`: makes the machine of a trace again, and does to it what the trace tells.
 */
import { existsSync } from 'node:fs';
import { KernelError } from '@holdfast/lib';
import { type ImageBacking, createOverlayImage } from '@holdfast/machine';
import {
  type NbdExport, type ReplayReport, type Until, createFaultPlan, createMachineExports, createPowerSwitch, mediumName, openTrace, replay,
} from '@holdfast/nbd';
import type { Terminal } from './boot-command.js';
import type { StoreImages } from './boot-plan.js';
import { CliError } from './cli-error.js';
import type { NbdMachine } from './nbd-machine.js';
import { bootNbdMachine } from './nbd-options.js';
import { type RecordedMachine, contents } from './nbd-record.js';

export interface NbdReplayOptions {
  until?: string;
  image?: string;
  json?: boolean;
}

/** @returns the exit status: 1 if a cut came out otherwise, or the point was not reached @throws CliError, KernelError */
export async function nbdReplayCommand(file: string, options: NbdReplayOptions, terminal: Terminal): Promise<number> {
  if (options.image !== undefined && existsSync(options.image)) throw new KernelError('EEXIST', `image ${options.image}: it is there already`);
  const trace = openTrace(file);
  try {
    const images = imagesBefore(file);
    let exports: () => readonly NbdExport[] = () => [];
    const names = (): readonly string[] => exports().map(({ name }) => name);
    const recorded = trace.header.machine as RecordedMachine;
    const machine = await bootNbdMachine(recorded, { terminal, names, images: () => images });
    const faults = createFaultPlan(() => names()[0]);
    exports = createMachineExports({
      kernel: () => machine.powered(),
      layer: (name, disk) => faults.wrap(name, disk),
      ...(recorded.export ? { names: recorded.export } : {}),
    });
    const power = createPowerSwitch({ machine, clients: { lose() {}, regain() {} }, maxCuts: 1, now: () => 0 });
    const report = replay(trace, {
      disk: (name) => exports().find((each) => each.name === name)?.disk(),
      addFault: (spec) => void faults.add(spec),
      clearFaults: (fault) => void faults.clear(fault),
      cut: ({ keep, seed }) => power.cut({ keep, seed }).cut,
      restore: () => power.restore(),
    }, untilOf(options.until));
    if (options.image !== undefined) await writeImages(machine, options.image);
    machine.system.close();
    return tell(report, trace.tornBytes, options, terminal);
  } finally {
    trace.close();
  }
}

function untilOf(text: string | undefined): Until | undefined {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? { record: Number(text) } : { mark: text };
}

/** The machine's images as they were before it was made. */
function imagesBefore(file: string): StoreImages {
  const trace = openTrace(file);
  try {
    const sizes = trace.header.images;
    const images = sizes.map(({ sizeBytes }) => createOverlayImage(zeroImage(sizeBytes)));
    for (const { record } of trace.records()) {
      if (record.kind !== 'base') break;
      const image = images[record.image];
      if (!image || record.offset + record.bytes.length > image.sizeBytes) {
        throw new KernelError('EINVAL', `${file}: bytes of image ${record.image} at ${record.offset}, which the header does not have`);
      }
      image.write(record.offset, record.bytes, 0, record.bytes.length);
    }
    const nvdimms = new Map<number, ImageBacking>();
    const drives: ImageBacking[] = [];
    sizes.forEach(({ name }, i) => {
      const [kind, at] = name.split('@');
      if (kind === 'nvdimm') nvdimms.set(Number(at), images[i]!);
      else drives[Number(at)] = images[i]!;
    });
    return { nvdimms, drives };
  } finally {
    trace.close();
  }
}

function zeroImage(sizeBytes: number): ImageBacking {
  return {
    sizeBytes,
    isKnownZero: () => true,
    read: (_offset, target, targetOffset, length) => void target.fill(0, targetOffset, targetOffset + length),
    write() {
      throw new TypeError('zeros cannot be written');
    },
  };
}

/** What the stores hold after an orderly end, or as the last cut left them: one file, or one for each. */
async function writeImages({ system, hardware }: NbdMachine, path: string): Promise<void> {
  if (system.poweredOn) system.poweroff();
  const { openImageFile } = await import('@holdfast/machine/node');
  const stores = [
    ...hardware.nvdimms.map((slot) => ({ name: mediumName(slot), image: slot.medium.freeze(), labels: hardware.labelAreas.get(slot.start) })),
    ...hardware.drives.map((drive, i) => ({ name: `disk${i}`, image: drive.freeze(), labels: undefined })),
  ];
  for (const { name, image, labels } of stores) {
    const file = openImageFile(stores.length === 1 ? path : `${path}.${name}`, { sizeBytes: image.sizeBytes + (labels?.sizeBytes ?? 0) });
    for (const { offset, bytes } of contents([image])) file.write(offset, bytes, 0, bytes.length);
    if (labels) file.write(image.sizeBytes, labels.read(0, labels.sizeBytes), 0, labels.sizeBytes);
    file.close();
  }
}

function tell(report: ReplayReport, tornBytes: number, { until, json }: NbdReplayOptions, terminal: Terminal): number {
  const differing = report.cuts.filter(({ digest, recorded }) => digest !== recorded);
  if (json) terminal.out(`${JSON.stringify({ ...report, tornBytes })}\n`);
  else {
    terminal.out(
      `${report.records} records, ${report.requests} requests, ${report.cuts.length} cuts, ${report.cuts.length - differing.length} of them the same\n`,
    );
    if (tornBytes > 0) terminal.out(`the last ${tornBytes} bytes are no whole record\n`);
  }
  for (const { cut } of differing) terminal.err(`holdfast: cut ${cut} came out otherwise than recorded\n`);
  if (!report.reached) throw new CliError(`--until '${until}': the trace ends before it`);
  return differing.length === 0 ? 0 : 1;
}
