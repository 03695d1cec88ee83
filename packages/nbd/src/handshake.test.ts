import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLIENT_FLAGS, contextData, exportOf, goData, option, optionReplies, pmemDisk, u32 } from '../test/fixture.js';
import { type Handshake, type HandshakeStep, MAX_OPTION_BYTES, createHandshake } from './handshake.js';
import { INFO, OPT, REP, REP_ERR, TRANSMISSION } from './protocol.js';

const MIB = 2 ** 20;
const disk = pmemDisk(16 * MIB);
const exports = [exportOf(disk), exportOf(disk, 'second'), exportOf(undefined, 'off')];

function begun(tls: 'off' | 'offered' | 'required' = 'off'): Handshake {
  const handshake = createHandshake({ exports: () => exports, tls });
  handshake.feed(CLIENT_FLAGS);
  return handshake;
}

function types({ replies }: HandshakeStep): number[] {
  return optionReplies(Buffer.concat(replies)).map(({ type }) => type);
}

describe('the handshake', () => {
  test('greets as a fixed newstyle server', () => {
    expect(Buffer.from(begun().greeting()).toString('hex')).toBe('4e42444d4147494349484156454f50540003');
  });

  test('answers the worked example of GO byte by byte', () => {
    const handshake = begun();
    handshake.feed(option(OPT.STRUCTURED_REPLY));
    const { replies, next } = handshake.feed(Buffer.from('49484156454f5054000000070000000d00000005706d656d3000010003', 'hex'));
    expect(next).toBe('transmission');
    expect(Buffer.concat(replies).toString('hex')).toBe(
      '0003e889045565a900000007000000030000000c000000000000010000000dcd' + // no TRIM: pmem discards nothing
        '0003e889045565a900000007000000030000000e0003000002000000100002000000' +
        '0003e889045565a9000000070000000100000000',
    );
  });

  test.each<[string, Buffer, number[], string]>([
    ['an unknown option', option(42, 'data'), [REP_ERR.UNSUP], 'more'],
    ['extended headers with data', option(OPT.EXTENDED_HEADERS, 'x'), [REP_ERR.INVALID], 'more'],
    ['extended headers, twice', Buffer.concat([option(OPT.EXTENDED_HEADERS), option(OPT.EXTENDED_HEADERS)]), [REP.ACK, REP.ACK], 'more'],
    ['extended headers, then structured replies', Buffer.concat([option(OPT.EXTENDED_HEADERS), option(OPT.STRUCTURED_REPLY)]), [REP.ACK, REP_ERR.EXT_HEADER_REQD], 'more'],
    ['structured replies, then extended headers', Buffer.concat([option(OPT.STRUCTURED_REPLY), option(OPT.EXTENDED_HEADERS)]), [REP.ACK, REP.ACK], 'more'],
    ['contexts after extended headers', Buffer.concat([option(OPT.EXTENDED_HEADERS), option(OPT.SET_META_CONTEXT, contextData('pmem0', ['base:allocation']))]), [REP.ACK, REP.META_CONTEXT, REP.ACK], 'more'],
    ['LIST', option(OPT.LIST), [REP.SERVER, REP.SERVER, REP.SERVER, REP.ACK], 'more'],
    ['LIST with data', option(OPT.LIST, 'x'), [REP_ERR.INVALID], 'more'],
    ['STARTTLS without TLS', option(OPT.STARTTLS), [REP_ERR.POLICY], 'more'],
    ['ABORT', option(OPT.ABORT), [REP.ACK], 'close'],
    ['GO for nobody', option(OPT.GO, goData('nobody')), [REP_ERR.UNKNOWN], 'more'],
    ['GO without power', option(OPT.GO, goData('off')), [REP_ERR.SHUTDOWN], 'more'],
    ['GO cut short', option(OPT.GO, goData('pmem0', [3]).subarray(0, 10)), [REP_ERR.INVALID], 'more'],
    ['GO with a name longer than its data', option(OPT.GO, Buffer.concat([u32(100), Buffer.alloc(6)])), [REP_ERR.INVALID], 'more'],
    ['INFO', option(OPT.INFO, goData('second', [INFO.NAME])), [REP.INFO, REP.INFO, REP.INFO, REP.ACK], 'more'],
    ['contexts before structured replies', option(OPT.SET_META_CONTEXT, contextData('pmem0', ['base:allocation'])), [REP_ERR.INVALID], 'more'],
    ['an export name that is not there', option(OPT.EXPORT_NAME, 'nobody'), [], 'close'],
    ['a wrong magic', Buffer.alloc(16), [], 'close'],
    ['an option of 4 GiB', Buffer.concat([option(OPT.LIST).subarray(0, 12), u32(0xffff_ffff)]), [], 'close'],
  ])('%s', (_, bytes, replies, next) => {
    const step = begun().feed(bytes);
    expect(step.next).toBe(next);
    expect(types(step)).toEqual(replies);
  });

  test('an option that is too long is read to its end and refused, and the session goes on', () => {
    const handshake = begun();
    const step = handshake.feed(Buffer.concat([option(OPT.LIST, Buffer.alloc(MAX_OPTION_BYTES + 1)), option(OPT.STRUCTURED_REPLY)]));
    expect(types(step)).toEqual([REP_ERR.TOO_BIG, REP.ACK]);
  });

  test.each<[string, string[], number[]]>([
    ['the one there is', ['base:allocation'], [REP.META_CONTEXT, REP.ACK]],
    ['others only', ['qemu:dirty-bitmap:x'], [REP.ACK]],
    ['a wildcard, which is for listing', ['base:'], [REP.ACK]],
    ['nothing', [], [REP.ACK]],
  ])('SET_META_CONTEXT of %s', (_, queries, replies) => {
    const handshake = begun();
    handshake.feed(option(OPT.STRUCTURED_REPLY));
    expect(types(handshake.feed(option(OPT.SET_META_CONTEXT, contextData('pmem0', queries))))).toEqual(replies);
  });

  test.each([
    ['a context', true],
    ['none', false],
  ])('filters of block status are offered where extended headers and %s are agreed on', (_, chosen) => {
    const handshake = begun();
    handshake.feed(option(OPT.EXTENDED_HEADERS));
    if (chosen) handshake.feed(option(OPT.SET_META_CONTEXT, contextData('pmem0', ['base:allocation'])));
    const [info] = optionReplies(Buffer.concat(handshake.feed(option(OPT.GO, goData('pmem0'))).replies));
    const flags = info!.data.readUInt16BE(10);
    expect(flags & TRANSMISSION.SEND_DF).toBe(TRANSMISSION.SEND_DF);
    expect((flags & TRANSMISSION.BLOCK_STATUS_PAYLOAD) !== 0).toBe(chosen);
    expect(handshake.session().session).toMatchObject({ headers: 'extended', baseAllocation: chosen });
  });

  test('extended headers and the oldest way in do not go together', () => {
    const handshake = begun();
    handshake.feed(option(OPT.EXTENDED_HEADERS));
    expect(handshake.feed(option(OPT.EXPORT_NAME, 'pmem0')).next).toBe('close');
  });

  test('contexts chosen for another export are dropped', () => {
    const handshake = begun();
    handshake.feed(option(OPT.STRUCTURED_REPLY));
    handshake.feed(option(OPT.SET_META_CONTEXT, contextData('second', ['base:allocation'])));
    handshake.feed(option(OPT.GO, goData('pmem0')));
    expect(handshake.session().session).toMatchObject({ headers: 'structured', baseAllocation: false });
  });

  test('with TLS required nothing but STARTTLS and ABORT is answered, and TLS makes all void', () => {
    const handshake = begun('required');
    expect(types(handshake.feed(option(OPT.LIST)))).toEqual([REP_ERR.TLS_REQD]);
    expect(handshake.feed(Buffer.concat([option(OPT.STARTTLS), option(OPT.GO, goData('pmem0'))])).next).toBe('tls');
    handshake.secured();
    const step = handshake.feed(option(OPT.LIST)); // what was sent in the clear behind STARTTLS is gone
    expect(types(step)).toEqual([REP.SERVER, REP.SERVER, REP.SERVER, REP.ACK]);
    expect(begun('required').feed(option(OPT.EXPORT_NAME, 'pmem0')).next).toBe('close');
  });

  test('cut anywhere, a session means the same', () => {
    const said = Buffer.concat([CLIENT_FLAGS, option(OPT.LIST), option(9), option(OPT.STRUCTURED_REPLY), option(OPT.GO, goData('second', [3])), Buffer.from('rest')]);
    const talk = (cuts: readonly number[]): string => {
      const handshake = createHandshake({ exports: () => exports, tls: 'off' });
      const bounds = [0, ...[...cuts].sort((a, b) => a - b), said.length];
      const parts = bounds.slice(1).map((to, i) => said.subarray(bounds[i], to));
      const replies: Uint8Array[] = [];
      let rest = '';
      for (const [i, part] of parts.entries()) {
        const step = handshake.feed(part);
        replies.push(...step.replies);
        if (step.next !== 'transmission') continue;
        rest = Buffer.concat([handshake.session().rest, ...parts.slice(i + 1)]).toString();
        break;
      }
      return Buffer.concat(replies).toString('hex') + rest;
    };
    const whole = talk([]);
    expect(whole).toMatch(/rest$/);
    fc.assert(fc.property(fc.array(fc.nat(said.length)), (cuts) => talk(cuts) === whole));
  });

  test('any bytes are answered or end the session', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.nat(12).map((nr) => option(nr, 'abc'))), { maxLength: 20 }), (parts) => {
        const handshake = begun('offered');
        for (const part of parts) {
          const { next, replies } = handshake.feed(part);
          optionReplies(Buffer.concat(replies));
          if (next !== 'more') return;
        }
      }),
    );
  });
});
