/**
 * The rules of the house that no linter has: every file reachable, every package documented, nothing left lying about.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LAYERS, PACKAGES, importableBy } from '@holdfast/layers';

const ROOT = join(import.meta.dirname, '../../..');

interface Manifest {
  dependencies?: Record<string, string>;
  exports: Record<string, unknown>;
  description?: string;
}

const sourcesOf = (name: string): string[] =>
  readdirSync(join(ROOT, 'packages', name, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => join(ROOT, 'packages', name, 'src', file));
const read = (file: string): string => readFileSync(file, 'utf8');
const manifestOf = (name: string): Manifest => JSON.parse(read(join(ROOT, 'packages', name, 'package.json'))) as Manifest;

describe('the list of layers', () => {
  it('names exactly the packages that there are', () => {
    expect([...PACKAGES].sort()).toEqual(readdirSync(join(ROOT, 'packages')).sort());
  });

  it('is what ARCHITECTURE.md draws', () => {
    const map = read(join(ROOT, 'ARCHITECTURE.md'));
    const tools = readdirSync(join(ROOT, 'tools'), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name);
    for (const name of [...LAYERS.flat(), ...tools]) expect(map, `ARCHITECTURE.md has no word on ${name}`).toContain(`**${name}**`);
  });
});

describe.each(PACKAGES)('%s', (name) => {
  const sources = sourcesOf(name);
  const code = sources.filter((file) => !file.endsWith('.test.ts'));

  it('depends on what it imports and on nothing else, none of it above itself', () => {
    const imported = new Set(code.flatMap((file) => [...read(file).matchAll(/from '@holdfast\/([a-z0-9-]+)/g)].map((match) => match[1]!)));
    const declared = Object.keys(manifestOf(name).dependencies ?? {}).filter((dep) => dep.startsWith('@holdfast/')).map((dep) => dep.slice(10));
    expect(declared.sort()).toEqual([...imported].sort());
    const allowed = importableBy(name);
    expect(declared.filter((dep) => !allowed.includes(dep))).toEqual([]);
  });

  it('has no file that nothing imports', () => {
    const entries = new Set(['index.ts', 'main.ts']);
    const texts = sources.map(read).join('\n');
    const dead = code.filter((file) => !entries.has(basename(file)) && !texts.includes(`/${basename(file, '.ts')}.js'`));
    expect(dead.map((file) => relative(ROOT, file))).toEqual([]);
  });

  it('has no line wider than 160 columns, but for text that cannot be cut', () => {
    const isWide = (line: string): boolean => line.length > 160 && !/(['"`]).{60,}\1|\/.{60,}\//.test(line);
    const wide = code.flatMap((file) => read(file).split('\n').flatMap((line, index) => (isWide(line) ? [`${relative(ROOT, file)}:${index + 1}`] : [])));
    expect(wide).toEqual([]);
  });

  it('opens each file with what it is', () => {
    const bare = code.filter((file) => basename(file) !== 'index.ts' && !read(file).startsWith('/**'));
    expect(bare.map((file) => relative(ROOT, file))).toEqual([]);
  });

  it('has exports only in its index', () => {
    const statements = read(join(ROOT, 'packages', name, 'src/index.ts')).replace(/\/\/.*$/gm, '').split(';').map((text) => text.trim());
    expect(statements.filter((text) => text !== '' && !text.startsWith('export'))).toEqual([]);
  });

  it('has a description and a README', () => {
    expect(manifestOf(name).description).toBeTruthy();
    expect(existsSync(join(ROOT, 'packages', name, 'README.md'))).toBe(true);
  });

  it('has no leftover marks and no file that outgrew its concept', () => {
    const marks = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].map((mark) => `\\b${mark}\\b`).join('|'));
    expect(code.filter((file) => marks.test(read(file))).map((file) => relative(ROOT, file))).toEqual([]);
    expect(code.filter((file) => read(file).split('\n').length > 600).map((file) => relative(ROOT, file))).toEqual([]);
  });
});
