import { DEFAULT_RELEASE, parseCmdline, parseRelease } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { hotplugPolicy } from './policy.js';

describe('the hotplug policy', () => {
  it('reads the command line and ignores a state it does not know', () => {
    const policy = (cmdline: string) => hotplugPolicy(parseCmdline(cmdline), DEFAULT_RELEASE, () => {}).autoOnline;
    expect(['', 'memhp_default_state=online_kernel', 'memhp_default_state=never'].map(policy)).toEqual(['offline', 'online_kernel', 'offline']);
  });

  it.each([['6.1', 4], ['5.14', 1], ['4.1', 0]])('has on %s %d parameters', (release, count) => {
    expect(hotplugPolicy([], parseRelease(release), () => {}).parameters).toHaveLength(count);
  });

  it('follows its files', () => {
    const policy = hotplugPolicy(parseCmdline('movable_node memory_hotplug.memmap_on_memory memory_hotplug.auto_movable_ratio=50'), DEFAULT_RELEASE, () => {});
    expect([policy.movableNode, policy.memmapOnMemory, policy.autoMovableRatio, policy.onlinePolicy]).toEqual([true, true, 50, 'contig-zones']);
    policy.parameters.find(({ name }) => name === 'online_policy')!.store!('auto-movable\n');
    expect(policy.onlinePolicy).toBe('auto-movable');
  });
});
