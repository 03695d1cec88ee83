import { describe, expect, it } from 'vitest';
import { parseCmdline } from '@holdfast/lib';
import { initcallBlacklist, runInitcalls } from './initcalls.js';

describe('runInitcalls', () => {
  it('runs level by level, within a level in the order of the list, and undoes the other way round', () => {
    const story: string[] = [];
    const call = (level: 'early' | 'fs' | 'device', name: string) => ({ level, name, run: () => {
      story.push(name);
      return () => story.push(`undo ${name}`);
    } });
    const undo = runInitcalls([call('device', 'a'), call('fs', 'b'), call('device', 'c'), call('early', 'd')]);
    expect(story).toEqual(['d', 'b', 'a', 'c']);
    undo();
    undo();
    expect(story.slice(4)).toEqual(['undo c', 'undo a', 'undo b', 'undo d']);
  });

  it('leaves out what initcall_blacklist= names', () => {
    const ran: string[] = [];
    const calls = ['a', 'b', 'c', 'd'].map((name) => ({ level: 'device' as const, name, run: () => void ran.push(name) }));
    runInitcalls(calls, initcallBlacklist(parseCmdline('quiet initcall_blacklist=a,c initcall_blacklist=d')));
    expect(ran).toEqual(['b']);
  });
});
