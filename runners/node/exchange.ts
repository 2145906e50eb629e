/**
 * The exchange as a plugin in a runner sees it: of the gateway's own what the protocol carries. The rest is there and throws, so that a
 * plugin that needs it fails loudly. One difference in kind: `variable` returns a promise (a round trip to the gateway).
 */
import { isIP } from 'node:net';
import { GatewayError } from '../../src/errors/gateway-error.ts';
import type { HeaderFields } from '../../src/plugin/exchange.ts';
import { argumentEntries, decodeBytes } from '../../src/plugin/runners/entries.ts';
import type { RequestVerdict, ResponseVerdict, TextEntry } from '../../src/plugin/runners/runners.ts';
import type { ExtraInfoQuestion, HttpRespCall } from '../../src/runners/wire/schema.ts';
import { ChangedHeaders } from './header-fields.ts';
import { latin1, utf8, type RequestCall } from './messages.ts';

export type Ask = (question: ExtraInfoQuestion) => Promise<Buffer | undefined>;

/** A runner has no such thing. */
class NotInRunner extends Error {
  override readonly name = 'NotInRunner';
  constructor(what: string) {
    super(`${what} is not to be had in a runner: the external-plugin protocol does not carry it`);
  }
}

const missing = [
  ...['target', 'httpVersion', 'scheme', 'remotePort', 'peerAddress', 'serverAddress', 'serverPort', 'params'],
  ...['observeBody', 'route', 'consumer', 'forwarded', 'setClientAddress', 'authenticate', 'upstreamNode'],
  ...['upstreamStatuses', 'times', 'bytesReceived', 'bytesSent', 'bodyBytesSent'],
];

/** What goes upstream, where it differs from what came. */
class RunnerUpstream {
  path: string | undefined;
  query: string | undefined;
  host: string | undefined;
  get method(): undefined {
    return undefined;
  }
  set method(_: string | undefined) {
    throw new NotInRunner('upstream.method');
  }
  get scheme(): undefined {
    return undefined;
  }
  set scheme(_: string | undefined) {
    throw new NotInRunner('upstream.scheme');
  }
}

/** What both phases have. */
abstract class RunnerExchange {
  readonly dryRun = false;
  readonly reason = undefined;
  readonly context = new Map<string, object>();
  protected readonly ask: Ask;
  readonly #variables = new Map<string, Promise<string | undefined>>();

  constructor(ask: Ask) {
    this.ask = ask;
  }

  /** One round trip, once for each name. Text is UTF-8. */
  variable(name: string): Promise<string | undefined> {
    let value = this.#variables.get(name);
    if (value === undefined) {
      value = this.ask({ info: 'variable', name }).then((bytes) => bytes?.toString('utf8'));
      this.#variables.set(name, value);
    }
    return value;
  }
}

for (const name of missing) {
  Object.defineProperty(RunnerExchange.prototype, name, {
    get: () => {
      throw new NotInRunner(`exchange.${name}`);
    },
  });
}

/** In `rewrite` and `access`. */
export class RequestExchange extends RunnerExchange {
  readonly method: string;
  readonly headers: ChangedHeaders;
  readonly upstream = new RunnerUpstream();
  /** Its header fields are added to the response that the client gets. */
  readonly response = { headers: new ChangedHeaders([]) };
  readonly #call: RequestCall;
  #body: Promise<Buffer> | undefined;
  #newBody: Uint8Array | undefined;

  constructor(call: RequestCall, ask: Ask) {
    super(ask);
    this.#call = call;
    this.method = call.method;
    this.headers = new ChangedHeaders(call.headers);
  }

  get path(): string {
    return utf8(this.#call.path);
  }

  /** Made of the arguments anew: percent-encoded as UTF-8. */
  get query(): string {
    return this.#call.args
      .map(([name, value]) => encode(name) + (value === undefined ? '' : `=${encode(value)}`))
      .join('&');
  }

  get host(): string {
    return (this.headers.get('host') ?? '').toLowerCase().replace(/:\d*$/, '');
  }

  get remoteAddress(): string {
    const bytes = this.#call.sourceAddress;
    if (bytes.length === 4) return bytes.join('.');
    const groups = Array.from({ length: bytes.length / 2 }, (_, i) =>
      (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
    );
    const text = groups.join(':');
    // The URL parser writes an address as RFC 5952 asks.
    return isIP(text) === 6 ? new URL(`http://[${text}]/`).hostname.slice(1, -1) : '';
  }

  arg(name: string): string | undefined {
    const wanted = latin1(name);
    const found = this.#call.args.find(([key]) => key === wanted);
    return found && utf8(found[1] ?? '');
  }

  cookie(name: string): string | undefined {
    for (const field of this.headers.getAll('cookie')) {
      for (const pair of field.split(';')) {
        const equals = pair.indexOf('=');
        if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
      }
    }
    return undefined;
  }

  /** One round trip, once. Rejects with GatewayError REQUEST_BODY_TOO_LARGE. */
  async body(maxBytes: number): Promise<Uint8Array> {
    this.#body ??= this.ask({ info: 'request-body' }).then((bytes) => bytes ?? Buffer.alloc(0));
    const body = await this.#body;
    if (body.length > maxBytes) throw new GatewayError('REQUEST_BODY_TOO_LARGE');
    return body;
  }

  replaceBody(body: Uint8Array): void {
    this.#newBody = body;
  }

  /** Of a request that no plugin replied to. Throws TypeError on a path that is none. */
  verdict(): RequestVerdict {
    const { path, query, host } = this.upstream;
    if (path !== undefined && !/^\/[^?#\s]*$/.test(path)) throw new TypeError(`upstream.path: ${JSON.stringify(path)}`);
    if (host !== undefined) this.headers.set('host', host);
    const rewrite = {
      action: 'rewrite' as const,
      path: path === undefined ? undefined : decodeBytes(latin1(path)),
      headers: this.headers.changes(),
      args: query === undefined ? [] : this.#argumentChanges(latin1(query)),
      responseHeaders: this.response.headers.changes(),
      body: this.#newBody,
    };
    const { headers, args, responseHeaders, body } = rewrite;
    const unchanged = path === undefined && body === undefined && [headers, args, responseHeaders].every(isEmpty);
    return unchanged ? { action: 'none' } : rewrite;
  }

  #argumentChanges(query: string): TextEntry[] {
    // An argument without `=` would be a deletion.
    const wanted = argumentEntries(query).map(([name, value = '']): TextEntry => [name, value]);
    const names = new Set(wanted.map(([name]) => name));
    const gone = new Set(this.#call.args.map(([name]) => name).filter((name) => !names.has(name)));
    return [...[...gone].map((name): TextEntry => [name, undefined]), ...wanted];
  }
}

/** In `headerFilter` and `bodyFilter`: the response alone. */
export class ResponseExchange extends RunnerExchange {
  readonly response: RunnerResponse;

  constructor(call: HttpRespCall, ask: Ask) {
    super(ask);
    this.response = new RunnerResponse(call);
  }

  body(): Promise<Buffer> {
    return this.ask({ info: 'response-body' }).then((bytes) => bytes ?? Buffer.alloc(0));
  }
}

for (const name of ['method', 'path', 'query', 'host', 'remoteAddress', 'headers', 'arg', 'cookie', 'upstream']) {
  Object.defineProperty(ResponseExchange.prototype, name, {
    get: () => {
      throw new NotInRunner(`exchange.${name} (in the response phase; await exchange.variable() has the request's)`);
    },
  });
}

class RunnerResponse {
  status: number;
  readonly source = 'upstream';
  readonly headers: HeaderFields & { changes(): TextEntry[] };
  /** undefined: as it came. */
  replacement: Buffer | undefined;
  readonly #came: number;

  constructor(call: HttpRespCall) {
    this.status = call.status;
    this.#came = call.status;
    this.headers = new ChangedHeaders(call.headers);
  }

  replaceBody(body: string | Uint8Array): void {
    this.replacement = Buffer.from(body as string);
  }

  verdict(): ResponseVerdict {
    const status = this.status === this.#came ? 0 : this.status;
    return { status, headers: this.headers.changes(), body: this.replacement };
  }
}

function encode(text: string): string {
  return text.replace(
    /[^A-Za-z0-9\-._~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

function isEmpty(list: readonly unknown[]): boolean {
  return list.length === 0;
}
