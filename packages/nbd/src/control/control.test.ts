import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KernelError } from '@holdfast/lib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createNbdControl } from './control-client.js';
import { ControlError, MAX_LINE_BYTES } from './control-protocol.js';
import { CONTROL_METHODS } from './control-params.js';
import { type ControlHandlers, type ControlServer, answerLine, createControlServer } from './control-server.js';
import { createLineReader } from './line-reader.js';

const seen: unknown[] = [];
const summary = { cut: 1, keep: 'none' as const, seed: 0, open: 1, lost: 1, digest: 'x' };
const handlers: ControlHandlers = {
  status: () => ({ power: 'on', exports: [], clients: 0, states: 0, cuts: [summary], faults: 0, reads: 0, writes: 0, others: 0, errors: 0 }),
  powercut: (params) => {
    seen.push(params);
    return { ...summary, effectMicros: 1 };
  },
  'powercut.arm': ({ after }) => ({ after }),
  restore: () => {
    throw new KernelError('EBUSY', 'the machine has power already');
  },
  'states.count': () => ({ export: 'sda', cut: 1, count: (2n ** 300n).toString() }),
  'states.list': () => ({ names: ['x'.repeat(100_000)] }),
  'states.sample': () => ({ names: [] }),
  mark: () => {
    throw new ControlError('ENODEV', 'nothing is recorded');
  },
  'faults.add': (spec) => {
    seen.push(spec);
    return { fault: 1 };
  },
  'faults.list': () => ({ faults: [] }),
  'faults.clear': () => ({ cleared: 0 }),
};

interface Answer {
  id: unknown;
  result?: unknown;
  error?: { code: string; message: string };
}
const answer = (line: string): Answer => answerLine(handlers, line) as Answer;

describe('a line of the control socket', () => {
  test.each([
    ['{"id":1,"method":"powercut","params":{"keep":"prefix","seed":7,"onCut":"drop"}}', { keep: 'prefix', seed: 7, onCut: 'drop' }],
    ['{"id":"a","method":"powercut"}', {}],
    ['{"id":1,"method":"faults.add","params":{"kind":"delay","delayMs":1.5,"op":"write","firstSector":8,"lastSector":8,"nth":2,"probability":0.5,"times":3,"seed":4,"export":"sda"}}',
      { kind: 'delay', export: 'sda', op: 'write', firstSector: 8, lastSector: 8, nth: 2, probability: 0.5, times: 3, seed: 4, delayMs: 1.5 }],
  ])('%s is carried out', (line, params) => {
    expect(answer(line).error).toBeUndefined();
    expect(seen.at(-1)).toEqual(params);
  });

  test.each([
    ['', null, 'EINVAL', 'a line of JSON'],
    ['null', null, 'EINVAL', 'expected an object'],
    ['[1]', null, 'EINVAL', 'expected an object'],
    ['{"method":"status"}', null, 'EINVAL', 'id: expected'],
    ['{"id":{},"method":"status"}', null, 'EINVAL', 'id: expected'],
    ['{"id":1}', 1, 'ENOSYS', 'expected one of status, powercut'],
    ['{"id":1,"method":"constructor"}', 1, 'ENOSYS', 'expected one of'],
    ['{"id":1,"method":"status","params":[]}', 1, 'EINVAL', 'params: expected an object'],
    ['{"id":1,"method":"status","params":{"a":1}}', 1, 'EINVAL', "params: 'a' is not known"],
    ['{"id":1,"method":"status","more":1}', 1, 'EINVAL', "'more' is not known"],
    ['{"id":1,"method":"powercut","params":{"keep":"some"}}', 1, 'EINVAL', 'keep: expected one of none, all, random, prefix'],
    ['{"id":1,"method":"powercut","params":{"seed":-1}}', 1, 'EINVAL', 'seed: expected a whole number from 0'],
    ['{"id":1,"method":"powercut","params":{"seed":1e300}}', 1, 'EINVAL', 'seed: expected a whole number from 0'],
    ['{"id":1,"method":"states.list","params":{"from":"-1"}}', 1, 'EINVAL', 'from: expected a decimal number'],
    ['{"id":1,"method":"states.sample","params":{}}', 1, 'EINVAL', 'count: expected a whole number from 1 to 10000'],
    ['{"id":1,"method":"mark","params":{"name":""}}', 1, 'EINVAL', 'name: expected 1 to 4096 bytes'],
    ['{"id":1,"method":"mark","params":{"name":"x"}}', 1, 'ENODEV', 'nothing is recorded'],
    ['{"id":1,"method":"powercut.arm"}', 1, 'EINVAL', 'after: expected a whole number from 0'],
    ['{"id":1,"method":"restore"}', 1, 'EBUSY', 'has power already'],
    ['{"id":1,"method":"faults.add","params":{"kind":"fire"}}', 1, 'EINVAL', 'kind: expected one of error, delay'],
    ['{"id":1,"method":"faults.add","params":{"kind":"delay"}}', 1, 'EINVAL', 'delayMs: expected a number above 0'],
    ['{"id":1,"method":"faults.add","params":{"kind":"torn","op":"read"}}', 1, 'EINVAL', 'op: expected one of write'],
    ['{"id":1,"method":"faults.add","params":{"kind":"torn","error":"EIO"}}', 1, 'EINVAL', "'error' is not known"],
    ['{"id":1,"method":"faults.add","params":{"kind":"error","firstSector":9,"lastSector":8}}', 1, 'EINVAL', 'lastSector'],
  ])('%s is refused', (line, id, code, text) => {
    const got = answer(line);
    expect([got.id, got.error?.code]).toEqual([id, code]);
    expect(got.error!.message).toContain(text);
  });

  test('whatever it is, has one answer with its id', () => {
    const anyParams = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom('keep', 'seed', 'kind', 'op', 'name', 'cut', 'export', 'from', 'count', 'fault', '__proto__'), fc.jsonValue()));
    const anyRequest = fc.record({ id: fc.oneof(fc.integer(), fc.string(), fc.jsonValue()), method: fc.oneof(fc.constantFrom(...CONTROL_METHODS), fc.string()), params: anyParams }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.oneof(anyRequest.map((request) => JSON.stringify(request)), fc.string(), fc.json()), (line) => {
        const got = answer(line);
        expect((got.result === undefined) !== (got.error === undefined)).toBe(true);
        if (got.error) expect(got.error.message).not.toBe('');
        else expect(got.id).toEqual((JSON.parse(line) as { id: unknown }).id);
      }),
    );
  });
});

describe('the line reader', () => {
  test('gives the same lines however the bytes come, and stops at one that is too long', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }).filter((line) => !line.includes('\n')), { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 9 })), (lines, sizes) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const got: string[] = [];
        const read = createLineReader(200, (line) => got.push(line));
        let at = 0;
        for (const size of [...sizes, bytes.length]) {
          expect(read(bytes.subarray(at, at + size))).toBe(true);
          at += size;
        }
        expect(got).toEqual(lines.map((line) => Buffer.from(line).toString()));
      }),
    );
    const read = createLineReader(10, () => {});
    expect([read(Buffer.alloc(10, 'a')), read(Buffer.from('\n')), read(Buffer.alloc(11, 'a'))]).toEqual([true, true, false]);
    expect(createLineReader(10, () => {})(Buffer.from(`${'a'.repeat(11)}\n`))).toBe(false);
  });
});

describe('the control socket', () => {
  let folder: string;
  let path: string;
  let server: ControlServer;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-ctl-'));
    path = join(folder, 'ctl');
    server = createControlServer(handlers);
    await server.listen(path);
  });
  afterEach(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  test('is for its owner alone, and answers the typed client, also many calls at once', async () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const control = await createNbdControl(path);
    const [status, count, list] = await Promise.all([control.call('status', {}), control.call('states.count', {}), control.call('states.list', {})]);
    expect(status.cuts).toEqual([summary]);
    expect(BigInt(count.count)).toBe(2n ** 300n);
    expect(list.names[0]).toHaveLength(100_000);
    await expect(control.call('restore', {})).rejects.toMatchObject({ code: 'EBUSY' });
    control.close();
    await expect(control.call('status', {})).rejects.toMatchObject({ code: 'ENOTCONN' });
  });

  test('is told from a socket that has another use', async () => {
    const other = createServer((socket) => void socket.end('NBDMAGIC'));
    await new Promise<void>((resolve) => other.listen(join(folder, 'nbd'), resolve));
    await expect(createNbdControl(join(folder, 'nbd'))).rejects.toMatchObject({ code: 'EPROTO', message: expect.stringContaining('is SOCKET.ctl') as string });
    other.close();
  });

  test('lets go of a client whose line has no end, and of no other one', async () => {
    const [hostile, good] = [connect(path), await createNbdControl(path)];
    let text = '';
    hostile.on('data', (data) => (text += data.toString()));
    hostile.on('error', () => {});
    hostile.write(Buffer.alloc(MAX_LINE_BYTES + 2, 'x'));
    await once(hostile, 'close');
    expect(text).toContain('a line has at most');
    expect((await good.call('status', {})).power).toBe('on');
    good.close();
  });

  test('a client says so where something else speaks, or the server goes in the middle', async () => {
    const other = createServer((socket) => socket.end('220 hello\n'));
    await new Promise<void>((resolve) => other.listen(join(folder, 'other'), resolve));
    await expect(createNbdControl(join(folder, 'other'))).rejects.toMatchObject({ code: 'EPROTO' });
    await new Promise((resolve) => other.close(resolve));
    await expect(createNbdControl(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'ENOENT' });
    const control = await createNbdControl(path);
    const call = control.call('status', {});
    const closed = server.close();
    await call.catch((error: unknown) => expect(error).toMatchObject({ code: 'ENOTCONN' }));
    await closed;
    await server.listen(path);
  });
});
