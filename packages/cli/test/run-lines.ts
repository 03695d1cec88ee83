/** The console of a system, for tests. */
import { concat } from '../src/console/open-file.js';
import { createShell } from '../src/console/shell.js';

export interface Outcome {
  readonly rc: number;
  readonly out: string;
  readonly err: string;
}

/** Run lines one after the other; what the last one gave. With `latin1` each byte of it is a character. */
export async function runLines(system: Parameters<typeof createShell>[0]['system'], lines: readonly string[], encoding: 'utf8' | 'latin1' = 'utf8'): Promise<Outcome> {
  let out: Uint8Array[] = [];
  let err = '';
  const shell = createShell({ system, out: (data) => out.push(data.slice()), err: (text) => (err += text) });
  let rc = 0;
  for (const line of lines) {
    out = [];
    err = '';
    rc = await shell.run(line);
  }
  return { rc, out: new TextDecoder(encoding).decode(concat(out)), err };
}
