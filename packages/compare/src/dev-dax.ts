/**
 * The disk under test as a device-dax device, and back: the stores that `ndctl create-namespace -f -m devdax -M mem` makes, and those that
 * `-m raw` undoes them with. What is on the disk is lost.
 */
import { type Kernel, readFile, writeFile } from '@holdfast/kernel';
import { MIB, PAGE_SIZE } from '@holdfast/lib';

const ND = '/sys/bus/nd';
const NAMESPACE = 'namespace0.0';
const UUID = '8b6ba5a5-28f4-4ae6-a1ac-8fbcb4a2a1b5';
/** Where an info block may be. */
const INFO_BLOCK_BYTES = 2 * PAGE_SIZE;

/** Pages of a device that are mapped together. */
export const DEV_DAX_ALIGN = 2 * MIB;

/**
 * Make a device-dax of the namespace, which must be unbound, call `use` with its path, and leave it as it was.
 * @throws KernelError ENOENT where the disk is on no nvdimm bus
 */
export function withDevDax(kernel: Kernel, use: (path: string) => void): void {
  const seed = (readFile(kernel.root, `${ND}/devices/region0/dax_seed`) as string).trim();
  const store = (device: string, attribute: string, value: string): void => writeFile(kernel.root, `${ND}/devices/${device}/${attribute}`, value);
  const driver = (name: string, action: 'bind' | 'unbind', device: string): void => writeFile(kernel.root, `${ND}/drivers/${name}/${action}`, device);
  for (const [attribute, value] of [
    ['uuid', UUID],
    ['mode', 'ram'],
    ['align', String(DEV_DAX_ALIGN)],
    ['namespace', NAMESPACE],
  ] as const)
    store(seed, attribute, value);
  driver('dax_pmem', 'bind', seed);
  try {
    use('/dev/dax0.0');
  } finally {
    driver('dax_pmem', 'unbind', seed);
    store(seed, 'namespace', '\n');
    wipeInfoBlock(kernel, store, driver);
  }
}

/** Without it the namespace is a raw disk again. */
function wipeInfoBlock(
  kernel: Kernel,
  store: (device: string, attribute: string, value: string) => void,
  driver: (name: string, action: 'bind' | 'unbind', device: string) => void,
): void {
  store(NAMESPACE, 'force_raw', '1');
  writeFile(kernel.root, '/sys/module/pmem/parameters/pages', 'none');
  driver('nd_pmem', 'bind', NAMESPACE);
  const process = kernel.createProcess('ndctl');
  const disk = process.open('/dev/pmem0', { write: true, direct: true });
  process.pwrite(disk, process.mmap(null, { length: INFO_BLOCK_BYTES }), INFO_BLOCK_BYTES, 0);
  process.exit();
  driver('nd_pmem', 'unbind', NAMESPACE);
  store(NAMESPACE, 'force_raw', '0');
}
