// The boot.
export { boot } from './boot.js';
export type { BootOptions, Firmware, FirmwareDimm, KernelConfig } from './boot-options.js';
export type { BootOutcome, Kernel } from './kernel.js';
// The log.
export { type KernelLog, type LogLine, createKernelLog, formatLogLine } from './kernel-log.js';
// The tree of files.
export {
  type BlockFile, type Resolved, type VfsBlockDevice, type VfsCharDevice, type VfsDir, type VfsFile, type VfsLink, type VfsNode, type VfsRegular,
  readFile, resolveOrCreate, resolveParent, resolvePath, vfsAttributes, vfsDir, vfsLink, vfsText, writeFile,
} from './vfs.js';
export { type MountCalls, vfsOfFs } from './vfs-mounts.js';
export { qemuHole64 } from './pci-root.js';
export { SWIOTLB_DEFAULT_SIZE } from './swiotlb.js';
// Processes.
export type { Process, ProcessMmap } from './process.js';
export type { OpenOptions } from './open-file.js';
export { Signal } from './signal.js';
export { MAP, PROT } from '@holdfast/mm';
// Swap areas: the calls of a kernel, and the page that mkswap writes.
export type { SwapCalls } from './swap-calls.js';
export { encodeSwapHeader } from '@holdfast/mm';
