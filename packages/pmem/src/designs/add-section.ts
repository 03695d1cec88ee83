/**
 * The bare mechanism under struct pages on the device and under hot-plugged ones: whole sections are added with an area that was set aside
 * for their struct pages, 2 MiB for each 128 MiB, and never with other memory. The pre-allocated `add_section` that was promised in April
 * 2015; see memory-hotplug's addSection for the call itself.
 */
import { KernelError, SECTION_SIZE, SUBSECTION_SIZE, isAligned } from '@holdfast/lib';
import { preallocatedSize } from '@holdfast/memory-hotplug';
import type { PageDesign } from '../page-design.js';
import { attachArray } from './device.js';

export const addSectionPages = {
  name: 'add-section',
  summary: 'struct pages in a pre-allocated area, 2 MiB for each 128 MiB section, and from nowhere else',
  keepsArea: true,
  attach(device, host) {
    const { name, start, sizeBytes } = device;
    if (!isAligned(start, SECTION_SIZE) || !isAligned(sizeBytes, SECTION_SIZE)) {
      throw new KernelError('EINVAL', `${name}: whole sections only: expected both ends at multiples of 128 MiB`);
    }
    const arrayBytes = preallocatedSize(sizeBytes / SECTION_SIZE) + SUBSECTION_SIZE;
    return attachArray(device, host, 'add-section', { start, sizeBytes, arrayBytes });
  },
} satisfies PageDesign;
