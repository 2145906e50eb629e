import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createAuthority } from '../certificates.ts';
import { compileSchema } from '../../src/resources/validator.ts';
import { ConfigError } from '../../src/errors/gateway-error.ts';
import type { HttpClientOptions } from '../../src/plugin/http-client/http-client.ts';
import { checkOptions, pickHttpClientOptions } from '../../src/plugin/http-client/options.ts';
import { httpClientSchema } from '../../src/plugin/http-client/schema.ts';

const root = await createAuthority('root');
const middle = await root.intermediate('middle');
const [one, other] = await Promise.all([middle.issue({ name: 'one' }), middle.issue({ name: 'other' })]);

function refusal(options: object): string {
  try {
    checkOptions(options);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  return assert.fail('it was accepted');
}

test('verifies, keeps connections and has deadlines where nothing is said', () => {
  const { verify, keepAlive, connectTimeoutMs, timeoutMs, maxResponseBytes, protocols } = checkOptions({});
  assert.deepEqual(
    [verify, keepAlive, connectTimeoutMs, timeoutMs, maxResponseBytes, protocols],
    [true, true, 2000, 3000, 1_048_576, ['TLSv1.2', 'TLSv1.3']],
  );
});

test('takes PEM text, paths of files and references that are not resolved yet', () => {
  const { cert, key, ca } = checkOptions({
    ssl_cert: `${one.cert}${middle.chain}`,
    ssl_key: one.key,
    ssl_ca: '/etc/ca.pem',
  });
  assert.deepEqual([cert?.kind, key?.kind, ca?.kind], ['text', 'text', 'file']);
  assert.equal(checkOptions({ ssl_cert: one.cert, ssl_key: '$secret://vault/1/a/key' }).key?.kind, 'unresolved');
});

const pem: readonly [string, HttpClientOptions, RegExp][] = [
  ['a certificate without its key', { ssl_cert: one.cert }, /^ssl_cert: needs ssl_key/],
  ['a key without its certificate', { ssl_key: one.key }, /^ssl_key: needs ssl_cert/],
  ['a key of another certificate', { ssl_cert: one.cert, ssl_key: other.key }, /^ssl_key: the private key does not belong to the certificate$/],
  ['a chain that does not begin with the client’s own', { ssl_cert: `${middle.chain}${one.cert}`, ssl_key: one.key }, /^ssl_cert: the private key belongs to certificate 2 of the chain/],
  ['certificate and key in each other’s place', { ssl_cert: one.key, ssl_key: one.cert }, /^ssl_cert: line 1: a certificate is expected, this is a private key$/],
  ['a damaged CA', { ssl_ca: root.cert.replace(/\n./, '\n*') }, /^ssl_ca: line 2: is not base64$/],
  ['text that is neither PEM nor a path', { ssl_ca: 'x'.repeat(5000) }, /^ssl_ca: is neither PEM text/],
]; // prettier-ignore
for (const [what, options, message] of pem) {
  test(`refuses ${what}`, () => {
    assert.match(refusal(options), message);
    assert.doesNotMatch(refusal(options), /PRIVATE KEY-|MI[GIH]/);
  });
}

const values: readonly [object, RegExp][] = [
  [{ ssl_verify: 'no' }, /^ssl_verify: must be a boolean$/],
  [{ ssl_cert: 7, ssl_key: 'k' }, /^ssl_cert: must be a string/],
  [{ timeout: 0 }, /^timeout: must be an integer of at least 1$/],
  [{ timeout: 1.5 }, /^timeout:/],
  [{ retries: 11 }, /^retries: must be an integer from 0 to 10$/],
  [{ ssl_protocols: ['SSLv3'] }, /^ssl_protocols: must be a list of TLSv1\.2 and TLSv1\.3$/],
  [{ ssl_protocols: [] }, /^ssl_protocols:/],
  [{ ssl_server_name: '10.0.0.1' }, /^ssl_server_name: must be a host name/],
  [{ ssl_server_name: 'a b' }, /^ssl_server_name: must be a host name/],
];
for (const [options, message] of values) {
  test(`refuses ${JSON.stringify(options)}`, () => {
    assert.match(refusal(options), message);
  });
}

test('what the embedded schema takes, the check takes, and the other way round', () => {
  const validate = compileSchema({ type: 'object', properties: httpClientSchema });
  const good = { ssl_verify: false, timeout: 1, keepalive_timeout: 1000, retries: 10, ssl_protocols: ['TLSv1.3'] };
  assert.equal(validate(good), undefined);
  checkOptions(good as HttpClientOptions);
  for (const [options] of values.slice(0, -2)) assert.notEqual(validate({ ...options }), undefined);
});

describe('misspelt names', () => {
  const names: Readonly<Record<string, string>> = {
    ssl_client_cert: 'the client certificate is ssl_cert',
    ssl_client_priv_key: 'the private key of the client certificate is ssl_key',
    client_cert: 'the client certificate is ssl_cert',
    client_key: 'the private key of the client certificate is ssl_key',
    sslCert: 'the client certificate is ssl_cert',
    ssl_certt: 'the client certificate is ssl_cert',
    ssl_trusted_certificate: 'the authorities to verify the server with are ssl_ca',
    tls_verify: 'verification of the server is switched by ssl_verify',
    rejectUnauthorized: 'verification of the server is switched by ssl_verify',
    sni: 'the name for SNI is ssl_server_name',
    keep_alive: 'did you mean keepalive',
    timout: 'did you mean timeout',
  };
  for (const [name, suggestion] of Object.entries(names)) {
    test(`${name}: ${suggestion}`, () => {
      assert.equal(refusal({ [name]: 'x' }), `${name}: the http client has no such option; ${suggestion}`);
    });
  }

  test('a name that resembles none is refused without a suggestion', () => {
    assert.equal(refusal({ colour: 'red' }), 'colour: the http client has no such option');
  });

  test('beside a plugin’s own fields they are refused too, and the plugin’s fields are left alone', () => {
    const config = { uri: 'https://a', key: 1, timeouts: 3, ssl_verify: true, timeout: 5, _meta: {} };
    assert.deepEqual(pickHttpClientOptions(config, ['uri', 'timeouts']), { ssl_verify: true, timeout: 5 });
    assert.throws(
      () => pickHttpClientOptions({ uri: 'https://a', ssl_client_cert: 'x' }),
      /ssl_client_cert: .* ssl_cert$/,
    );
  });
});
