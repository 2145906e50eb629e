import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { signTc3 } from './tc3-signature.ts';

interface Row {
  readonly name: string;
  readonly method: string;
  readonly host: string;
  readonly query: string;
  readonly contentType: string;
  readonly body: string;
  readonly timestamp: number;
  readonly secretId: string;
  readonly secretKey: string;
  readonly service: string;
  readonly authorization: string;
}

const rows = JSON.parse(
  readFileSync(new URL('../../../test/vectors/signing/tc3.json', import.meta.url), 'utf8'),
) as Row[];

for (const {
  name,
  method,
  host,
  query,
  contentType,
  body,
  timestamp,
  service,
  authorization,
  ...credentials
} of rows) {
  test(`signs as the published example does: ${name}`, () => {
    const request = { method, host, query, headers: { 'content-type': contentType }, body };
    assert.equal(signTc3(request, credentials, service, timestamp), authorization);
  });
}

test('signs further headers in order, and every part changes the signature', () => {
  const [row] = rows as [Row];
  const sign = (headers: Record<string, string>, body = '', key = row.secretKey): string =>
    signTc3(
      { method: 'POST', host: 'scf.tencentcloudapi.com', query: '', headers, body },
      { secretId: row.secretId, secretKey: key },
      'scf',
      row.timestamp,
    );
  const plain = sign({ 'x-tc-action': 'Invoke', 'content-type': 'application/json' });
  assert.match(plain, /SignedHeaders=content-type;host;x-tc-action,/);
  assert.equal(sign({ 'content-type': 'application/json', 'x-tc-action': 'invoke' }), plain);
  assert.notEqual(sign({ 'x-tc-action': 'Invoke', 'content-type': 'application/json' }, '{}'), plain);
  assert.notEqual(sign({ 'x-tc-action': 'Invoke', 'content-type': 'application/json' }, '', 'x'), plain);
});
