/** `gatewright hash`: a secret on standard input → the form to store, on standard output. The secret is in no argument and no log. */
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { createHashForm } from './plugin/password-hash.ts';

const algorithms = ['argon2id', 'scrypt', 'sha256'] as const;

/** `--key`: for key-auth, whose keys are found by what stands before their first dot. Throws what a person must put right. */
export async function runHash(
  args: readonly string[],
  input: AsyncIterable<string | Uint8Array> = process.stdin,
  write: (line: string) => void = (line) => void process.stdout.write(line),
): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { algorithm: { type: 'string', default: 'argon2id' }, key: { type: 'boolean', default: false } },
    strict: true,
  });
  const algorithm = algorithms.find((name) => name === values.algorithm);
  if (algorithm === undefined) throw new TypeError(`--algorithm takes one of ${algorithms.join(', ')}`);
  // What `echo` and a keyboard end a line with is no part of the secret.
  const secret = (await text(input)).replace(/\r?\n$/, '');
  if (secret === '') throw new Error('hash reads the secret from standard input, which is empty');
  if (/[\0\r\n]/.test(secret)) throw new Error('the secret has more than one line, or a NUL');
  if (algorithm === 'sha256' && !values.key)
    throw new TypeError('sha256 is too fast for a password: it is for keys (--key) that a machine made');
  write(
    `${await createHashForm(algorithm, secret, values.key && algorithm !== 'sha256' ? keyIdOf(secret) : undefined)}\n`,
  );
  return 0;
}

function keyIdOf(key: string): string {
  const keyId = /^([A-Za-z0-9_-]{1,64})\../.exec(key)?.[1];
  if (keyId !== undefined) return keyId;
  throw new Error(
    'a key to be hashed slowly is written PREFIX.SECRET, its prefix of A-Z a-z 0-9 _ -; else use --algorithm sha256',
  );
}
