/**
 * `--record FILE`: the machine in the trace's header, and what its images hold before it is made.
 */
import type { ImageBacking } from '@holdfast/machine';
import { type Recorder, createRecorder } from '@holdfast/nbd';
import type { StoreImages } from './boot-plan.js';
import type { NbdMachineOptions } from './nbd-options.js';

/** Bytes of an image that are looked at at once, and recorded if they are not all zeros. */
const PIECE_BYTES = 64 * 1024;

/** What makes the same machine again. */
const DESCRIBED = [
  'size', 'nvdimm', 'disk', 'firmware', 'memory', 'cmdline', 'kernel', 'run', 'seed', 'openStores', 'export', 'image',
] as const satisfies readonly (keyof NbdMachineOptions)[];
export type RecordedMachine = Pick<NbdMachineOptions, (typeof DESCRIBED)[number]>;

/** Before the machine is made of its images. @throws KernelError, the host's error */
export function startRecorder(file: string, options: NbdMachineOptions, images: StoreImages): Recorder {
  const machine = Object.fromEntries(DESCRIBED.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]));
  const named = namedImages(images);
  return createRecorder({
    file,
    header: { machine, images: named.map(([name, { sizeBytes }]) => ({ name, sizeBytes })) },
    base: contents(named.map(([, image]) => image)),
  });
}

/** By the name that a trace gives them: `nvdimm@ADDRESS` in decimal, `disk@NUMBER`. */
function namedImages({ nvdimms, drives }: StoreImages): [string, ImageBacking][] {
  return [
    ...[...nvdimms].map(([start, image]): [string, ImageBacking] => [`nvdimm@${start}`, image]),
    ...drives.flatMap((image, i): [string, ImageBacking][] => (image ? [[`disk@${i}`, image]] : [])),
  ];
}

/** What is not zeros, by the image's number. */
export function* contents(images: readonly ImageBacking[]): Generator<{ image: number; offset: number; bytes: Uint8Array }> {
  for (const [image, backing] of images.entries()) {
    for (let offset = 0; offset < backing.sizeBytes; offset += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, backing.sizeBytes - offset);
      if (backing.isKnownZero(offset, length)) continue;
      const bytes = new Uint8Array(length);
      backing.read(offset, bytes, 0, length);
      if (bytes.some((byte) => byte !== 0)) yield { image, offset, bytes };
    }
  }
}
