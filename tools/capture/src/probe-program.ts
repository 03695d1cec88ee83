/** The program `probe` for guests, compiled from guest/probe.c where there is a C compiler. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../guest/probe.c', import.meta.url));

/** By its path in the guest; nothing without a compiler, and a script that calls it then gets status 127. @throws Error if it does not compile */
export function buildProbe(): Map<string, Buffer> {
  const scratch = mkdtempSync(join(tmpdir(), 'probe-'));
  try {
    const program = join(scratch, 'probe');
    const { error, status, stderr } = spawnSync('cc', ['-O1', '-static', '-o', program, SOURCE], { encoding: 'utf8' });
    if (error) return new Map();
    if (status !== 0) throw new Error(`cc: ${stderr}`);
    return new Map([['usr/bin/probe', readFileSync(program)]]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
