import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { bootFromOptions, createCommandRunner } from '../src/index.js';

it('the session of the README is what the console prints', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const session = /```console\n([^]*?)```/.exec(readme)![1]!;
  const system = await bootFromOptions({ memory: '4G', nvdimm: ['size=1G'] });
  let printed = '';
  const say = (data: string | Uint8Array): void => void (printed += typeof data === 'string' ? data : new TextDecoder().decode(data));
  const runner = createCommandRunner(system, { output: { out: say, err: say }, explain: true });
  for (const command of session.match(/^# .*$/gm)!) {
    say(`${command}\n`);
    await runner.run(command.slice(2));
  }
  system.close();
  expect(printed).toBe(session);
});
