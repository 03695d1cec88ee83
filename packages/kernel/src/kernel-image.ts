/**
 * The kernel image in memory: what no firmware map tells, and what every boot reserves first.
 * Mirrors the section symbols of arch/x86/kernel/vmlinux.lds.S and the resources of arch/x86/kernel/setup.c.
 */
import { MIB, type Resource, createResource, insertResource } from '@holdfast/lib';

/** A section of the image; `end` is inclusive, as in /proc/iomem. */
interface ImageSection {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

export interface KernelImage {
  /** `[_text, _end)`: what must be RAM; .brk included, which /proc/iomem's bss is not. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly sections: readonly ImageSection[];
  /** Kilobytes, as the `Memory:` line of the boot log names them. */
  readonly sizes: { readonly code: number; readonly rwdata: number; readonly rodata: number; readonly init: number; readonly bss: number };
}

/** The image of Debian's 6.1 amd64 kernel, loaded without KASLR: the one of the golden captures. */
export const DEBIAN_6_1_IMAGE: KernelImage = {
  start: 16 * MIB,
  end: 0x4430000,
  sections: [
    { name: 'Kernel code', start: 0x1000000, end: 0x1e01d31 },
    { name: 'Kernel rodata', start: 0x2000000, end: 0x28eafff },
    { name: 'Kernel data', start: 0x2a00000, end: 0x2c4897f },
    { name: 'Kernel bss', start: 0x3310000, end: 0x43fffff },
  ],
  sizes: { code: 14343, rwdata: 2338, rodata: 9132, init: 2824, bss: 17344 },
};

/** Claim the image's sections in the resource tree, before the firmware map goes in above them. */
export function insertKernelResources(iomem: Resource, image: KernelImage): void {
  for (const { name, start, end } of image.sections) {
    insertResource(iomem, createResource({ name, start, end, busy: true, systemRam: true }));
  }
}
