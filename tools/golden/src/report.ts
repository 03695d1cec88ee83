/**
 * The table of a run: cases, facts compared, facts equal, then each difference, then what was left out and why.
 */
import type { CaseResult } from './run-case.js';

export interface Summary {
  readonly cases: number;
  readonly casesEqual: number;
  readonly compared: number;
  readonly equal: number;
}

export function summarize(results: readonly CaseResult[]): Summary {
  const compared = sum(results, (result) => result.compared);
  return {
    cases: results.length,
    casesEqual: results.filter(({ differences }) => differences.length === 0).length,
    compared,
    equal: compared - sum(results, (result) => result.differences.length),
  };
}

const MAX_DIFFERENCES = 12;

/** @param all print every difference, not only a case's first ones */
export function formatReport(results: readonly CaseResult[], all = false): string {
  const groups = [...new Set(results.map(({ group }) => group))];
  const rows = [['group', 'cases', 'equal', 'facts', 'equal', 'different']];
  const row = (name: string, some: readonly CaseResult[]): string[] => {
    const { cases, casesEqual, compared, equal } = summarize(some);
    return [name, ...[cases, casesEqual, compared, equal, compared - equal].map(String)];
  };
  for (const group of groups) rows.push(row(group, results.filter((result) => result.group === group)));
  rows.push(row('all', results));
  const lines = [formatRows(rows), ''];
  for (const { name, differences, failure } of results.filter((result) => result.differences.length > 0)) {
    lines.push(`${name}: ${differences.length} different`);
    if (failure !== undefined) lines.push(failure.replace(/^/gm, '    '));
    const shown = all ? differences : differences.slice(0, MAX_DIFFERENCES);
    for (const { path, expected, actual } of shown) lines.push(`  ${path}: expected ${show(expected)}, got ${show(actual)}`);
    if (shown.length < differences.length) lines.push(`  … and ${differences.length - shown.length} more (--all shows them)`);
  }
  const leftOut = new Map<string, number>();
  for (const result of results) for (const [reason, count] of result.leftOut) leftOut.set(reason, (leftOut.get(reason) ?? 0) + count);
  if (leftOut.size > 0) lines.push('', 'Not compared:', ...[...leftOut].map(([reason, count]) => `  ${String(count).padStart(6)}  ${reason}`));
  return `${lines.join('\n')}\n`;
}

function formatRows(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ')).join('\n');
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

function sum(results: readonly CaseResult[], of: (result: CaseResult) => number): number {
  return results.reduce((total, result) => total + of(result), 0);
}
