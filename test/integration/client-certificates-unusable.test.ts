/** What must not open a name that asks for client certificates: an item that cannot be used, a resumed session, no server name. */
import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { stringify } from 'yaml';
import { type Authority, type Certificate, createAuthority, createCertificate } from '../certificates.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { put } from '../resources.ts';
import { connectTls, statusOverTls, type TlsClient } from '../tls-client.ts';
import { until } from '../until.ts';
import { startUpstream, type TestUpstream } from '../upstream.ts';

let upstream: TestUpstream;
let server: Certificate;
let root: Authority;
let second: Authority;
let client: Certificate;
before(async () => {
  [root, second, server] = await Promise.all([
    createAuthority('root'),
    createAuthority('second'),
    createCertificate('gateway.test'),
  ]);
  client = await root.issue({ name: 'client' });
  upstream = await startUpstream();
});
after(() => upstream[Symbol.asyncDispose]());

const route = (fields: object = {}): object => ({
  id: '1',
  uri: '/*',
  upstream: { type: 'roundrobin', nodes: { [upstream.node]: 1 } },
  ...fields,
});
type Options = ConnectionOptions & { host?: never; as?: string };
const broken = '-----BEGIN CERTIFICATE-----\nMIIB'.padEnd(200, 'A');

describe('an ssl item of a file that asks for client certificates and cannot be used', () => {
  const item = (fields: object): object => ({ id: 'exact', sni: 'a.wild.test', ...server, ...fields });
  const wildcard = (): object => ({ id: 'wild', sni: '*.wild.test', ...server });
  const text = (...ssls: object[]): string => `${stringify({ routes: [route()], ssls })}#END\n`;
  const start = (...ssls: object[]): Promise<Gateway> =>
    startGateway({
      settings: { deployment: { role: 'data_plane', role_data_plane: { config_provider: 'yaml' } } },
      files: { 'apisix.yaml': text(...ssls) },
    });
  const write = async (gateway: Gateway, ...ssls: object[]): Promise<void> => {
    await writeFile(join(gateway.directory, 'draft'), text(...ssls));
    await rename(join(gateway.directory, 'draft'), join(gateway.directory, 'apisix.yaml'));
  };
  const status = (gateway: Gateway, servername: string, options: Options = {}): Promise<number | string> =>
    statusOverTls(gateway.ports.tls, { servername, ...options });

  for (const [what, fields] of [
    ['its authorities cannot be read', () => ({ client: { ca: broken } })],
    ['one of its authorities cannot be read', () => ({ client: { ca: `${root.cert}${broken}` } })],
    ['it names no authority', () => ({ client: {} })],
    ['`client` is empty', () => ({ client: null })],
    ['a pattern is none', () => ({ client: { ca: root.cert, skip_mtls_uri_regex: ['('] } })],
    ['its own certificate is broken', () => ({ cert: broken, client: { ca: root.cert } })],
    ['its key is another', () => ({ key: client.key, client: { ca: root.cert } })],
    ['it has a field that nobody knows', () => ({ client: { ca: root.cert }, clients: 1 })],
  ] as const) {
    it(`refuses its name where ${what}, and no wildcard takes it over`, async () => {
      await using gateway = await start(item(fields()), wildcard());
      assert.equal(typeof (await status(gateway, 'a.wild.test', client)), 'string');
      await until(() => /handshake refused.*item_unusable.*a\.wild\.test/.test(gateway.output()));
      assert.equal(await status(gateway, 'b.wild.test'), 200);
      assert.equal(await status(gateway, 'b.wild.test', { as: 'a.wild.test' }), 400);
    });
  }

  it('keeps its last good value where that asks of the same names, and is refused where it asked for nothing', async () => {
    await using gateway = await start(item({ client: { ca: root.cert } }), wildcard());
    const logged = async (pattern: RegExp): Promise<void> => until(() => pattern.test(gateway.output()));
    assert.equal(await status(gateway, 'a.wild.test', client), 200);
    await write(gateway, item({ client: { ca: broken } }), wildcard());
    await logged(/last good value stays/);
    assert.equal(await status(gateway, 'a.wild.test', client), 200);
    assert.match(String(await status(gateway, 'a.wild.test')), /_ALERT_/);

    await write(
      gateway,
      item({ sni: undefined, snis: ['a.wild.test', 'new.wild.test'], client: { ca: broken } }),
      wildcard(),
    );
    await until(async () => typeof (await status(gateway, 'new.wild.test')) === 'string');
    assert.equal(typeof (await status(gateway, 'a.wild.test', client)), 'string');

    await write(gateway, item({}), wildcard());
    await until(async () => (await status(gateway, 'a.wild.test')) === 200);
    await write(gateway, item({ client: { ca: broken } }), wildcard());
    await until(async () => typeof (await status(gateway, 'a.wild.test')) === 'string');

    await write(gateway, wildcard());
    await until(async () => (await status(gateway, 'a.wild.test')) === 200);
  });
});

describe('an ssl item in the store', () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await startGateway({
      settings: {
        nginx_config: { worker_processes: 1 },
        apisix: { ssl: { fallback_sni: 'fallback.test' } },
      },
    });
    await put(gateway, '/routes/1', route({ id: undefined }));
    await put(gateway, '/ssls/wild', { ...server, sni: '*.wild.test' });
  });
  after(() => gateway[Symbol.asyncDispose]());
  const status = (options: Options): Promise<number | string> => statusOverTls(gateway.ports.tls, options);

  it('is refused when it is written, with the field, where clients could not be judged by it', async () => {
    for (const [fields, message] of [
      [{ client: { ca: broken } }, /failed to validate client_cert: failed to parse cert: certificate 1 of 1/],
      [{ client: { ca: `${root.cert}${broken}` } }, /failed to parse cert: certificate 2 of 2 cannot be read/],
      [{ client: { ca: root.key.padEnd(200) } }, /failed to parse cert: it holds no PEM certificate/],
      [{ client: { ca: root.cert, skip_mtls_uri_regex: ['/a', '('] } }, /client\.skip_mtls_uri_regex\[2\]/],
      [{ client: { ca: root.cert, depth: -1 } }, /depth/],
      [{ client: {} }, /ca/],
      [await root.issue({ key: 'rsa-1024' }), /failed to use cert and key: ee key too small/],
    ] as const) {
      const { status: code, body } = await gateway.admin('PUT', '/ssls/bad', { ...server, sni: 'bad.test', ...fields });
      assert.equal(code, 400, JSON.stringify(fields));
      assert.match(String(body['error_msg']), message);
    }
  });

  it('whose authorities are a secret that is not there is refused, and no wildcard takes its name over', async () => {
    await put(gateway, '/ssls/secret', { ...server, sni: 'a.wild.test', client: { ca: '$env://NOT_SET_ANYWHERE' } });
    assert.equal(typeof (await status({ servername: 'a.wild.test', ...client })), 'string');
    assert.equal(await status({ servername: 'b.wild.test' }), 200);
    assert.equal(await status({ servername: 'b.wild.test', as: 'a.wild.test' }), 400);
    assert.match(gateway.output(), /its server names are refused/);
    assert.equal((await gateway.admin('DELETE', '/ssls/secret')).status, 200);
    assert.equal(await status({ servername: 'a.wild.test' }), 200);
  });

  it('serves who names no server as fallback_sni says, but nobody by it who would have to be asked for a certificate', async () => {
    const nameless = { servername: '', as: 'fallback.test' };
    assert.equal(typeof (await status(nameless)), 'string');
    await put(gateway, '/ssls/fallback', { ...server, sni: 'fallback.test' });
    await until(async () => (await status(nameless)) === 200);
    await put(gateway, '/ssls/fallback', { ...server, sni: 'fallback.test', client: { ca: root.cert } });
    for (const as of ['fallback.test', 'other.test', 'b.wild.test'])
      assert.equal(await status({ servername: '', as, ...client }), 400);
    assert.match(gateway.output(), /the handshake could not ask for a client certificate/);
    assert.equal((await gateway.admin('DELETE', '/ssls/fallback')).status, 200);
    await until(async () => typeof (await status(nameless)) === 'string');
  });
});

describe('a session that may be resumed', () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await startGateway({
      settings: { nginx_config: { worker_processes: 1 }, apisix: { ssl: { ssl_session_tickets: true } } },
    });
    await put(gateway, '/routes/1', route({ id: undefined }));
    await put(gateway, '/ssls/plain', { ...server, sni: 'plain.test' });
  });
  after(() => gateway[Symbol.asyncDispose]());

  const connect = (options: ConnectionOptions): Promise<TlsClient> => connectTls(gateway.ports.tls, options);
  /** The session that the server gives out with a request. */
  const sessionOf = async (options: ConnectionOptions): Promise<Buffer> => {
    using connection = await connect(options);
    assert.equal((await connection.get(options.servername ?? '')).status, 200);
    return await connection.session;
  };

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is resumed while no item asks for client certificates, and opens no name that does (${maxVersion}, CVE-2025-23419)`, async () => {
      const plain = { servername: 'plain.test', maxVersion };
      const session = await sessionOf(plain);
      {
        using resumed = await connect({ ...plain, session });
        assert.ok(resumed.socket.isSessionReused());
        assert.equal((await resumed.get('plain.test')).status, 200);
      }
      await put(gateway, '/ssls/strict', { ...server, sni: 'strict.test', client: { ca: root.cert } });
      await put(gateway, '/ssls/other', { ...server, sni: 'other.test', client: { ca: second.cert } });
      const status = (options: Options): Promise<number | string> =>
        statusOverTls(gateway.ports.tls, { maxVersion, ...options });
      const strict = { servername: 'strict.test', maxVersion };
      assert.match(String(await status({ ...strict, session })), /_ALERT_/);

      // One that another name has verified, and one that the name itself has.
      const ofOther = await sessionOf({ servername: 'other.test', maxVersion, ...(await second.issue()) });
      const ofStrict = await sessionOf({ ...strict, ...client });
      for (const old of [ofOther, ofStrict]) assert.match(String(await status({ ...strict, session: old })), /_ALERT_/);
      assert.equal(await status({ ...strict, session: ofOther, ...(await second.issue()) }), 400);
      assert.equal(await status({ ...strict, session: ofStrict, ...client }), 200);

      for (const id of ['strict', 'other']) await gateway.admin('DELETE', `/ssls/${id}`);
      await until(async () => {
        using again = await connect({ ...plain, session: await sessionOf(plain) });
        return again.socket.isSessionReused();
      });
    });
  }
});
