import { GIB, nodeId, pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { errno, file, setUp } from '../test/small-machine.js';

describe('memory blocks', () => {
  it('are there for each group of sections with memory', () => {
    const { blocks } = setUp();
    expect([...blocks.numbers()]).toEqual([...Array.from({ length: 16 }, (_, nr) => nr), 32, 33, 34, 35]);
    expect([blocks.count, blocks.has(15), blocks.has(16)]).toEqual([20, true, false]);
    expect([...setUp({ blockSize: GIB }).blocks.numbers()]).toEqual([0, 1, 4]);
  });

  it('belong to a zone if one populated zone alone touched them at boot, and to none otherwise', () => {
    const { blocks } = setUp();
    const zones = [0, 1, 15, 35].map((nr) => file(blocks, nr, 'valid_zones').show!());
    expect(zones).toEqual(['none\n', 'DMA32\n', 'DMA32\n', 'Normal\n']);
    expect(blocks.nodes(35)).toEqual([1]);
  });

  it.each<[nr: number, name: string, text: string, result: string]>([
    [1, 'state', 'online\n', 'EINVAL'],
    [1, 'state', 'online_movable', 'EINVAL'],
    [1, 'state', 'away', 'EINVAL'],
    [1, 'state', '', 'EINVAL'],
    [1, 'state', 'offline', 'ok'],
    [0, 'state', 'offline', 'EINVAL'], // two zones
    [15, 'state', 'offline', 'EINVAL'], // a hole at its end
    [2, 'state', 'offline', 'EBUSY'],
    [1, 'online', '1\n', 'ok'],
    [1, 'online', '0\n', 'ok'],
    [0, 'online', '0', 'EINVAL'],
    [1, 'online', 'maybe', 'EINVAL'],
  ])('memory%d: a write to %s of %j gives %s', (nr, name, text, result) => {
    const { blocks, onliner } = setUp();
    onliner.busy.add(2 * 32768 + 7);
    expect(errno(() => file(blocks, nr, name).store!(text))).toBe(result);
    expect(blocks.isOnline(nr)).toBe(!(result === 'ok' && /off|0/.test(text)));
  });

  it('go offline and come back to the zone they are told, and say so', () => {
    const { blocks, sections, onliner } = setUp();
    const [state, online, valid] = ['state', 'online', 'valid_zones'].map((name) => file(blocks, 6, name));
    const seen = (): string[] => [state!, online!, valid!].map(({ show }) => show!().trim());
    state!.store!('offline\n');
    expect(seen()).toEqual(['offline', '0', 'DMA32 Movable']);
    expect(sections.pfnIsOnline(pfn(6 * 32768))).toBe(false);
    expect(errno(() => state!.store!('offline'))).toBe('EINVAL');
    expect(errno(() => online!.store!('0'))).toBe('ok');
    state!.store!('online_movable');
    expect(seen()).toEqual(['online', '1', 'Movable']);
    expect(sections.pfnIsOnline(pfn(6 * 32768))).toBe(true);
    // Zones overlap in the blocks between 6 and 8 now, but those of boot stay where they are.
    file(blocks, 8, 'state').store!('offline');
    file(blocks, 8, 'state').store!('online_movable');
    expect(file(blocks, 7, 'valid_zones').show!()).toBe('DMA32\n');
    expect(onliner.events).toEqual(['- 196608-229376 DMA32', '+ 196608-229376 Movable', '- 262144-294912 DMA32', '+ 262144-294912 Movable']);
  });

  it('remember how they were asked to be online while they were, for when nobody says how', () => {
    const { blocks } = setUp();
    const [state, online, valid] = ['state', 'online', 'valid_zones'].map((name) => file(blocks, 6, name));
    expect(errno(() => state!.store!('online_movable'))).toBe('EINVAL');
    const zones = ['0', '1', '0', '1'].map((text) => {
      online!.store!(text);
      return valid!.show!().trim();
    });
    expect(zones).toEqual(['DMA32 Movable', 'Movable', 'DMA32 Movable', 'DMA32']); // once
  });

  it.each([['0x120000000', 'ok'], ['0x100000000', 'EEXIST'], ['0x100001000\n', 'EINVAL'], ['there', 'EINVAL'], ['', 'EINVAL']])('a probe of %j gives %s', (text, result) => {
    const { blocks } = setUp();
    expect(errno(() => blocks.directoryAttributes().find(({ name }) => name === 'probe')!.store!(text))).toBe(result);
    expect(blocks.has(36)).toBe(result === 'ok');
  });

  it('remember what is to happen with new memory', () => {
    const { blocks, hotplug } = setUp();
    const auto = blocks.directoryAttributes().find(({ name }) => name === 'auto_online_blocks')!;
    expect(auto.show!()).toBe('offline\n');
    auto.store!('online_movable\n');
    expect(auto.show!()).toBe('online_movable\n');
    expect(errno(() => auto.store!('sometimes'))).toBe('EINVAL');
    hotplug.addMemory(nodeId(1), 0x1_2000_0000, 0x800_0000);
    expect(file(blocks, 36, 'valid_zones').show!()).toBe('Movable\n');
  });
});
