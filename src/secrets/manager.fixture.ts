/**
 * A server that answers as Vault, AWS and Google Cloud document their answers, for tests: a real socket, values that a test
 * changes, and a switch that takes it away.
 * Vault: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1#sample-response and kv-v2#sample-response-1.
 * AWS: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html#API_GetSecretValue_Examples.
 * Google: https://developers.google.com/identity/protocols/oauth2/service-account#httprest and
 * https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access.
 */
import { createVerify, type KeyObject } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface ManagerRequestSeen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface TestManager {
  readonly url: string;
  readonly requests: ManagerRequestSeen[];
  /** KV version 1: API path (`apisix/jack`) → members. */
  readonly kv1: Map<string, Record<string, unknown>>;
  /** KV version 2: API path (`kv/data/jack`) → members; null: deleted. */
  readonly kv2: Map<string, Record<string, unknown> | null>;
  /** AWS: SecretId → SecretString. */
  readonly aws: Map<string, string>;
  /** Google: resource name (`projects/p/secrets/s`) → the latest version's text. */
  readonly gcp: Map<string, string>;
  /** Of the service account that may ask. */
  gcpAccount: KeyObject | undefined;
  readonly token: string;
  /** Answers this status to everything; undefined: works. */
  broken: number | undefined;
  /** Every answer waits for it. */
  gate: Promise<void> | undefined;
}

export async function startManager(t: TestContext): Promise<TestManager> {
  const server = createServer((request, response) => void answer(manager, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const manager: TestManager = {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    requests: [],
    kv1: new Map(),
    kv2: new Map(),
    aws: new Map(),
    gcp: new Map(),
    gcpAccount: undefined,
    token: 'hvs.test-token',
    broken: undefined,
    gate: undefined,
  };
  t.after(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return manager;
}

async function answer(manager: TestManager, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request);
  const path = request.url ?? '';
  manager.requests.push({ method: request.method ?? '', path, headers: request.headers, body });
  await manager.gate;
  const send = (status: number, value: unknown): void => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
  };
  if (manager.broken !== undefined) send(manager.broken, { errors: ['Vault is sealed'] });
  else if (request.headers['x-amz-target'] === 'secretsmanager.GetSecretValue') answerAws(manager, body, send);
  else if (path === '/token') answerToken(manager, body, send);
  else if (path.startsWith('/v1/projects/')) answerGcp(manager, path, request.headers.authorization, send);
  else if (request.headers['x-vault-token'] !== manager.token) send(403, { errors: ['permission denied'] });
  else answerVault(manager, path.replace(/^\/v1\//, ''), send);
}

function answerVault(manager: TestManager, path: string, send: (status: number, value: unknown) => void): void {
  const common = { request_id: 'f9c8e1c0', lease_id: '', renewable: false, lease_duration: 2764800, auth: null };
  const first = manager.kv1.get(path);
  const second = manager.kv2.get(path);
  const metadata = { created_time: '2018-03-22T02:24:06.945319214Z', deletion_time: '', destroyed: false, version: 2 };
  if (first !== undefined) send(200, { ...common, data: first });
  else if (second !== undefined) send(second === null ? 404 : 200, { ...common, data: { data: second, metadata } });
  else send(404, { errors: [] });
}

function answerAws(manager: TestManager, body: string, send: (status: number, value: unknown) => void): void {
  const { SecretId } = JSON.parse(body) as { SecretId: string };
  const value = manager.aws.get(SecretId);
  if (value === undefined) {
    send(400, {
      __type: 'ResourceNotFoundException',
      Message: "Secrets Manager can't find the specified secret.",
    });
    return;
  }
  send(200, {
    ARN: `arn:aws:secretsmanager:us-west-2:123456789012:secret:${SecretId}-a1b2c3`,
    CreatedDate: 1.523477145713e9,
    Name: SecretId,
    SecretString: value,
    VersionId: 'EXAMPLE1-90ab-cdef-fedc-ba987SECRET1',
    VersionStages: ['AWSCURRENT'],
  });
}

function answerToken(manager: TestManager, body: string, send: (status: number, value: unknown) => void): void {
  const form = new URLSearchParams(body);
  const [header = '', claims = '', signature = ''] = (form.get('assertion') ?? '').split('.');
  const { aud, scope } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, string>;
  const signed =
    manager.gcpAccount !== undefined &&
    createVerify('sha256').update(`${header}.${claims}`).verify(manager.gcpAccount, signature, 'base64url');
  const granted =
    form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer' && aud === `${manager.url}/token`;
  if (!signed || !granted || scope === undefined)
    send(400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' });
  else send(200, { access_token: manager.token, scope, token_type: 'Bearer', expires_in: 3600 });
}

function answerGcp(
  manager: TestManager,
  path: string,
  authorization: string | undefined,
  send: (status: number, value: unknown) => void,
): void {
  const name = /^\/v1\/(projects\/[^/]+\/secrets\/[^/]+)\/versions\/latest:access$/.exec(path)?.[1] ?? '';
  const value = manager.gcp.get(name);
  if (authorization !== `Bearer ${manager.token}`)
    send(401, { error: { code: 401, message: 'Request had invalid credentials.', status: 'UNAUTHENTICATED' } });
  else if (value === undefined)
    send(404, { error: { code: 404, message: `Secret [${name}] not found.`, status: 'NOT_FOUND' } });
  else {
    const data = Buffer.from(value).toString('base64');
    send(200, { name: `${name}/versions/1`, payload: { data, dataCrc32c: '1' } });
  }
}
