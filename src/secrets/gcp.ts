/**
 * Google Cloud Secret Manager: a service account signs for an access token (RFC 7523, as Google documents it for server to server
 * applications), and with it the latest version of a secret is read, which holds a JSON object.
 */
import { sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fetchJson, isObject, SecretSourceError } from './fetch-json.ts';
import type { SecretDocument } from './secrets.ts';

const timeoutMs = 5000;
/** Of the assertion: Google's maximum. */
const assertionSeconds = 3600;

interface Account {
  readonly clientEmail: string;
  readonly privateKey: string;
  readonly projectId: string;
  readonly tokenUri: string;
  readonly entriesUri: string;
  readonly scope: string;
}

/** `config`: a stored `secrets/gcp/…` with its references resolved. Rejects with SecretSourceError. */
export async function readGcp(config: Readonly<Record<string, unknown>>, path: string): Promise<SecretDocument> {
  const verify = config['ssl_verify'] !== false;
  const account = await accountOf(config);
  const token = await accessToken(account, verify);
  const { entriesUri, projectId } = account;
  const names = ['projects', projectId, 'secrets', path, 'versions'].map(encodeURIComponent).join('/');
  const url = new URL(`${entriesUri.replace(/\/+$/, '')}/${names}/latest:access`);
  const headers = { Authorization: `Bearer ${token}` };
  const { status, body } = await fetchJson({ url, method: 'GET', headers, timeoutMs, verify });
  if (status === 404) throw new SecretSourceError('gcp has no such secret', true);
  if (status !== 200) throw new SecretSourceError(`gcp answered ${String(status)}${statusOf(body)}`);
  const payload = isObject(body) ? body['payload'] : undefined;
  const data = isObject(payload) ? payload['data'] : undefined;
  if (typeof data !== 'string') throw new SecretSourceError('the secret at gcp has no payload', true);
  const document = parse(Buffer.from(data, 'base64').toString('utf8'));
  if (!isObject(document)) throw new SecretSourceError('the secret at gcp is not a JSON object', true);
  return document;
}

/** `auth_config`, or the key file of the service account at `auth_file`. */
async function accountOf(config: Readonly<Record<string, unknown>>): Promise<Account> {
  const { auth_config: given, auth_file: file } = config;
  let source = given;
  if (typeof file === 'string') {
    try {
      source = parse(await readFile(file, 'utf8'));
    } catch {
      throw new SecretSourceError(`${file} cannot be read`);
    }
  }
  const fields = isObject(source) ? source : {};
  const text = (name: string, otherwise?: string): string => {
    const value = fields[name] ?? otherwise;
    if (typeof value !== 'string' || value === '') throw new SecretSourceError(`the gcp account has no ${name}`);
    return value;
  };
  const { scope } = fields;
  return {
    clientEmail: text('client_email'),
    privateKey: text('private_key'),
    projectId: text('project_id'),
    tokenUri: text('token_uri', 'https://oauth2.googleapis.com/token'),
    entriesUri: text('entries_uri', 'https://secretmanager.googleapis.com/v1'),
    scope: Array.isArray(scope) ? scope.map(String).join(' ') : 'https://www.googleapis.com/auth/cloud-platform',
  };
}

async function accessToken(account: Account, verify: boolean): Promise<string> {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: assertionOf(account),
  }).toString();
  const answer = await fetchJson({
    url: new URL(account.tokenUri),
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body,
    timeoutMs,
    verify,
  });
  const token = isObject(answer.body) ? answer.body['access_token'] : undefined;
  if (answer.status !== 200 || typeof token !== 'string')
    throw new SecretSourceError(`gcp gave no access token: ${String(answer.status)}${statusOf(answer.body)}`);
  return token;
}

function assertionOf({ clientEmail, privateKey, tokenUri, scope }: Account): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: clientEmail, scope, aud: tokenUri, iat: now, exp: now + assertionSeconds };
  const text = [{ alg: 'RS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  try {
    return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
  } catch {
    throw new SecretSourceError('the private_key of the gcp account is none');
  }
}

/** `{"error": {"status": "NOT_FOUND"}}` of the API, `{"error": "invalid_grant"}` of the token's endpoint. */
function statusOf(body: unknown): string {
  const error = isObject(body) ? body['error'] : undefined;
  const status = isObject(error) ? error['status'] : error;
  return typeof status === 'string' ? ` ${status.slice(0, 100)}` : '';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
