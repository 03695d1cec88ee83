import fc from 'fast-check';
import { KernelError, parseRelease } from '@holdfast/lib';
import type { ErrnoName } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createBus, driverAttributes } from './bus.js';
import { createRootDevice, devicePath } from './device.js';
import type { Device } from './device.js';
import type { Driver } from './driver.js';

/** The smallest driver there is: it takes every device and does nothing with it. */
const nullDriver: Driver<Device> = { name: 'null', match: () => true, probe: () => () => {} };

function refusing(name: string, code: ErrnoName): Driver<Device> {
  return {
    ...nullDriver,
    name,
    probe: () => {
      throw new KernelError(code, 'refused by the test');
    },
  };
}

/** A bus that keeps its log, and a driver maker that keeps what its drivers did. */
function setUp(release = '6.1'): { bus: ReturnType<typeof createBus<Device>>; log: string[]; events: string[]; recording: (name: string) => Driver<Device> } {
  const log: string[] = [];
  const events: string[] = [];
  const recording = (name: string): Driver<Device> => ({
    name,
    match: (device) => !device.name.startsWith('other'),
    probe: (device) => {
      events.push(`${name}+${device.name}`);
      return () => events.push(`${name}-${device.name}`);
    },
  });
  return { bus: createBus<Device>('test', (text) => log.push(text), parseRelease(release)), log, events, recording };
}

const code = (name: ErrnoName): unknown => expect.objectContaining({ code: name });

describe('a bus', () => {
  it('offers nobody anything while autoprobing is off, until it is asked to', () => {
    const { bus, events, recording } = setUp();
    bus.setAutoprobe(false);
    bus.addDevice(createRootDevice('dev0'));
    bus.registerDriver(recording('drv'));
    bus.addDevice(createRootDevice('dev1'));
    expect([bus.autoprobes(), events]).toEqual([false, []]);
    bus.probeDevice('dev1');
    bus.probeDevice('dev1');
    expect(events).toEqual(['drv+dev1']);
    expect(() => bus.probeDevice('dev2')).toThrow(code('ENODEV'));
  });

  it('binds a driver to the matching devices that are there, and to those that come later', () => {
    const { bus, events, recording } = setUp();
    bus.addDevice(createRootDevice('a'));
    bus.addDevice(createRootDevice('other'));
    bus.registerDriver(recording('drv'));
    bus.addDevice(createRootDevice('b'));
    expect(events).toEqual(['drv+a', 'drv+b']);
    expect(bus.devices.map((device) => [device.name, bus.driverOf(device)?.name])).toEqual([['a', 'drv'], ['other', undefined], ['b', 'drv']]);
  });

  it('offers devices again to a driver that has come to match more of them', () => {
    const { bus, events, recording } = setUp();
    const ids = new Set(['a']);
    const choosy: Driver<Device> = { ...recording('drv'), match: (device) => ids.has(device.name) };
    bus.registerDriver(choosy);
    for (const name of ['a', 'b']) bus.addDevice(createRootDevice(name));
    ids.add('b');
    expect(events).toEqual(['drv+a']);
    bus.attachDriver(choosy);
    expect(events).toEqual(['drv+a', 'drv+b']);
  });

  it('leaves a device to the first driver that takes it', () => {
    const { bus, events, recording } = setUp();
    bus.registerDriver(refusing('picky', 'ENODEV'));
    bus.registerDriver(recording('first'));
    bus.registerDriver(recording('second'));
    bus.addDevice(createRootDevice('a'));
    expect(events).toEqual(['first+a']);
  });

  it('undoes bindings last first when a driver unregisters, once', () => {
    const { bus, events, recording } = setUp();
    const unregister = bus.registerDriver(recording('drv'));
    for (const name of ['a', 'b']) bus.addDevice(createRootDevice(name));
    unregister();
    unregister();
    expect(events.slice(2)).toEqual(['drv-b', 'drv-a']);
    expect(bus.drivers).toEqual([]);
  });

  it('unbinds a device that is removed', () => {
    const { bus, events, recording } = setUp();
    const device = createRootDevice('a');
    bus.registerDriver(recording('drv'));
    bus.addDevice(device);
    bus.removeDevice(device);
    expect(events).toEqual(['drv+a', 'drv-a']);
    expect(() => bus.removeDevice(device)).toThrow(code('ENODEV'));
  });

  it('refuses a second device or driver of one name', () => {
    const { bus, log } = setUp();
    bus.addDevice(createRootDevice('a'));
    bus.registerDriver(nullDriver);
    expect(() => bus.addDevice(createRootDevice('a'))).toThrow(code('EEXIST'));
    expect(() => bus.registerDriver({ ...nullDriver })).toThrow(code('EBUSY'));
    expect(log).toEqual(["Error: Driver 'null' is already registered, aborting..."]);
  });

  it('lets a probe add devices to the same bus', () => {
    const { bus, events, recording } = setUp();
    bus.registerDriver({ name: 'parent', match: (device) => device.name === 'other', probe: () => {
      bus.addDevice(createRootDevice('child'));
      return () => {};
    } });
    bus.registerDriver(recording('drv'));
    bus.addDevice(createRootDevice('other'));
    expect(events).toEqual(['drv+child']);
  });

  it('does not hide a bug in a probe', () => {
    const { bus } = setUp();
    bus.registerDriver({ ...nullDriver, probe: () => {
      throw new TypeError('bug');
    } });
    expect(() => bus.addDevice(createRootDevice('a'))).toThrow(TypeError);
    expect(bus.driverOf(bus.findDevice('a')!)).toBeUndefined();
  });
});

describe('a probe that fails', () => {
  it.each<[ErrnoName, string[]]>([
    ['EOPNOTSUPP', ['nd_pmem: probe of namespace0.0 failed with error -95']],
    ['ENOMEM', ['nd_pmem: probe of namespace0.0 failed with error -12']],
    ['ENODEV', []],
    ['ENXIO', []],
  ])('with %s logs %j and leaves the device free', (errno, lines) => {
    const { bus, log } = setUp();
    bus.addDevice(createRootDevice('namespace0.0'));
    bus.registerDriver(refusing('nd_pmem', errno));
    expect(log).toEqual(lines);
    expect(bus.driverOf(bus.findDevice('namespace0.0')!)).toBeUndefined();
  });
});

describe('bind and unbind through sysfs', () => {
  it('part and bring together a device and a driver', () => {
    const { bus, events, recording } = setUp();
    const driver = recording('drv');
    bus.registerDriver(driver);
    bus.addDevice(createRootDevice('a'));
    const [bind, unbind] = driverAttributes(bus, driver);
    unbind!.store!('a\n');
    bind!.store!('a\n');
    expect(events).toEqual(['drv+a', 'drv-a', 'drv+a']);
    expect([bind!.mode, unbind!.mode]).toEqual([0o200, 0o200]);
  });

  it('are not there for a driver that suppresses them', () => {
    const { bus } = setUp();
    expect(driverAttributes(bus, { ...nullDriver, suppressBindAttrs: true })).toEqual([]);
  });

  it.each<[string, string, string, ErrnoName]>([
    ['6.1', 'nobody', 'drv', 'ENODEV'],
    ['6.1', 'a', 'nobody', 'ENODEV'],
    ['6.1', 'other', 'drv', 'ENODEV'],
    ['6.1', 'a', 'drv', 'EBUSY'],
    ['6.1', 'a', 'picky', 'EBUSY'],
    ['6.1', 'free', 'picky', 'EACCES'],
    ['4.1', 'a', 'drv', 'ENODEV'],
    ['4.1', 'free', 'picky', 'ENODEV'],
  ])('on %s bind of %s to %s fails with %s', (release, device, driver, errno) => {
    const { bus, recording } = setUp(release);
    for (const name of ['a', 'other', 'free']) bus.addDevice(createRootDevice(name));
    bus.registerDriver(recording('drv'));
    bus.registerDriver(refusing('picky', 'EACCES'));
    bus.unbind('free', 'drv');
    expect(() => bus.bind(device, driver)).toThrow(code(errno));
  });

  it.each([['nobody', 'drv'], ['other', 'drv'], ['a', 'null']])('unbind of %s from %s fails with ENODEV', (device, driver) => {
    const { bus, recording } = setUp();
    for (const name of ['a', 'other']) bus.addDevice(createRootDevice(name));
    bus.registerDriver(recording('drv'));
    expect(() => bus.unbind(device, driver)).toThrow(code('ENODEV'));
  });
});

it('undoes each probe exactly once, whatever the order of events', () => {
  const step = fc.tuple(fc.constantFrom('add', 'remove', 'register', 'unregister', 'bind', 'unbind'), fc.nat(3), fc.nat(2));
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const bus = createBus<Device>('test', () => {});
    const bound = new Map<string, string>();
    const unregisters = new Map<string, () => void>();
    const driver = (name: string): Driver<Device> => ({ name, match: () => true, probe: (device) => {
      expect(bound.has(device.name)).toBe(false);
      bound.set(device.name, name);
      return () => {
        expect(bound.get(device.name)).toBe(name);
        bound.delete(device.name);
      };
    } });
    for (const [what, d, n] of steps) {
      const device = `dev${d}`;
      const name = `drv${n}`;
      const found = bus.findDevice(device);
      const act = {
        add: () => bus.addDevice(createRootDevice(device)),
        remove: () => found && bus.removeDevice(found),
        register: () => unregisters.set(name, bus.registerDriver(driver(name))),
        unregister: () => unregisters.get(name)?.(),
        bind: () => bus.bind(device, name),
        unbind: () => bus.unbind(device, name),
      }[what];
      try {
        act();
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
      }
      const seen = bus.devices.flatMap((each) => (bus.driverOf(each) ? [[each.name, bus.driverOf(each)?.name] as const] : []));
      expect(new Map(seen)).toEqual(bound);
    }
  }));
});

it('shows a device at the path of its parents', () => {
  const platform = createRootDevice('platform');
  const bus = createRootDevice('ndbus0', createRootDevice('e820_pmem', platform));
  expect(devicePath(createRootDevice('region0', bus))).toBe('/sys/devices/platform/e820_pmem/ndbus0/region0');
});
