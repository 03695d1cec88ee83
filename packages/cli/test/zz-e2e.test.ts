import { it } from 'vitest';
import { bootFromOptions, createCommandRunner } from '/work/next/packages/cli/src/index.js';
import { readFileSync } from 'node:fs';
it('e2e', async () => {
  const c = process.env.CASE!;
  const system = await bootFromOptions({ firmware: `/work/shared/golden/cases/${c}/firmware` });
  const runner = createCommandRunner(system);
  const text = readFileSync(`/work/shared/golden/cases/${c}/case.json`,'utf8');
  const SWEEP=`sweep() { for o in "-m raw" "-m fsdax -M mem -a 4K" "-m fsdax -M mem -a 2M" "-m fsdax -M mem -a 1G" "-m fsdax -M dev -a 4K" "-m fsdax -M dev -a 2M" "-m fsdax -M dev -a 1G" "-m devdax -M mem -a 4K" "-m devdax -M mem -a 2M" "-m devdax -M mem -a 1G" "-m devdax -M dev -a 4K" "-m devdax -M dev -a 2M" "-m devdax -M dev -a 1G" "-m sector -l 512" "-m sector -l 520" "-m sector -l 4096" "-m sector -l 4160"; do run ndctl create-namespace -f -v $TARGET $o && run lite; [ "$DESTROY" ] && run ndctl destroy-namespace -f all; done; }
TARGET="-e namespace0.0"
`;
  await runner.runScript(SWEEP + JSON.parse(text).guest);
  const want = JSON.parse(readFileSync(`/work/shared/golden/cases/${c}/commands.json`,'utf8'));
  const st=(o:any)=>JSON.stringify(o).replace(/"(raw_)?uuid":"[^"]*",?/g,'');
  let i=0;
  for (const r of runner.records as any[]) {
    const w = want[i++];
    if (r.cmd==='lite') { console.log('--', r.n, 'lite', w?.cmd==='lite' ? '' : 'WANT '+w?.cmd); continue; }
    const ok = w?.cmd===r.cmd && w.rc===r.rc && st(w.stdout??'')===st(r.stdout) && st((w.stderr??[]))===st(r.stderr) && st(w.dmesg??[])===st(r.dmesg);
    console.log(ok?'ok':'XX', r.n, r.cmd, 'rc', r.rc, ok?'':('WANT '+w?.cmd+' '+w?.rc+'\n   got '+st(r.stdout)+st(r.stderr)+st(r.dmesg)+'\n  want '+st(w?.stdout??'')+st(w?.stderr??[])+st(w?.dmesg??[]))+ (r.why? '\n   why '+JSON.stringify(r.why):''));
  }
  console.log('records', runner.records.length, 'of', want.length);
}, 60000);
