import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createItemReader } from './guest-channel.js';

const item = fc.record({ name: fc.stringMatching(/^[a-z][a-z 0-9]{0,12}$/), bytes: fc.uint8Array({ maxLength: 200 }) });

it('gives the items that were sent, however they are cut', () => {
  fc.assert(fc.property(fc.array(item, { maxLength: 5 }), fc.array(fc.nat(40), { minLength: 1, maxLength: 30 }), (items, cuts) => {
    let text = 'noise before\r\n' + items.map(({ name, bytes }) => `@@ ${name}\r\n${Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n@@.\r\n`).join('');
    const reader = createItemReader();
    const got = [];
    for (let turn = 0; text !== ''; turn++) {
      const length = 1 + cuts[turn % cuts.length]!;
      got.push(...reader.push(text.slice(0, length)));
      text = text.slice(length);
    }
    expect(got.map(({ name, bytes }) => ({ name, bytes: [...bytes] }))).toEqual(items.map(({ name, bytes }) => ({ name, bytes: [...bytes] })));
  }));
});

it('does not give an item that was not ended', () => {
  expect(createItemReader().push('@@ iomem\nAAAA\n')).toEqual([]);
});
