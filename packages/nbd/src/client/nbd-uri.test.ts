import { describe, expect, test } from 'vitest';
import { type NbdTarget, parseNbdUri } from './nbd-uri.js';

describe('an NBD URI', () => {
  test.each<[string, NbdTarget]>([
    ['nbd://localhost', { host: 'localhost', port: 10809, name: '' }],
    ['nbd://127.0.0.1:1234/pmem0', { host: '127.0.0.1', port: 1234, name: 'pmem0' }],
    ['nbd://[::1]:7/a%20b', { host: '::1', port: 7, name: 'a b' }],
    ['nbd+unix:///?socket=/tmp/s', { socket: '/tmp/s', name: '' }],
    ['nbd+unix:///sda%40cut-1/state-3?socket=/tmp/a%20b', { socket: '/tmp/a b', name: 'sda@cut-1/state-3' }],
  ])('%s', (uri, target) => {
    expect(parseNbdUri(uri)).toEqual(target);
  });

  test.each(['', 'pmem0', 'nbds://host/', 'nbd://', 'nbd+unix:///pmem0', 'nbd://host/%zz', 'http://host/'])('is not %j', (uri) => {
    expect(() => parseNbdUri(uri)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });
});
