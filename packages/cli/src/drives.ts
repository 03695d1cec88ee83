/**
 * Disks with a volatile write cache: what `--disk` asks for.
 */
import { parseSize } from '@holdfast/lib';
import type { ImageBacking } from '@holdfast/machine';
import { type Drive, createDrive } from '@holdfast/sd';
import { CliError } from './cli-error.js';
import { parseFields } from './fields.js';

export interface DrivePlan {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly atomBytes: number;
  readonly cacheBytes: number | undefined;
  readonly image: string | undefined;
}

/** `size=1G[,image=FILE][,sector=512][,atomic=4096][,cache=16M]`. @throws CliError, KernelError for a size */
export function parseDisk(text: string): DrivePlan {
  const fields = parseFields(text, ['size', 'image', 'sector', 'atomic', 'cache']);
  const size = fields?.get('size');
  if (!fields || size === undefined) throw new CliError(`--disk '${text}': expected size=SIZE[,image=FILE][,sector=512|4096][,atomic=512|4096][,cache=SIZE]`);
  const bytes = (name: string): number | undefined => (fields.has(name) ? parseSize(fields.get(name)!, `--disk ${name}`) : undefined);
  const sectorBytes = bytes('sector') ?? 512;
  return {
    sizeBytes: parseSize(size, '--disk size'),
    sectorBytes,
    atomBytes: bytes('atomic') ?? sectorBytes,
    cacheBytes: bytes('cache'),
    image: fields.get('image'),
  };
}

/** Open the plans' image files, which are added to `files`. @throws KernelError */
export async function openDriveImages(plans: readonly DrivePlan[], files: { close(): void }[]): Promise<(ImageBacking | undefined)[]> {
  const images: (ImageBacking | undefined)[] = [];
  for (const { image, sizeBytes } of plans) {
    if (image === undefined) {
      images.push(undefined);
      continue;
    }
    const { openImageFile } = await import('@holdfast/machine/node');
    const file = openImageFile(image, { sizeBytes });
    files.push(file);
    images.push(file);
  }
  return images;
}

/** Make the drives, each with the image of its number. @throws KernelError EINVAL */
export function createDrives(plans: readonly DrivePlan[], images: readonly (ImageBacking | undefined)[]): Drive[] {
  return plans.map(({ sizeBytes, sectorBytes, atomBytes, cacheBytes }, index) => {
    const backing = images[index];
    return createDrive({ sizeBytes, sectorBytes, atomBytes, ...(cacheBytes === undefined ? {} : { cacheBytes }), ...(backing ? { backing } : {}) });
  });
}
