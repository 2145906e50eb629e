/**
 * PEM text (RFC 7468), read line by line so that what is wrong with it can be said with its line. Text around the blocks is ignored,
 * as everywhere. No message repeats what a line holds: it may be a key.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

/** The text is no PEM, or not the one that was asked for; the message says in which line. */
export class PemError extends Error {
  override readonly name = 'PemError';
}

interface Block {
  readonly label: string;
  /** Of its BEGIN, from 1. */
  readonly line: number;
  readonly bytes: Buffer;
  readonly encrypted: boolean;
}

interface OpenBlock {
  readonly label: string;
  readonly line: number;
  digits: string;
  encrypted: boolean;
}

const begin = /^-----BEGIN ([A-Z0-9 ]+)-----$/;
const end = /^-----END ([A-Z0-9 ]+)-----$/;
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** RFC 1421 §4.6, in keys of OpenSSL's older form. */
const header = /^[A-Za-z0-9-]+: ?.+$/;

const keyTypes: Readonly<Record<string, 'pkcs8' | 'pkcs1' | 'sec1'>> = {
  'PRIVATE KEY': 'pkcs8',
  'RSA PRIVATE KEY': 'pkcs1',
  'EC PRIVATE KEY': 'sec1',
};

/** All certificates, at least one, in their order. Throws PemError. */
export function readCertificates(text: string): X509Certificate[] {
  const blocks = readBlocks(text);
  const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE' || label === 'X509 CERTIFICATE');
  const [first] = blocks;
  if (certificates.length === 0 && first !== undefined) throw unexpected(first, 'certificate');
  return certificates.map(({ line, bytes }) => {
    try {
      return new X509Certificate(bytes);
    } catch (cause) {
      throw new PemError(`line ${line}: the certificate that begins here is damaged`, { cause });
    }
  });
}

/** The one private key. Throws PemError. */
export function readPrivateKey(text: string): KeyObject {
  const blocks = readBlocks(text);
  const [key, another] = blocks.filter(({ label }) => label.endsWith('PRIVATE KEY'));
  const [first] = blocks;
  if (key === undefined) throw unexpected(first ?? { label: 'text', line: 1 }, 'private key');
  const { line, label, bytes } = key;
  if (another !== undefined) throw new PemError(`line ${another.line}: a second private key; one is expected`);
  if (key.encrypted || label === 'ENCRYPTED PRIVATE KEY')
    throw new PemError(`line ${line}: the key is encrypted with a passphrase; store it decrypted, as a secret`);
  const type = keyTypes[label];
  if (type === undefined) throw new PemError(`line ${line}: a key of the kind ${label} is of no use for TLS`);
  try {
    return createPrivateKey({ key: bytes, format: 'der', type });
  } catch (cause) {
    throw new PemError(`line ${line}: the private key that begins here is damaged`, { cause });
  }
}

function unexpected({ label, line }: Pick<Block, 'label' | 'line'>, expected: string): PemError {
  return new PemError(`line ${line}: a ${expected} is expected, this is a ${label.toLowerCase()}`);
}

function readBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  let open: OpenBlock | undefined;
  for (const [index, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const number = index + 1;
    const line = raw.trim();
    if (/\\[rn]/.test(line) && (open !== undefined || line.includes('-BEGIN')))
      throw new PemError(`line ${number}: holds a backslash and a letter where a line break should be`);
    const label = begin.exec(line)?.[1];
    if (open !== undefined) {
      const block = readInside(open, line, number);
      if (block === undefined) continue;
      blocks.push(block);
      open = undefined;
    } else if (label !== undefined) {
      open = { label, line: number, digits: '', encrypted: false };
    } else if (/-\s*(?:BEGIN|END)\b/.test(line)) {
      throw new PemError(
        line.includes('END')
          ? `line ${number}: an END without its BEGIN`
          : `line ${number}: a BEGIN line is -----BEGIN …----- and nothing else`,
      );
    }
  }
  if (open !== undefined) throw new PemError(`line ${open.line}: the ${open.label} that begins here has no END`);
  if (blocks.length === 0) throw new PemError('line 1: there is no -----BEGIN …----- in the text');
  return blocks;
}

/** The block, once its END is there. */
function readInside(open: OpenBlock, line: string, number: number): Block | undefined {
  const label = end.exec(line)?.[1];
  if (label !== undefined) {
    if (label !== open.label)
      throw new PemError(`line ${number}: END ${label} closes the BEGIN ${open.label} of line ${open.line}`);
    if (open.digits === '') throw new PemError(`line ${number}: the ${label} of line ${open.line} is empty`);
    if (open.digits.length % 4 !== 0)
      throw new PemError(`line ${number - 1}: the ${label} of line ${open.line} is cut off: its base64 is not whole`);
    return { label, line: open.line, bytes: Buffer.from(open.digits, 'base64'), encrypted: open.encrypted };
  }
  if (line.startsWith('-')) {
    throw new PemError(
      begin.test(line)
        ? `line ${number}: a BEGIN before the END of the block of line ${open.line}`
        : `line ${number}: an END line is -----END …----- and nothing else`,
    );
  }
  if (header.test(line)) open.encrypted ||= line.includes('ENCRYPTED');
  else if (line !== '') {
    if (open.digits.endsWith('=') || !base64.test(line)) throw new PemError(`line ${number}: is not base64`);
    open.digits += line;
  }
  return undefined;
}
