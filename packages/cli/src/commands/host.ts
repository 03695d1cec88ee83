/**
 * host: what is done to the machine and not in the guest. `host monitor …` is the monitor of the machine, as QEMU's; `host pull` is a hand.
 * `host dump NAME` marks where the golden captures read the media; here they can be read at any time.
 */
import type { Command } from '../console/command.js';
import { UsageError } from '../console/getopt.js';
import { MonitorError } from '../host/monitor-error.js';
import { pullCard } from '../pci-cards.js';

export const host: Command = {
  usage: 'host monitor COMMAND | host pull SLOT | host dump NAME',
  help: [
    'host monitor object_add memory-backend-ram,id=ID,size=SIZE    have memory to plug',
    'host monitor device_add pc-dimm,id=ID,memdev=ID[,node=N]      plug it as a DIMM',
    'host monitor device_del ID                                    ask the kernel to give a DIMM back',
    'host monitor object_del ID                                    have it no more',
    'host monitor qom-set ID requested-size SIZE                   have a virtio-mem device of another size',
    'host pull SLOT                                                pull a PCI card out of its slot, with no warning',
    'host monitor info memory-devices                              list DIMMs that were plugged, and virtio devices',
  ].join('\n'),
  run({ args: [what, ...rest], system, out, err }) {
    if (what === 'dump' && rest.length === 1) {
      out('ok\n');
      return 0;
    }
    if (what === 'pull' && rest.length === 1) {
      pullCard(system.pci, rest[0]!, system.kernel);
      out('ok\n');
      return 0;
    }
    if (what !== 'monitor' || rest.length === 0) throw new UsageError(`expected 'monitor COMMAND', 'pull SLOT' or 'dump NAME'`);
    try {
      out(system.monitor.run(rest.join(' '), system.kernel) || 'ok\n');
      return 0;
    } catch (error) {
      if (!(error instanceof MonitorError)) throw error;
      err(`Error: ${error.message}`);
      return 1;
    }
  },
};
