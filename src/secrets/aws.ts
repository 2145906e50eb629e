/** AWS Secrets Manager: GetSecretValue of the current version, whose SecretString is a JSON object. */
import { signRequest } from '../plugin/signing/aws-signature.ts';
import { fetchJson, isObject, SecretSourceError } from './fetch-json.ts';
import type { SecretDocument } from './secrets.ts';

const timeoutMs = 5000;

/** `config`: a stored `secrets/aws/…` with its references resolved. Rejects with SecretSourceError. */
export async function readAws(config: Readonly<Record<string, unknown>>, path: string): Promise<SecretDocument> {
  const { access_key_id: id, secret_access_key: secret, session_token: session, endpoint_url: endpoint } = config;
  const region = typeof config['region'] === 'string' ? config['region'] : 'us-east-1';
  const url = new URL(typeof endpoint === 'string' ? endpoint : `https://secretsmanager.${region}.amazonaws.com`);
  // As APISIX: of endpoint_url, the scheme, the host and the port.
  url.pathname = '/';
  url.search = '';
  const body = JSON.stringify({ SecretId: path, VersionStage: 'AWSCURRENT' });
  const headers = signRequest(
    {
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'secretsmanager.GetSecretValue' },
      body,
    },
    {
      accessKeyId: String(id),
      secretAccessKey: String(secret),
      sessionToken: typeof session === 'string' ? session : undefined,
    },
    region,
    'secretsmanager',
    new Date(),
  );
  const answer = await fetchJson({ url, method: 'POST', headers, body, timeoutMs });
  if (answer.status !== 200) throw refusalOf(answer.status, answer.body);
  const text = isObject(answer.body) ? answer.body['SecretString'] : undefined;
  if (typeof text !== 'string') throw new SecretSourceError('the secret at aws has no SecretString', true);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    document = undefined;
  }
  if (!isObject(document)) throw new SecretSourceError('the SecretString at aws is not a JSON object', true);
  return document;
}

/** `{"__type": "ResourceNotFoundException", "Message": …}`; the type may carry a namespace before `#`. */
function refusalOf(status: number, body: unknown): SecretSourceError {
  const type = isObject(body) && typeof body['__type'] === 'string' ? body['__type'].split('#').at(-1) : undefined;
  return new SecretSourceError(
    `aws answered ${String(status)}${type === undefined ? '' : ` ${type}`}`,
    type === 'ResourceNotFoundException',
  );
}
