/** Files, each written and brought to the disk by fsync, beside others that nobody waits for. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CrashWork } from './crash-work.js';

/** No more files than fit. */
const MAX_FILES = 400;
/** Bytes of file `i`, in sh and in JavaScript. */
const SIZE = '1 + i * 7919 % 60000';

export const FILE_WORK: CrashWork = {
  unit: 'files with fsync',
  script: `i=0
while [ $i -lt ${MAX_FILES} ]; do
  i=$((i + 1))
  if yes "synced file $i" | head -c $((${SIZE})) | dd of=/m/s$i bs=4096 conv=fsync 2>/dev/null; then echo "@@synced $i"; else break; fi
  yes "open file $i" | head -c $((i * 331 % 40000)) >/m/o$((i % 7))
  [ $((i % 3)) = 0 ] && mv /m/o$((i % 7)) /m/r$i
  [ $((i % 5)) = 0 ] && rm -f /m/r$((i - 2))
done`,
  files: (synced) => synced.map((nr) => `s${nr}`),
  trouble(folder, synced) {
    for (const nr of synced) {
      const path = join(folder, `s${nr}`);
      if (!existsSync(path)) return `file ${nr} is not there`;
      if (!readFileSync(path).equals(contentOf(nr))) return `file ${nr} holds something else`;
    }
    return undefined;
  },
};

function contentOf(nr: number): Buffer {
  const size = 1 + ((nr * 7919) % 60_000);
  const line = `synced file ${nr}\n`;
  return Buffer.from(line.repeat(Math.ceil(size / line.length)).slice(0, size));
}
