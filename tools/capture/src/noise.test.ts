import { expect, it } from 'vitest';
import { saidBy } from './noise.js';

it('keeps what a command said, and not how fast it was or what its libraries read', () => {
  const text = [
    "libndctl: __sysfs_device_parse: base: '/sys/class/nd' dev: 'ndctl'",
    'libndctl: __util_modalias_to_module: failed to find module for alias: nd:t2 0 list: empty',
    'libndctl: ndctl_pfn_enable: pfn0.0: enabled',
    'libndctl: ndctl_pfn_enable: pfn0.0: failed to enable',
    'libndctl: write_attr: failed to write pfn to /sys/devices/platform/e820_pmem/ndbus0/region0/namespace0.0/holder_class: No such device or address',
    'libndctl: write_attr: failed to write  to /sys/x/namespace0.0/holder_class: Device or resource busy',
    '4096 bytes (4.0KB) copied, 0.000421 seconds, 9.3MB/s',
    '1+0 records in',
  ].join('\n');
  expect(saidBy(text).split('\n')).toEqual([
    'libndctl: ndctl_pfn_enable: pfn0.0: failed to enable',
    'libndctl: write_attr: failed to write  to /sys/x/namespace0.0/holder_class: Device or resource busy',
    '1+0 records in',
  ]);
});
