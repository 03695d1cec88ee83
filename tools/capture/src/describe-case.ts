/** A case as it is described: `case.json`, and `boot2/case.json`, … for later boots on the same backing files. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface CaseDescription {
  readonly name: string;
  readonly group?: string;
  readonly title?: string;
  readonly boot?: number;
  readonly boots?: number;
  readonly cpu: string;
  /** QEMU's arguments that make the machine; `{B}` stands for the folder of the backing files. */
  readonly qemu: readonly string[];
  readonly cmdline: string;
  readonly guest: string;
  /** Backing files to make, and their sizes in bytes. */
  readonly backing: Readonly<Record<string, number>>;
}

/** All boots of a case. @throws Error that names the file and what is wrong in it */
export function readCase(directory: string): CaseDescription[] {
  const boots = [join(directory, 'case.json')];
  for (let boot = 2; existsSync(join(directory, `boot${boot}`, 'case.json')); boot++) boots.push(join(directory, `boot${boot}`, 'case.json'));
  return boots.map((path) => parseDescription(readFileSync(path, 'utf8'), path));
}

/** @param path names the text in messages */
export function parseDescription(text: string, path: string): CaseDescription {
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return fail(String(error));
  }
  const given = parsed as Partial<CaseDescription>;
  if (typeof given !== 'object' || given === null) fail('expected an object');
  for (const field of ['name', 'cmdline', 'guest'] as const) if (typeof given[field] !== 'string') fail(`expected a string '${field}'`);
  if (!/^[\w.-]+$/.test(given.name!)) fail(`'${given.name}' names no folder`);
  if (!Array.isArray(given.qemu) || given.qemu.some((arg) => typeof arg !== 'string')) fail(`expected a list of strings 'qemu'`);
  for (const [name, size] of Object.entries(given.backing ?? {})) {
    if (!/^[\w.-]+$/.test(name) || !Number.isSafeInteger(size) || size < 0) fail(`expected file names and sizes in 'backing'`);
  }
  return { cpu: 'max,la57=off', backing: {}, ...given } as CaseDescription;
}
