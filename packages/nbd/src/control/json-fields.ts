/**
 * Fields of a JSON object, taken one by one and checked; what nobody took is refused.
 */
import { ControlError } from './control-protocol.js';

export interface Fields {
  /** The field's value, undefined if it is not there. */
  take(name: string): unknown;
  /** Refuse what was not taken. @throws ControlError EINVAL */
  end(): void;
}

/** @throws ControlError EINVAL for what is no object */
export function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ControlError('EINVAL', `${what}: expected an object`);
  const left = new Map(Object.entries(value));
  return {
    take(name) {
      const found: unknown = left.get(name);
      left.delete(name);
      return found;
    },
    end() {
      const [unknown] = left.keys();
      if (unknown !== undefined) throw new ControlError('EINVAL', `${what}: '${unknown.slice(0, 64)}' is not known`);
    },
  };
}

/** Makes a value of what was sent. @throws ControlError EINVAL, naming the field */
type Check<T> = (value: unknown, name: string) => T;

/** `{ [name]: value }`, or nothing if the field is not there. */
export function optional<K extends string, T>(fields: Fields, name: K, check: Check<T>): { [P in K]?: T } {
  const value = fields.take(name);
  return value === undefined ? {} : ({ [name]: check(value, name) } as { [P in K]?: T });
}

export function wholeNumber(least: number, most: number): Check<number> {
  return (value, name) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      throw new ControlError('EINVAL', `${name}: expected a whole number from ${least} to ${most}`);
    }
    return value;
  };
}

export function numberWithin(above: number, most: number): Check<number> {
  return (value, name) => {
    if (typeof value !== 'number' || !(value > above && value <= most)) {
      throw new ControlError('EINVAL', `${name}: expected a number above ${above}, at most ${most}`);
    }
    return value;
  };
}

export function boundedString(mostBytes: number): Check<string> {
  return (value, name) => {
    if (typeof value !== 'string' || value === '' || Buffer.byteLength(value) > mostBytes) {
      throw new ControlError('EINVAL', `${name}: expected 1 to ${mostBytes} bytes of text`);
    }
    return value;
  };
}

/** A number of any length, in decimal. */
export const decimal: Check<string> = (value, name) => {
  if (typeof value !== 'string' || !/^(0|[1-9]\d{0,19999})$/.test(value)) throw new ControlError('EINVAL', `${name}: expected a decimal number as a string`);
  return value;
};

export function chooseOf<T extends string>(values: readonly T[]): Check<T> {
  return (value, name) => {
    if (!values.includes(value as T)) throw new ControlError('EINVAL', `${name}: expected one of ${values.join(', ')}`);
    return value as T;
  };
}
