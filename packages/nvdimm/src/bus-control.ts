/**
 * The commands of a bus as user space gives them, through the ioctls of /dev/ndctlN. Mirrors drivers/nvdimm/bus.c: nd_ioctl, and
 * drivers/acpi/nfit/core.c: acpi_nfit_clear_to_send.
 *
 * A command that the bus does not have is ENOTTY; what the firmware answers is in the status of the answer.
 */
import { KernelError } from '@holdfast/lib';
import type { NvdimmRootMethods } from '@holdfast/machine';
import type { NdBus } from './nd-device.js';
import { accountCleared } from './poison.js';

/** ND_CMD_ARS_CAP to ND_CMD_CLEAR_ERROR, and by ND_CMD_CALL the injection of errors. */
export type NdBusControl = Omit<NvdimmRootMethods, 'onUncorrectableError'>;

/** @throws KernelError ENOTTY if the bus takes no commands */
export function openBusControl(bus: NdBus): NdBusControl {
  const { methods } = bus;
  if (!methods) throw new KernelError('ENOTTY', `${bus.name}: ${bus.provider} takes no commands`);
  return {
    arsCap: (range) => methods.arsCap(range),
    arsStart(request) {
      if (bus.isScrubbing()) throw new KernelError('EBUSY', `${bus.name}: the kernel's own scrub is not done`);
      return methods.arsStart(request);
    },
    arsStatus: () => methods.arsStatus(),
    clearError(range) {
      const answer = methods.clearError(range);
      if ((answer.status & 0xffff) === 0) accountCleared(bus, range.address, answer.cleared);
      return answer;
    },
    arsErrorInject: (request) => methods.arsErrorInject(request),
    arsErrorInjectClear: (range) => methods.arsErrorInjectClear(range),
    arsErrorInjectStatus: () => methods.arsErrorInjectStatus(),
  };
}
