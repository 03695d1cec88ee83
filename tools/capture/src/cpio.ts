/** Archives in the "newc" format, which a kernel unpacks as its first root (Linux: Documentation/driver-api/early-userspace/buffer-format.rst). */
import { dirname } from 'node:path';

const DIRECTORY = 0o40755;
const PROGRAM = 0o100755;
const LINK = 0o120777;

/** A file's bytes, or where a symbolic link leads. */
export type CpioFile = Buffer | { readonly link: string };

/** An archive of files by path, without a leading `/`; folders are made where a path needs them. */
export function cpioArchive(files: ReadonlyMap<string, CpioFile>, emptyFolders: readonly string[] = []): Buffer {
  const folders = new Set(emptyFolders);
  for (const path of files.keys()) for (let at = dirname(path); at !== '.'; at = dirname(at)) folders.add(at);
  const entries = [...folders].sort().map((path) => entry(path, DIRECTORY, Buffer.alloc(0)));
  for (const [path, file] of files) entries.push(Buffer.isBuffer(file) ? entry(path, PROGRAM, file) : entry(path, LINK, Buffer.from(file.link)));
  return Buffer.concat([...entries, entry('TRAILER!!!', 0, Buffer.alloc(0))]);
}

function entry(path: string, mode: number, data: Buffer): Buffer {
  const name = Buffer.from(`${path}\0`);
  const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(data)]);
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
}
