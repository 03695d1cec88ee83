/**
 * Boots of real machines under Linux 3.6 to 6.4: what each log says of its memory map, in the words of its own release.
 * The logs are excerpts, so that a kind of line may be missing from one; where a log has the kind, all of it must be equal, in order.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { parseRelease } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type E820Firmware, parseE820Text } from '../src/index.js';
import { replay } from './replay.js';

const folder = new URL('data/real/', import.meta.url);
const logs = readdirSync(folder).map((name) => ({ name, text: readFileSync(new URL(name, folder), 'utf8') }));

const KINDS = {
  'firmware map': /^(?:e820: )?BIOS-provided physical RAM map:|^BIOS-e820: /,
  'setup_data map': /^(?:e820: )?extended physical RAM map:|^reserve setup_data: /,
  'user map': /^(?:e820: )?user-defined physical RAM map:|^user: /,
  'edits': /^e820: (?:update|remove) /,
  'EFI MMIO': /^efi: (?:Remove|Not removing) /,
  'last_pfn': /last_pfn = /,
  'nosave regions': /Registered nosave memory/,
  'PCI gap': /available for PCI devices/,
  'RAM buffers': /^e820: reserve RAM buffer/,
} as const;

/** Integrated graphics of this machine hold 32 MiB that the excerpt does not tell of, except by the lines after. */
const STOLEN: Partial<Record<string, { start: bigint; end: bigint }>> = { 'hp-286-g2.txt': { start: 0x7c800000n, end: 0x7e800000n } };

function firmwareOf(name: string, text: string): E820Firmware {
  const firmware = parseE820Text(text);
  const stolen = STOLEN[name];
  return stolen ? { ...firmware, lateEdits: [...firmware.lateEdits, { kind: 'graphics-stolen', ...stolen }] } : firmware;
}

describe('a real boot log', () => {
  const compared = logs.flatMap(({ name, text }) => {
    const firmware = firmwareOf(name, text);
    const { lines } = replay(firmware, firmware.cmdline!, parseRelease(firmware.release!), firmware.maxArchPfn!);
    return Object.entries(KINDS).flatMap(([kind, pattern]) => {
      const want = text.split('\n').filter((line) => pattern.test(line));
      const got = lines.map((line) => line.text).filter((line) => pattern.test(line));
      return want.length > 0 ? [{ name, kind, want, got }] : [];
    });
  });

  it.each(compared)('$name: $kind', ({ want, got }) => expect(got).toEqual(want));

  it('has each kind of line in several logs, from 3.6 to 6.4', () => {
    const releases = logs.map(({ text }) => parseE820Text(text).release!);
    expect(releases).toContain('3.6.11-4.fc16.x86_64');
    expect(releases).toContain('6.4.7-1-cachyos-lto');
    for (const kind of Object.keys(KINDS).filter((each) => each !== 'user map')) {
      expect(compared.filter((each) => each.kind === kind).length, kind).toBeGreaterThan(1);
    }
  });

  it.each(logs)('$name gives no user map, setup_data or edits that it does not print', ({ name, text }) => {
    const firmware = firmwareOf(name, text);
    const { lines } = replay(firmware, firmware.cmdline!, parseRelease(firmware.release!), firmware.maxArchPfn!);
    for (const kind of ['setup_data map', 'user map', 'EFI MMIO'] as const) {
      expect(lines.some((line) => KINDS[kind].test(line.text)), kind).toBe(text.split('\n').some((line) => KINDS[kind].test(line)));
    }
  });
});
