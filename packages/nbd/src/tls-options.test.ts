import { describe, expect, test } from 'vitest';
import { parsePskKeys, tlsOptions } from './tls-options.js';

const KEY = '000102030405060708090a0b0c0d0e0f';

describe('files for TLS', () => {
  test('keys are read line by line', () => {
    const keys = parsePskKeys(`# made by psktool\nalice:${KEY}\r\n\nbob:${KEY.toUpperCase()}ff\n`, 'keys');
    expect([...keys].map(([identity, key]) => [identity, key.toString('hex')])).toEqual([['alice', KEY], ['bob', `${KEY}ff`]]);
  });

  test.each([
    ['no colon', KEY, 'line 1'],
    ['a short key', 'alice:0011', 'line 1'],
    ['half a byte', `alice:${KEY}\nbob:${KEY}0`, 'line 2'],
    ['no keys', '\n', 'no keys'],
  ])('%s is refused, and no key is told', (_, text, where) => {
    expect(() => parsePskKeys(text, 'keys')).toThrowError(where);
    expect(() => parsePskKeys(text, 'keys')).not.toThrowError(KEY);
  });

  test('a missing file is named', () => {
    expect(() => tlsOptions({ certificates: '/nowhere' })).toThrowError('/nowhere/server-cert.pem: no such file');
    expect(() => tlsOptions({ psk: '/nowhere/keys' })).toThrowError('/nowhere/keys: no such file');
    expect(() => tlsOptions({})).toThrowError('expected a folder of certificates, or a file of keys');
  });
});
