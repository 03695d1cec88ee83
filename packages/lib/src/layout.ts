/**
 * Fixed binary records, declared once and then read and written: NFIT structures, partition tables, labels, info blocks.
 * Little-endian, as every format of this field on x86. 64-bit fields are bigints: this is the one edge where they live.
 */
import { KernelError } from './kernel-error.js';

/** A field: where it lies, how many bytes it takes, and how it is read and written there. */
export interface Field<T> {
  readonly at: number;
  readonly size: number;
  read(view: DataView, at: number): T;
  write(view: DataView, at: number, value: T): void;
}

type Fields = Record<string, Field<unknown>>;
/** The record that a layout's fields describe. */
export type RecordOf<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never };

export interface Layout<F extends Fields> {
  readonly name: string;
  readonly size: number;
  readonly fields: F;
  /** Read the record at `at`. @throws KernelError EINVAL if the bytes end before it does. */
  decode(bytes: Uint8Array, at?: number): RecordOf<F>;
  /** Write the record at `at`; bytes between fields stay as they are. @throws KernelError EINVAL as above. */
  encode(record: RecordOf<F>, bytes: Uint8Array, at?: number): void;
}

export function u8(at: number): Field<number> {
  return { at, size: 1, read: (view, pos) => view.getUint8(pos), write: (view, pos, value) => view.setUint8(pos, value) };
}

export function u16(at: number): Field<number> {
  return { at, size: 2, read: (view, pos) => view.getUint16(pos, true), write: (view, pos, value) => view.setUint16(pos, value, true) };
}

export function u32(at: number): Field<number> {
  return { at, size: 4, read: (view, pos) => view.getUint32(pos, true), write: (view, pos, value) => view.setUint32(pos, value, true) };
}

export function u64(at: number): Field<bigint> {
  return { at, size: 8, read: (view, pos) => view.getBigUint64(pos, true), write: (view, pos, value) => view.setBigUint64(pos, value, true) };
}

/** Raw bytes; reading copies them, writing takes at most `size` and fills up with zeros. */
export function bytes(at: number, size: number): Field<Uint8Array> {
  return {
    at,
    size,
    read: (view, pos) => new Uint8Array(view.buffer, view.byteOffset + pos, size).slice(),
    write(view, pos, value) {
      const target = new Uint8Array(view.buffer, view.byteOffset + pos, size);
      target.fill(0);
      target.set(value.subarray(0, size));
    },
  };
}

/** ASCII text, ended by the first NUL or by the field. */
export function ascii(at: number, size: number): Field<string> {
  const raw = bytes(at, size);
  return {
    at,
    size,
    read(view, pos) {
      const all = raw.read(view, pos);
      const end = all.indexOf(0);
      return String.fromCharCode(...(end < 0 ? all : all.subarray(0, end)));
    },
    write: (view, pos, value) => raw.write(view, pos, Uint8Array.from(value, (char) => char.charCodeAt(0))),
  };
}

/** Declare a record of `size` bytes. */
export function layout<F extends Fields>(name: string, size: number, fields: F): Layout<F> {
  const viewAt = (data: Uint8Array, at: number): DataView => {
    if (at < 0 || at + size > data.length) {
      throw new KernelError('EINVAL', `${name} at byte ${at}: expected ${size} bytes, ${Math.max(0, data.length - at)} are left`);
    }
    return new DataView(data.buffer, data.byteOffset + at, size);
  };
  return {
    name,
    size,
    fields,
    decode(data, at = 0) {
      const view = viewAt(data, at);
      const record = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.read(view, field.at)]));
      return record as RecordOf<F>;
    },
    encode(record, data, at = 0) {
      const view = viewAt(data, at);
      for (const [key, field] of Object.entries(fields)) field.write(view, field.at, record[key as keyof F]);
    },
  };
}
