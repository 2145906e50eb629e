/** Names of certificates against what openssl itself writes for them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { formatDistinguishedName } from './distinguished-name.ts';

const run = promisify(execFile);

test("a name is written as openssl's -nameopt RFC2253 has it", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  try {
    const [key, file] = [join(directory, 'key'), join(directory, 'cert')];
    for (const subject of [
      '/CN=plain',
      '/C=CN/O=Example/OU=One/OU=Two/CN=a b',
      '/CN=a, b "c" <d>; e\\+f=g\\\\h',
      '/CN=#leading/O= spaces ',
      '/CN=a\r\nX-Injected: 1\x01\x7f',
      '/CN=Zoé 证书/O=\u{1f511}',
      '/CN=a\\+b + c/O=x \\+ y',
      '/CN=one+serialNumber=two+O=three/C=CN',
    ]) {
      // prettier-ignore
      await run('openssl', ['req', '-x509', '-utf8', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-multivalue-rdn', '-subj', subject, '-keyout', key, '-out', file]);
      const { stdout } = await run('openssl', ['x509', '-in', file, '-noout', '-subject', '-nameopt', 'RFC2253']);
      const written = formatDistinguishedName(new X509Certificate(await readFile(file)).subject);
      assert.equal(`subject=${written}`, stdout.replace(/\n$/, ''));
      assert.match(written, /^[\x20-\x7e]+$/);
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a certificate without a name has an empty one', () => {
  assert.equal(formatDistinguishedName(undefined), '');
});
