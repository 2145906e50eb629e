/** What broke other gateways where they ask another who the caller is: held for each kind that this one asks. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { RawClient, type RawResponse } from '../wire/raw-client.ts';
import { type Authorisers, kinds, maxBody, startAuthorisers, type Told } from './authorisers.ts';

describe('whoever is asked about a request', { timeout: 120_000 }, () => {
  let all: Authorisers;
  before(async () => {
    all = await startAuthorisers();
  });
  after(() => all[Symbol.asyncDispose]());
  beforeEach(() => {
    all.told.length = 0;
    all.upstream.requests.length = 0;
    all.header = ['X-User', 'jack'];
  });

  /** Exact bytes; Host and the end of the head are added. */
  const raw = async (line: string, fields: readonly string[] = [], body = ''): Promise<RawResponse> => {
    using client = await RawClient.connect(all.gateway.ports.data);
    client.write([`${line} HTTP/1.1`, 'Host: gateway.test', ...fields, '', body].join('\r\n'));
    return await client.response();
  };
  const told = (): Told => {
    const [one, ...more] = all.told;
    assert.ok(one !== undefined && more.length === 0, `asked ${String(all.told.length)} times`);
    return one;
  };
  const sent = (): NonNullable<(typeof all.upstream.requests)[0]> => {
    const one = all.upstream.requests.at(-1);
    assert.ok(one !== undefined, 'nothing went upstream');
    return one;
  };

  for (const kind of kinds)
    describe(kind, () => {
      it('lets pass or refuses', async () => {
        assert.equal((await raw(`GET /${kind}/a`, ['X-Pass: 1'])).status, 200);
        assert.equal(sent().headers['x-user'], 'jack');
        assert.ok([401, 403].includes((await raw(`GET /${kind}/a`)).status));
        assert.equal(all.upstream.requests.length, 1);
      });

      it('sees every field of a name (CVE-2021-32777)', async () => {
        await raw(`GET /${kind}/a`, ['X-Twice: good', 'X-Other: x', 'X-Twice: evil']);
        const values = told().headers.filter(([name]) => name === 'x-twice');
        assert.deepEqual(values.map(([, value]) => value).join(', '), 'good, evil');
      });

      it('is told the address of the socket, and no forged one (CVE-2021-33190, CVE-2026-35051)', async () => {
        const forged = ['X-Forwarded-For', 'X-Real-IP', 'Forwarded', 'X_Forwarded_For', 'X.Real.IP'];
        await raw(
          `GET /${kind}/a`,
          forged.map((name) => `${name}: 6.6.6.6`),
        );
        assert.equal(told().address, '127.0.0.1');
        assert.ok(!JSON.stringify(told().headers).includes('6.6.6.6'));
      });

      it('is told no identity that the client made up (CVE-2026-39998)', async () => {
        const names = ['X-Consumer-Username', 'X_Consumer_Username', 'X.Credential.Identifier', 'X-Userinfo'];
        await raw(
          `GET /${kind}/a`,
          names.map((name) => `${name}: root`),
        );
        assert.ok(!JSON.stringify(told().headers).includes('root'));
      });

      it('judges the path that is served, however it was spelt (CVE-2021-43557)', async () => {
        for (const spelling of ['x/..//a', 'x/%2e%2e/%61', './a', '/a']) {
          all.told.length = 0;
          all.upstream.requests.length = 0;
          assert.equal((await raw(`GET /${kind}/${spelling}`, ['X-Pass: 1'])).status, 200, spelling);
          assert.equal(told().path, `/${kind}/a`);
          assert.equal(sent().url, `/${kind}/a`);
        }
      });

      it('is not asked about a body beyond its bound: 413, announced or not (apisix#13466)', async () => {
        const body = 'x'.repeat(maxBody + 1);
        const announced = await raw(`POST /${kind}/a`, ['X-Pass: 1', `Content-Length: ${String(body.length)}`], body);
        assert.equal(announced.status, 413);
        const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
        const chunked = await raw(`POST /${kind}/a`, ['X-Pass: 1', 'Transfer-Encoding: chunked'], chunk);
        assert.equal(chunked.status, 413);
        assert.deepEqual(all.told, []);
        assert.deepEqual(all.upstream.requests, []);
      });

      // A runner is asked before.
      if (kind !== 'runner')
        it('is not given a body beyond its bound that another plugin has read: 413', async () => {
          const post = (body: string): Promise<RawResponse> =>
            raw(`POST /validated/${kind}/a`, ['X-Pass: 1', `Content-Length: ${String(body.length)}`], body);
          assert.equal((await post(`"${'x'.repeat(maxBody)}"`)).status, 413);
          assert.deepEqual(all.told, []);
          assert.equal((await post('"x"')).status, 200);
          assert.equal(told().body, '"x"');
        });

      it('is told the body that goes upstream', async () => {
        await raw(`POST /${kind}/a`, ['X-Pass: 1', 'Transfer-Encoding: chunked'], '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n');
        assert.equal(told().body, 'abcde');
        assert.equal(sent().body, 'abcde');
      });

      it('is asked by one request, whatever of the client’s stands in it (CVE-2026-31908)', async () => {
        const split = 'a%0d%0aX-Pass:%201%0d%0a%0d%0aGET%20/second%00';
        const { status } = await raw(`GET /${kind}/a?reflected=${split}`);
        assert.ok(status >= 400, String(status));
        assert.ok(all.told.length <= 1);
        for (const { headers } of all.told) assert.ok(!headers.some(([name]) => name === 'x-pass'));
        assert.deepEqual(all.upstream.requests, []);
      });

      it('sets a header that a client’s Connection does not take away (CVE-2021-32813, CVE-2026-33805)', async () => {
        assert.equal((await raw(`GET /${kind}/a`, ['X-Pass: 1', 'Connection: X-User, keep-alive'])).status, 200);
        assert.equal(sent().headers['x-user'], 'jack');
      });

      it('cannot end a line by the header that it sets', async () => {
        all.header = ['X-User', 'jack\u0001'];
        const { status } = await raw(`GET /${kind}/a`, ['X-Pass: 1']);
        // 403 is forward-auth's status_on_error, as APISIX's.
        assert.ok(status === 403 || status >= 500, String(status));
        assert.deepEqual(all.upstream.requests, []);
      });
    });

  for (const kind of ['custom-auth', 'forward-auth', 'opa'] as const)
    it(`${kind} alone sets its header: a client’s is dropped in every spelling (GHSA-x677-9fxg-v5c5)`, async () => {
      for (const spelling of ['X-User', 'x-user', 'X_User', 'X.User', 'x!user', 'X~USER']) {
        assert.equal((await raw(`GET /${kind}/a`, ['X-Pass: 1', `${spelling}: root`])).status, 200);
        const { headers } = sent();
        const folded = Object.entries(headers).filter(([name]) => /^x[^a-z]user$/.test(name));
        assert.deepEqual(folded, [['x-user', 'jack']], spelling);
      }
    });
});
