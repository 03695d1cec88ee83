/**
 * The clients of some exports, as a power switch sees them.
 */
import type { Connection } from '../connection.js';
import type { NbdExport } from '../export.js';
import type { SwitchedClients } from './power-switch.js';

/** @param exports those that lose their power; clients of any other one are left alone */
export function createExportClients(connections: () => Iterable<Connection>, exports: () => readonly NbdExport[]): SwitchedClients {
  const users = function* (): Generator<{ connection: Connection; exported: NbdExport }> {
    for (const connection of connections()) {
      const exported = connection.session?.exported;
      if (exported && exports().includes(exported)) yield { connection, exported };
    }
  };
  return {
    lose(how) {
      for (const { connection } of users()) {
        connection.rebind(undefined);
        if (how === 'drop') connection.drop();
      }
    },
    regain() {
      for (const { connection, exported } of users()) {
        const disk = exported.disk();
        // A disk of another size is another disk, and its client has no way to learn that.
        if (disk && disk.sizeBytes === connection.session!.disk.sizeBytes) connection.rebind(disk);
        else connection.drop();
      }
    },
  };
}
