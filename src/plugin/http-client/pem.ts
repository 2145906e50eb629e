/**
 * PEM text (RFC 7468), read line by line so that what is wrong with it can be said with its line. Text around the blocks is ignored,
 * as everywhere. No message repeats what a line holds: it may be a key.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

/** The text is no PEM, or not the one that was asked for; the message begins with the line. */
export class PemError extends Error {
  override readonly name = 'PemError';
}

interface Block {
  readonly label: string;
  /** Of its BEGIN, from 1. */
  readonly line: number;
  readonly text: string;
  readonly encrypted: boolean;
}

const begin = /^-----BEGIN ([A-Z0-9 ]+)-----$/;
const end = /^-----END ([A-Z0-9 ]+)-----$/;
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** RFC 1421 §4.6, of keys in OpenSSL's older form. */
const header = /^[A-Za-z0-9-]+: ?.+$/;

/** All certificates in their order. Throws PemError. */
export function readCertificates(text: string): X509Certificate[] {
  const blocks = readBlocks(text);
  const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE' || label === 'X509 CERTIFICATE');
  const [first] = blocks;
  if (certificates.length === 0 && first !== undefined) {
    const hint = first.label.endsWith('PRIVATE KEY') ? 'this is a private key' : `this is a ${first.label}`;
    throw new PemError(`line ${first.line}: expected a certificate, ${hint}`);
  }
  return certificates.map((block) => {
    try {
      return new X509Certificate(block.text);
    } catch (cause) {
      throw new PemError(`line ${block.line}: the certificate that begins here is damaged`, { cause });
    }
  });
}

/** The one private key. Throws PemError. */
export function readPrivateKey(text: string): KeyObject {
  const blocks = readBlocks(text);
  const keys = blocks.filter(({ label }) => label.endsWith('PRIVATE KEY'));
  const [key, another] = keys;
  if (key === undefined) {
    const [first] = blocks;
    throw new PemError(
      `line ${first?.line ?? 1}: expected a private key, this is a ${first?.label.toLowerCase() ?? 'text'}`,
    );
  }
  if (another !== undefined) throw new PemError(`line ${another.line}: a second private key; one is expected`);
  if (key.encrypted || key.label === 'ENCRYPTED PRIVATE KEY')
    throw new PemError(`line ${key.line}: the key is encrypted with a passphrase; store it decrypted, as a secret`);
  try {
    return createPrivateKey(key.text);
  } catch (cause) {
    throw new PemError(
      `line ${key.line}: the private key that begins here is damaged, or of a kind that is not known`,
      {
        cause,
      },
    );
  }
}

function readBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  let open: { label: string; line: number; lines: string[]; encrypted: boolean; padded: boolean } | undefined;
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  for (const [index, raw] of lines.entries()) {
    const number = index + 1;
    const line = raw.trim();
    const label = begin.exec(line)?.[1];
    if (/\\[rn]/.test(line))
      throw new PemError(`line ${number}: holds a backslash and an n where a line break should be`);
    if (open === undefined) {
      if (label !== undefined) open = { label, line: number, lines: [line], encrypted: false, padded: false };
      else if (line.startsWith('-----END')) throw new PemError(`line ${number}: an END without its BEGIN`);
      else if (line.includes('---BEGIN') || line.includes('--- BEGIN'))
        throw new PemError(`line ${number}: a BEGIN line must be -----BEGIN …----- and nothing else`);
      continue;
    }
    if (label !== undefined)
      throw new PemError(`line ${number}: a BEGIN before the END of the block that began at line ${open.line}`);
    const ended = end.exec(line)?.[1];
    open.lines.push(line);
    if (ended !== undefined) {
      if (ended !== open.label)
        throw new PemError(`line ${number}: END ${ended} closes the BEGIN ${open.label} of line ${open.line}`);
      blocks.push(closeBlock(open, number));
      open = undefined;
    } else if (line.startsWith('-')) {
      throw new PemError(`line ${number}: an END line must be -----END …----- and nothing else`);
    } else if (header.test(line)) {
      open.encrypted ||= line.includes('ENCRYPTED');
    } else if (line !== '') {
      if (open.padded || !base64.test(line)) throw new PemError(`line ${number}: is not base64`);
      open.padded = line.endsWith('=');
    }
  }
  if (open !== undefined) throw new PemError(`line ${open.line}: the ${open.label} that begins here has no END`);
  if (blocks.length === 0) throw new PemError('line 1: no -----BEGIN …----- in the text');
  return blocks;
}

function closeBlock(
  open: { label: string; line: number; lines: readonly string[]; encrypted: boolean },
  number: number,
): Block {
  const digits = open.lines.slice(1, -1).filter((line) => base64.test(line));
  if (digits.length === 0) throw new PemError(`line ${number}: the ${open.label} of line ${open.line} is empty`);
  if (!open.encrypted && digits.join('').length % 4 !== 0)
    throw new PemError(
      `line ${number - 1}: the ${open.label} of line ${open.line} is cut off: its base64 is not whole`,
    );
  return { label: open.label, line: open.line, text: `${open.lines.join('\n')}\n`, encrypted: open.encrypted };
}
