import { describe, expect, test } from 'vitest';
import { pmemDisk } from '../../test/fixture.js';
import { type PowerDomain } from './power-domain.js';
import { cutPower } from './cut.js';
import { createStateExports } from './state-exports.js';
import { findState, parseStateName, sampleNames } from './state-names.js';

const IMAGE = { sizeBytes: 4096, isKnownZero: () => true, read: (_: number, target: Uint8Array) => void target.fill(0), write() {}, release() {} };

/** A store with so many open bytes, two contents each. */
function domain(open: number): PowerDomain {
  const images = [Uint8Array.of(0), Uint8Array.of(1)];
  return {
    stores: [{ name: 'sda', sizeBytes: 4096, freeze: () => IMAGE }],
    undecided: () => Array.from({ length: open }, (_, i) => ({ store: 'sda', offset: i, images, history: [{ serial: -1, image: 0 }, { serial: i, image: 1 }] })),
    applyOutcome() {},
  };
}

function cutOf(open: number): ReturnType<typeof cutPower> {
  return cutPower([domain(open)], { nr: 3, keep: 'none', seed: 0, ranges: new Map([['sda', [{ store: 'sda', start: 0, end: 4096 }]]]) });
}

describe('names of states', () => {
  test.each([
    ['sda@cut-3/state-42', { exportName: 'sda', cut: 3, state: 'state-42' }],
    ['a@b@cut-12/none', { exportName: 'a@b', cut: 12, state: 'none' }],
    ['sda@cut-3', undefined],
    ['sda@cut-0/state-1', undefined],
    ['@cut-1/state-1', undefined],
    ['sda@cut-1/../x', undefined],
  ])('%s', (name, wanted) => expect(parseStateName(name)).toEqual(wanted));

  test.each([
    ['state-0', 0n], ['state-7', 7n], ['state-8', undefined], ['state-07', undefined], ['none', 0n], ['all', 7n], ['kept', 0n], ['sample-5-0', 0n], ['sample-5-1', 7n], ['nothing', undefined],
  ])('%s of eight', (state, wanted) => {
    const cut = cutOf(3);
    expect(findState(cut, cut.states('sda')!, state)).toBe(wanted);
  });

  test('samples are different states, all of them if they are few, and the same for the same seed', () => {
    const few = cutOf(3);
    expect(sampleNames(few, few.states('sda')!, { most: 8, seed: 1 })).toEqual(Array.from({ length: 8 }, (_, i) => `state-${i}`));
    const many = cutOf(4000);
    const space = many.states('sda')!;
    const names = sampleNames(many, space, { most: 50, seed: 1 });
    expect(new Set(names.map((name) => findState(many, space, name))).size).toBe(50);
    expect(sampleNames(many, space, { most: 50, seed: 1 })).toEqual(names);
    expect(sampleNames(many, space, { most: 50, seed: 2 })).not.toEqual(names);
  });
});

describe('exports of states', () => {
  const boots: string[] = [];
  const closed: string[] = [];
  const disk = pmemDisk(2 ** 22);
  const cut = cutOf(6);
  const states = createStateExports({
    cuts: () => [cut],
    boot: (_cut, stores) => {
      const bytes = new Uint8Array(6);
      stores.get('sda')!.read(0, bytes, 0, 6);
      boots.push(bytes.join(''));
      return { disk: (name) => (name === 'sda' ? disk : undefined), close: () => closed.push(bytes.join('')) };
    },
  });

  test('boot when their disk is asked for, once for all clients, and go with the last one', () => {
    const found = states.find('sda@cut-3/state-5')!;
    expect(boots).toEqual([]);
    expect(found.disk()).toBe(disk);
    const [first, second] = [found.use!(), states.find('sda@cut-3/state-5')!.use!()];
    expect([boots, states.running]).toEqual([['101000'], 1]);
    first();
    expect(states.running).toBe(1);
    second();
    expect([states.running, closed]).toEqual([0, ['101000']]);
  });

  test('those that nobody uses do not pile up', () => {
    for (let i = 0; i < 40; i++) states.find(`sda@cut-3/state-${i}`)!.disk();
    expect(states.running).toBeLessThanOrEqual(4);
    states.close();
    expect(states.running).toBe(0);
  });

  test.each(['sda@cut-2/state-0', 'sda@cut-3/state-64', 'sdb@cut-3/state-0', 'sda'])('%s is none', (name) => expect(states.find(name)).toBeUndefined());
});
