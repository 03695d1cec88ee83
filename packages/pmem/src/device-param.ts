/**
 * A module parameter that says something of each pmem disk: `word` for all, `pmem0:word` for one, or both, with commas between.
 */
import type { ParamSpec } from '@holdfast/lib';

/** What such a parameter holds. */
export interface DeviceParam<T> {
  /** For devices that are not named. */
  readonly all: T | undefined;
  /** By disk name. */
  readonly devices: ReadonlyMap<string, T>;
}

/** How one word is read. @throws KernelError EINVAL, naming the word and what was expected */
export type ParseWord<T> = (word: string) => T;

/**
 * Read `wb`, or `pmem0:wt,pmem1:uc`, or both: `wb,pmem1:uc`. Of two words for the same device the last one counts.
 * @throws KernelError EINVAL, naming the word that is none
 */
export function parseDeviceParam<T>(text: string, parseWord: ParseWord<T>): DeviceParam<T> {
  let all: T | undefined;
  const devices = new Map<string, T>();
  for (const part of text.trim().split(',')) {
    const colon = part.lastIndexOf(':');
    // Without a name before its colon, the part as a whole is no word.
    const value = parseWord(colon === 0 ? part : part.slice(colon + 1));
    if (colon < 0) all = value;
    else devices.set(part.slice(0, colon), value);
  }
  return { all, devices };
}

export function formatDeviceParam<T>({ all, devices }: DeviceParam<T>, formatWord: (value: T) => string = String): string {
  return [...(all === undefined ? [] : [formatWord(all)]), ...[...devices].map(([name, value]) => `${name}:${formatWord(value)}`)].join(',');
}

/** For moduleParams('pmem', …). A device takes a new value when it is bound again. */
export function deviceParam<T>(parseWord: ParseWord<T>): ParamSpec<DeviceParam<T>> {
  return {
    initial: { all: undefined, devices: new Map() },
    mode: 0o644,
    noArgument: false,
    parse: (text) => parseDeviceParam(text, parseWord),
    format: (value) => formatDeviceParam(value),
  };
}

/** What a parameter says of one disk: its own word, else the one for all. */
export function deviceValue<T>(param: DeviceParam<T> | undefined, diskName: string): T | undefined {
  return param?.devices.get(diskName) ?? param?.all;
}
