/** TLS of `holdfast nbd`, with real clients. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { killNbds, startNbd } from './nbd-process.js';
import { missing, run } from './tool.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'))));
afterEach(() => {
  killNbds();
  rmSync(folder, { recursive: true, force: true });
});

const skip = missing('nbdinfo', 'nbdcopy');

describe('holdfast nbd with keys that both sides know', () => {
  it.skipIf(skip)(`serves who knows a key, and nobody else${skip}`, async () => {
    const keys = join(folder, 'keys.psk');
    const wrong = join(folder, 'wrong.psk');
    writeFileSync(keys, 'alice:000102030405060708090a0b0c0d0e0f\n');
    writeFileSync(wrong, 'alice:ff0102030405060708090a0b0c0d0e0f\n');
    const server = await startNbd(['--size', '16M', '--tls-psk', keys], 1, { folder, scheme: 'nbds' });
    const uri = (file: string): string => `nbds+unix://alice@/?socket=${server.socket}&tls-psk-file=${file}`;
    expect(JSON.parse(await run('nbdinfo', '--json', uri(keys)))).toMatchObject({ TLS: true, exports: [{ 'export-size': 16 * 2 ** 20 }] });
    await run('nbdcopy', uri(keys), 'null:');
    await expect(run('nbdinfo', uri(wrong))).rejects.toThrow();
    await expect(run('nbdinfo', `nbd+unix:///?socket=${server.socket}`)).rejects.toThrow(); // TLS_REQD
    expect(await server.kill('SIGTERM')).toBe(0);
  });
});

const making = missing('nbdinfo', 'openssl');

describe('holdfast nbd with certificates', () => {
  it.skipIf(making)(`serves with and without TLS where it is only offered${making}`, async () => {
    const at = (name: string): string => join(folder, name);
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    await run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('server-key.pem'), '-out', at('server-cert.pem'), '-days', '2', ...subject);
    writeFileSync(at('ca-cert.pem'), await run('openssl', 'x509', '-in', at('server-cert.pem')));
    const server = await startNbd(['--size', '16M', '--tls', 'on', '--tls-certificates', folder], 1, { folder, scheme: 'nbds' });
    const secure = `nbds+unix:///?socket=${server.socket}&tls-certificates=${folder}&tls-verify-peer=false`;
    expect(JSON.parse(await run('nbdinfo', '--json', secure))).toMatchObject({ TLS: true });
    expect(JSON.parse(await run('nbdinfo', '--json', `nbd+unix:///?socket=${server.socket}`))).toMatchObject({ TLS: false });
    expect(await server.kill('SIGTERM')).toBe(0);
  });

  it.skipIf(making)(`asks clients for a certificate of their own with --tls-verify-peer${making}`, async () => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    const [servers, known, stranger] = ['server', 'known', 'stranger'].map((name) => join(folder, name)) as [string, string, string];
    const pki = async (authority: string, at: string, role: string): Promise<void> => {
      const file = (name: string): string => join(at, `${role}-${name}.pem`);
      await run('openssl', 'req', ...key, '-keyout', file('key'), '-out', join(folder, 'request'), '-subj', `/CN=${role}`);
      await run('openssl', 'x509', '-req', '-in', join(folder, 'request'), '-CA', `${authority}.pem`, '-CAkey', `${authority}.key`, '-CAcreateserial', '-days', '2', '-out', file('cert'));
    };
    for (const at of [servers, known, stranger]) mkdirSync(at);
    for (const name of ['ours', 'other']) {
      await run('openssl', 'req', '-x509', ...key, '-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.pem`), '-subj', `/CN=${name}`);
    }
    const [ours, other] = [join(folder, 'ours'), join(folder, 'other')];
    await pki(ours, servers, 'server');
    await pki(ours, known, 'client');
    await pki(other, stranger, 'client');
    for (const at of [servers, known, stranger]) copyFileSync(`${ours}.pem`, join(at, 'ca-cert.pem'));
    const server = await startNbd(['--size', '16M', '--tls-certificates', servers, '--tls-verify-peer'], 1, { folder, scheme: 'nbds' });
    const uri = (at: string): string => `nbds+unix:///?socket=${server.socket}&tls-certificates=${at}&tls-verify-peer=false`;
    expect(JSON.parse(await run('nbdinfo', '--json', uri(known)))).toMatchObject({ TLS: true, exports: [{ 'export-size': 16 * 2 ** 20 }] });
    await expect(run('nbdinfo', uri(stranger))).rejects.toThrow();
    rmSync(join(known, 'client-cert.pem'));
    rmSync(join(known, 'client-key.pem'));
    await expect(run('nbdinfo', uri(known))).rejects.toThrow();
    expect(await server.kill('SIGTERM')).toBe(0);
  });
});
