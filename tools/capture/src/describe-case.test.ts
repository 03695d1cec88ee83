import { expect, it } from 'vitest';
import { parseDescription } from './describe-case.js';

const whole = { name: 'a-pc-1g', qemu: ['-m', '1G'], cmdline: 'console=ttyS0', guest: 'cap boot' };

it('fills in what may be left out', () => {
  expect(parseDescription(JSON.stringify(whole), 'case.json')).toEqual({ ...whole, cpu: 'max,la57=off', backing: {} });
});

it.each([
  ['{', 'case.json: SyntaxError'],
  ['[]', `case.json: expected a string 'name'`],
  ['null', 'case.json: expected an object'],
  [JSON.stringify({ ...whole, name: '../x' }), `case.json: '../x' names no folder`],
  [JSON.stringify({ ...whole, qemu: '-m 1G' }), `case.json: expected a list of strings 'qemu'`],
  [JSON.stringify({ ...whole, guest: undefined }), `case.json: expected a string 'guest'`],
  [JSON.stringify({ ...whole, backing: { nv0: '1G' } }), `case.json: expected file names and sizes in 'backing'`],
])('refuses %s', (text, message) => {
  expect(() => parseDescription(text, 'case.json')).toThrow(message);
});
