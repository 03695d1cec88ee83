/**
 * The folder `power` of a device. Mirrors drivers/base/power/sysfs.c for a device without runtime power management.
 * Differs from Linux: no device here is ever suspended, and what would have it suspended is refused.
 */
import { KernelError, readOnly, readWrite } from '@holdfast/lib';
import { type VfsDir, vfsAttributes, vfsDir } from './vfs.js';

function refuse(): never {
  throw new KernelError('EOPNOTSUPP', 'power management is not simulated');
}

function noAutosuspend(): never {
  throw new KernelError('EIO', 'the device does not use autosuspend');
}

const POWER: VfsDir = vfsDir(vfsAttributes([
  readWrite('async', () => 'disabled', refuse),
  { name: 'autosuspend_delay_ms', mode: 0o644, show: noAutosuspend, store: noAutosuspend },
  readWrite('control', () => 'auto', refuse),
  readOnly('runtime_active_kids', () => 0),
  readOnly('runtime_active_time', () => 0),
  readOnly('runtime_enabled', () => 'disabled'),
  readOnly('runtime_status', () => 'unsupported'),
  readOnly('runtime_suspended_time', () => 0),
  readOnly('runtime_usage', () => 0),
]));

/** The same for every device, since none has a state. */
export function powerDir(): VfsDir {
  return POWER;
}
