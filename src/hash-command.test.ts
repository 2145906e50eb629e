import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { runHash } from './hash-command.ts';
import { hashSecret, parseHashForm } from './plugin/password-hash.ts';

async function run(args: string[], input: string): Promise<string> {
  let output = '';
  assert.equal(await runHash(args, Readable.from([input]), (line) => (output += line)), 0);
  return output;
}

test('prints the form of the line that it reads, without its end', async () => {
  const output = await run([], 'hunter2\r\n');
  assert.match(output, /^\$hash:\/\/argon2id\$v=19,m=19456,t=2,p=1\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+\n$/);
  const form = parseHashForm(output.trim());
  assert.ok(form.algorithm !== 'sha256');
  assert.ok((await hashSecret(form, 'hunter2')).equals(form.hash));
});

test('a key takes its prefix into the form', async () => {
  assert.match(await run(['--key', '--algorithm', 'scrypt'], 'gw1.secret.more\n'), /^\$hash:\/\/scrypt\$keyid=gw1,ln=/);
  assert.match(await run(['--key', '--algorithm', 'sha256'], 'no-prefix'), /^\$hash:\/\/sha256\$[0-9a-f]{64}\n$/);
});

for (const [args, input, reason] of [
  [[], '\n', /is empty/],
  [[], 'two\nlines\n', /more than one line/],
  [['--algorithm', 'md5'], 'x', /takes one of/],
  [['--algorithm', 'sha256'], 'x', /too fast for a password/],
  [['--key'], 'no-prefix', /PREFIX\.SECRET/],
  [['--key'], 'prefix.', /PREFIX\.SECRET/],
] as const) {
  test(`refuses ${JSON.stringify([args, input])}`, async () => {
    await assert.rejects(run([...args], input), reason);
  });
}
