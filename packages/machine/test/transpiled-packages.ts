/**
 * The packages as plain JavaScript in a fresh directory, for tests that need real processes of their own and no build before them.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const packages = join(import.meta.dirname, '../..');
const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };

/** Make the directory, with `script` in it; returns its path and that of the script. */
export function transpilePackages(names: readonly string[], script: string): { dir: string; script: string } {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-'));
  for (const name of names) {
    const to = join(dir, 'node_modules/@holdfast', name);
    mkdirSync(to, { recursive: true });
    writeFileSync(join(to, 'package.json'), JSON.stringify({ type: 'module', exports: { '.': './index.js', './node': './node/index.js' } }));
    transpileFolder(join(packages, name, 'src'), to);
  }
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ type: 'module' }));
  cpSync(join(import.meta.dirname, script), join(dir, script));
  return { dir, script: join(dir, script) };
}

function transpileFolder(from: string, to: string): void {
  for (const file of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    const target = join(to, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, ts.transpileModule(readFileSync(join(from, file), 'utf8'), { compilerOptions }).outputText);
  }
}
