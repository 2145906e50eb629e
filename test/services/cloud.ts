/**
 * Stands in for two clouds that run functions: it checks every signature, as they publish how they are made, with code of its own, and
 * answers as their Invoke APIs do. The "function" passes where the event's `token` header says so.
 */
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';

export /** JSON that an assertion looks into. */
type Parsed = ReturnType<typeof JSON.parse>;

export interface Invocation {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly qualifier: string;
  readonly event: Parsed;
}

export interface TestCloud extends AsyncDisposable {
  readonly url: string;
  readonly invocations: Invocation[];
  /** Why requests were refused. */
  readonly refusals: string[];
}

export const tencentKeys = { id: 'AKIDtest', key: 'tencent-secret-key' };
export const awsKeys = { id: 'AKIAtest', key: 'aws-secret-key' };

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

export async function startCloud(): Promise<TestCloud> {
  const invocations: Invocation[] = [];
  const refusals: string[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces).toString();
      const tencent = request.headers['x-tc-action'] !== undefined;
      const problem = tencent ? checkTencent(request, body) : checkAws(request, body);
      if (problem !== undefined) {
        refusals.push(problem);
        if (tencent) response.end(JSON.stringify({ Response: { Error: { Code: 'AuthFailure.SignatureFailure' } } }));
        else response.writeHead(403).end(JSON.stringify({ message: 'signature' }));
        return;
      }
      const invocation = tencent ? readTencent(body) : readAws(request, body);
      invocations.push(invocation);
      const token = invocation.event.headers.token as string | undefined;
      const answer = JSON.stringify({ statusCode: 200, body: JSON.stringify({ 'api-auth': token === 'good' }) });
      if (tencent) {
        const result =
          token === 'throws'
            ? { InvokeResult: 1, ErrMsg: 'no', RetMsg: '{"api-auth":true}' }
            : { InvokeResult: 0, RetMsg: answer };
        response.end(JSON.stringify({ Response: { Result: result, RequestId: '1' } }));
      } else if (token === 'throws') {
        response.writeHead(200, { 'X-Amz-Function-Error': 'Unhandled' }).end('{"api-auth":true}');
      } else response.end(answer);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    invocations,
    refusals,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The parts of `Authorization: ALGORITHM Credential=…, SignedHeaders=…, Signature=…`. */
function authorization(request: IncomingMessage): { id: string; scope: string[]; signed: string[]; signature: string } {
  const match = /^\S+ Credential=([^/]+)\/(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/.exec(
    request.headers.authorization ?? '',
  );
  const [, id = '', scope = '', signed = '', signature = ''] = match ?? [];
  return { id, scope: scope.split('/'), signed: signed.split(';'), signature };
}

function checkTencent(request: IncomingMessage, body: string): string | undefined {
  const { id, scope, signed, signature } = authorization(request);
  const timestamp = Number(request.headers['x-tc-timestamp']);
  const date = new Date(timestamp * 1000).toISOString().slice(0, 10);
  if (id !== tencentKeys.id) return 'unknown id';
  if (Math.abs(timestamp - Date.now() / 1000) > 300) return 'expired';
  if (scope.join('/') !== `${date}/scf/tc3_request`) return 'scope';
  if (!signed.includes('host') || !signed.includes('content-type')) return 'host and content-type are not signed';
  if (request.headers['x-tc-version'] !== '2018-04-16' || request.headers['x-tc-region'] === undefined)
    return 'version';
  const lines = signed.map((name) => `${name}:${String(request.headers[name]).trim().toLowerCase()}\n`).join('');
  const canonical = `${request.method ?? ''}\n/\n\n${lines}\n${signed.join(';')}\n${sha256(body)}`;
  const text = `TC3-HMAC-SHA256\n${timestamp}\n${scope.join('/')}\n${sha256(canonical)}`;
  const key = hmac(hmac(hmac(`TC3${tencentKeys.key}`, date), 'scf'), 'tc3_request');
  return hmac(key, text).toString('hex') === signature ? undefined : 'signature';
}

function checkAws(request: IncomingMessage, body: string): string | undefined {
  const { id, scope, signed, signature } = authorization(request);
  const time = String(request.headers['x-amz-date']);
  const [date = '', region = '', service = ''] = scope;
  if (id !== awsKeys.id) return 'unknown id';
  if (!time.startsWith(date) || region !== 'eu-west-1' || service !== 'lambda') return 'scope';
  if (!signed.includes('host') || !signed.includes('x-amz-date')) return 'host and date are not signed';
  const [path = '', query = ''] = (request.url ?? '').split('?');
  const lines = signed.map((name) => `${name}:${String(request.headers[name]).trim()}\n`).join('');
  const twice = path.split('/').map(encodeURIComponent).join('/');
  const canonical = `${request.method ?? ''}\n${twice}\n${query}\n${lines}\n${signed.join(';')}\n${sha256(body)}`;
  const text = `AWS4-HMAC-SHA256\n${time}\n${scope.join('/')}\n${sha256(canonical)}`;
  const key = hmac(hmac(hmac(hmac(`AWS4${awsKeys.key}`, date), region), service), 'aws4_request');
  return hmac(key, text).toString('hex') === signature ? undefined : 'signature';
}

function readTencent(body: string): Invocation {
  const { FunctionName, Namespace, Qualifier, ClientContext } = JSON.parse(body) as Record<string, string>;
  return {
    name: FunctionName ?? '',
    namespace: Namespace,
    qualifier: Qualifier ?? '',
    event: JSON.parse(ClientContext ?? ''),
  };
}

function readAws(request: IncomingMessage, body: string): Invocation {
  const url = new URL(request.url ?? '', 'http://lambda');
  const [, , , name = '', call] = url.pathname.split('/');
  if (call !== 'invocations') throw new Error('not an invocation');
  return {
    name: decodeURIComponent(name),
    namespace: undefined,
    qualifier: url.searchParams.get('Qualifier') ?? '',
    event: JSON.parse(body),
  };
}
