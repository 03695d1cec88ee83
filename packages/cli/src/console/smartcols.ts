/**
 * Tables as util-linux prints them (libsmartcols): aligned columns, raw, pairs, or JSON; and its way of writing sizes.
 */

export interface ColumnSpec<Row> {
  readonly name: string;
  readonly right?: boolean;
  /** A width to take where the cells fill the heading's, but not this. */
  readonly hint?: number;
  readonly json?: 'number' | 'boolean' | 'strings';
  readonly get: (row: Row) => string;
}

export interface TableOptions {
  readonly headings?: boolean;
  readonly format?: 'table' | 'raw' | 'pairs' | 'list';
}

/** Lines of a table. A left-aligned last column is not padded. */
export function formatTable<Row>(columns: readonly ColumnSpec<Row>[], rows: readonly Row[], { headings = true, format = 'table' }: TableOptions = {}): string {
  const cells = rows.map((row) => columns.map((column) => column.get(row)));
  if (format === 'pairs') {
    return lines(cells.map((row) => columns.map(({ name }, index) => `${name}="${row[index]!.trim().replace(/["\\]/g, '\\$&')}"`).join(' ')));
  }
  const head = headings ? [columns.map(({ name }) => name)] : [];
  if (format === 'raw') return lines([...head, ...cells.map((row) => row.map(rawCell))].map((row) => row.join(' ')));
  const all = [...head, ...cells];
  const widths = columns.map((column, index) => {
    const cell = cells.reduce((widest, row) => Math.max(widest, row[index]!.length), 0);
    const heading = column.name.length; // even where headings are not printed
    return cell < heading ? heading : Math.max(cell, heading < (column.hint ?? 0) ? column.hint! : 0);
  });
  const pad = (text: string, index: number): string => {
    if (columns[index]!.right) return text.padStart(widths[index]!);
    return index === columns.length - 1 ? text : text.padEnd(widths[index]!);
  };
  return lines(all.map((row) => row.map(pad).join(' ')));
}

/** Blanks in a raw cell would make two of it. */
function rawCell(text: string): string {
  return text.trim().replace(/[\s\\]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('');
}

export interface JsonRow<Row> {
  readonly row: Row;
  readonly children?: readonly JsonRow<Row>[];
}

/** `{ "name": [ {…},{…} ] }` in libsmartcols' layout. */
export function formatJson<Row>(name: string, columns: readonly ColumnSpec<Row>[], rows: readonly JsonRow<Row>[]): string {
  return `{\n   "${name}": [\n${jsonRows(columns, rows, '      ')}\n   ]\n}\n`;
}

function jsonRows<Row>(columns: readonly ColumnSpec<Row>[], rows: readonly JsonRow<Row>[], indent: string): string {
  const inner = `${indent}   `;
  const objects = rows.map(({ row, children }) => {
    const fields = columns.map((column) => `${inner}"${column.name.toLowerCase()}": ${jsonValue(column, column.get(row).trim(), inner)}`);
    if (children && children.length > 0) fields.push(`${inner}"children": [\n${jsonRows(columns, children, `${inner}   `)}\n${inner}]`);
    return `{\n${fields.join(',\n')}\n${indent}}`;
  });
  return `${indent}${objects.join(',')}`;
}

function jsonValue<Row>({ json }: ColumnSpec<Row>, text: string, indent: string): string {
  if (json === 'boolean') return String(text === '1' || text === 'yes' || text === 'Y');
  if (json === 'strings') {
    return `[\n${indent}    ${
      text === ''
        ? 'null'
        : text
            .split('\n')
            .map((part) => JSON.stringify(part))
            .join(`,\n${indent}    `)
    }\n${indent}]`;
  }
  if (text === '') return 'null';
  return json === 'number' ? text : JSON.stringify(text);
}

/** `128M`, `2.9G`, `0B`: at most one decimal, rounded. Mirrors lib/strutils.c: size_to_human_string. */
export function humanSize(bytes: number): string {
  const exponent = bytes < 1024 ? 0 : Math.min(6, Math.floor(Math.log2(bytes) / 10));
  const unit = 1024 ** exponent;
  let whole = Math.floor(bytes / unit);
  let tenths = Math.floor(Math.floor(((bytes % unit) * 1000) / unit + 50) / 100);
  if (tenths === 10) {
    whole++;
    tenths = 0;
  }
  return `${whole}${tenths > 0 ? `.${tenths}` : ''}${'BKMGTPE'[exponent]}`;
}

/**
 * The columns that `-o` names: a list, or with a leading `+` an addition to the default.
 * @returns the unknown name, if there is one.
 */
export function chooseColumns<Row>(all: readonly ColumnSpec<Row>[], byDefault: readonly string[], list: string | undefined): ColumnSpec<Row>[] | string {
  const names = list === undefined ? [...byDefault] : [...(list.startsWith('+') ? byDefault : []), ...list.replace(/^\+/, '').split(',')];
  const chosen: ColumnSpec<Row>[] = [];
  for (const name of names) {
    const column = all.find((spec) => spec.name === name.toUpperCase());
    if (!column) return name;
    chosen.push(column);
  }
  return chosen;
}
