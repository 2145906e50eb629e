import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { createAuthority } from '../certificates.ts';
import { readCertificates, readPrivateKey } from '../../src/plugin/http-client/pem.ts';

const root = await createAuthority('root');
const middle = await root.intermediate('middle');
const { cert, key } = await middle.issue({ name: 'leaf' });
const lines = cert.trimEnd().split('\n');

test('reads the certificates of a chain in their order, and leaves the text around them out', () => {
  const text = `\uFEFFsubject=leaf\r\n${cert.replaceAll('\n', '\r\n')}issuer: C:\\new\r\n\r\n${middle.chain}`;
  assert.deepEqual(
    readCertificates(text).map(({ subject }) => subject),
    ['CN=leaf', 'CN=middle'],
  );
});

test('reads a certificate whose base64 is one long line', () => {
  const [one] = readCertificates(`${lines[0]}\n${lines.slice(1, -1).join('')}\n${lines.at(-1)}`);
  assert.equal(one?.subject, 'CN=leaf');
});

for (const [type, kind] of [
  ['pkcs8', 'rsa'],
  ['pkcs1', 'rsa'],
  ['sec1', 'ec'],
  ['pkcs8', 'ec'],
  ['pkcs8', 'ed25519'],
] as const) {
  test(`reads a private key of the kind ${kind} in ${type}, beside its certificate too`, () => {
    const pem = generateKey(kind).export({ type, format: 'pem' } as never) as unknown as string;
    assert.equal(readPrivateKey(pem).asymmetricKeyType, kind);
    assert.equal(readPrivateKey(`${cert}${pem}`).asymmetricKeyType, kind);
  });
}

function generateKey(kind: 'rsa' | 'ec' | 'ed25519') {
  if (kind === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  if (kind === 'ec') return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return generateKeyPairSync('ed25519').privateKey;
}

const at = (line: number, text: string): string => lines.with(line - 1, text).join('\n');
const encrypted = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
}).privateKey;
const encryptedOld = key
  .replaceAll('PRIVATE KEY', 'EC PRIVATE KEY')
  .replace('\n', '\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n');

const damaged: readonly [string, (text: string) => unknown, string, RegExp][] = [
  ['no PEM at all', readCertificates, 'hello', /^line 1: there is no -----BEGIN/],
  ['a character that is not base64', readCertificates, at(3, `${lines[2]?.slice(0, -1) ?? ''}*`), /^line 3: is not base64$/],
  ['padding in the middle', readCertificates, at(2, 'AAA='), /^line 3: is not base64$/],
  ['a line that is cut short', readCertificates, at(lines.length - 1, 'AAA'), new RegExp(`^line ${lines.length - 1}: .*cut off`)],
  ['other bytes', readCertificates, at(2, `A${lines[1]?.slice(1) ?? ''}`), /^line 1: the certificate that begins here is damaged$/],
  ['no END', readCertificates, lines.slice(0, -1).join('\n'), /^line 1: the CERTIFICATE that begins here has no END$/],
  ['no END in the first of two', readCertificates, `${lines.slice(0, -1).join('\n')}\n${cert}`, new RegExp(`^line ${lines.length}: a BEGIN before the END of the block of line 1$`)],
  ['no BEGIN', readCertificates, lines.slice(1).join('\n'), new RegExp(`^line ${lines.length - 1}: an END without its BEGIN$`)],
  ['four dashes at the BEGIN', readCertificates, at(1, '----BEGIN CERTIFICATE----'), /^line 1: a BEGIN line is -----BEGIN/],
  ['four dashes at the END', readCertificates, at(lines.length, '-----END CERTIFICATE----'), new RegExp(`^line ${lines.length}: an END line is -----END`)],
  ['another END', readCertificates, at(lines.length, '-----END KEY-----'), new RegExp(`^line ${lines.length}: END KEY closes the BEGIN CERTIFICATE of line 1$`)],
  ['nothing between BEGIN and END', readCertificates, `${lines[0]}\n${lines.at(-1)}`, /^line 2: the CERTIFICATE of line 1 is empty$/],
  ['line breaks that were escaped', readCertificates, lines.join('\\n'), /^line 1: holds a backslash and a letter/],
  ['damage in the second certificate', readCertificates, `${cert}${at(2, '!')}`, new RegExp(`^line ${lines.length + 2}: is not base64$`)],
  ['a key for a certificate', readCertificates, key, /^line 1: a certificate is expected, this is a private key$/],
  ['a certificate for a key', readPrivateKey, cert, /^line 1: a private key is expected, this is a certificate$/],
  ['two keys', readPrivateKey, `${key}${key}`, /^line \d+: a second private key/],
  ['an encrypted key', readPrivateKey, encrypted, /^line 1: the key is encrypted with a passphrase/],
  ['an encrypted key of the older form', readPrivateKey, encryptedOld, /^line 1: the key is encrypted with a passphrase/],
  ['a damaged key', readPrivateKey, key.replace(/\n\w/, '\nA'), /^line 1: the private key that begins here is damaged$/],
  ['an OpenSSH key', readPrivateKey, key.replaceAll('PRIVATE', 'OPENSSH PRIVATE'), /^line 1: a key of the kind OPENSSH PRIVATE KEY/],
]; // prettier-ignore

for (const [what, read, text, message] of damaged) {
  test(`says the line of ${what}, and nothing of what it holds`, () => {
    assert.throws(
      () => read(text),
      (error: Error) => {
        assert.match(error.message, message);
        for (const line of text.split('\n')) {
          if (line.length > 12 && !line.startsWith('-')) assert.ok(!error.message.includes(line.slice(0, 12)));
        }
        return true;
      },
    );
  });
}
