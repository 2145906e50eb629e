/**
 * An authorisation service as a process of its own, for tests that kill it, stop it and look at what reached it. Run directly it is
 * that service; imported it starts one. It decides by the Authorization header:
 *
 *   good     200, and X-User-ID            login    302 to /login, with two cookies
 *   consumer 200, names the consumer jack  broken   500        hang   no answer
 *   no-store 200, not to be kept           session  403, with a cookie
 *   move     302 to /moved, no cookie      else     403, X-Forward-Auth: Fail
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';

export interface Asked {
  readonly method: string;
  readonly url: string;
  /** Lower-case name → values. */
  readonly headers: Record<string, string[]>;
  readonly body: string;
}

export interface Authoriser extends AsyncDisposable {
  readonly url: string;
  /** What it was asked, in order. */
  asked(): Promise<Asked[]>;
  /** It keeps its socket and answers nothing. */
  pause(): void;
  resume(): void;
  kill(): Promise<void>;
}

export async function startAuthoriser(): Promise<Authoriser> {
  const child: ChildProcess = spawn(process.execPath, [import.meta.filename], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.stdout === null) throw new Error('no output');
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  const url = `http://127.0.0.1:${line.trim()}`;
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return {
    url,
    asked: async () => (await (await fetch(`${url}/asked`)).json()) as Asked[],
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

function serve(): void {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    if (request.url === '/asked') {
      response.end(JSON.stringify(asked));
      return;
    }
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const headers: Record<string, string[]> = {};
      for (let i = 0; i < request.rawHeaders.length; i += 2)
        (headers[(request.rawHeaders[i] ?? '').toLowerCase()] ??= []).push(request.rawHeaders[i + 1] ?? '');
      const body = Buffer.concat(pieces).toString();
      asked.push({ method: request.method ?? '', url: request.url ?? '', headers, body });
      switch (request.headers.authorization) {
        case 'good':
          response.writeHead(200, { 'X-User-ID': 'i-am-user' }).end();
          break;
        case 'consumer':
          response.writeHead(200, { 'X-Who': 'jack' }).end();
          break;
        case 'no-store':
          response.writeHead(200, { 'Cache-Control': 'no-store' }).end();
          break;
        case 'login':
          response.writeHead(302, { Location: '/login', 'Set-Cookie': ['a=1', 'b=2'] }).end('to the login');
          break;
        case 'move':
          response.writeHead(302, { Location: '/moved' }).end();
          break;
        case 'session':
          response.writeHead(403, { 'Set-Cookie': 'session=1' }).end('not yet');
          break;
        case 'broken':
          response.writeHead(500).end('out of order');
          break;
        case 'hang':
          break;
        default:
          response.writeHead(403, { 'X-Forward-Auth': 'Fail', 'X-Internal': 'secret' }).end('not you');
      }
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    process.stdout.write(`${typeof address === 'object' && address !== null ? address.port : 0}\n`);
  });
}

if (import.meta.main) serve();
