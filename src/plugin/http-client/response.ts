/** A whole answer. */
import { HttpClientError } from './http-client-error.ts';
import type { HttpResponse, HttpResponseHeaders } from './http-client.ts';

export class ReceivedResponse implements HttpResponse {
  readonly status: number;
  readonly headers: HttpResponseHeaders;
  readonly body: Uint8Array;
  readonly #server: string;

  /** `fields`: name, value, name, value, … */
  constructor(server: string, status: number, fields: readonly string[], body: Uint8Array) {
    this.#server = server;
    this.status = status;
    this.headers = new ReceivedHeaders(fields);
    this.body = body;
  }

  text(): string {
    return new TextDecoder().decode(this.body);
  }

  json(): unknown {
    try {
      return JSON.parse(this.text());
    } catch {
      // The parser's message repeats the text.
      throw new HttpClientError('RESPONSE_INVALID', `${this.#server}: the answer’s body is not JSON`);
    }
  }
}

class ReceivedHeaders implements HttpResponseHeaders {
  readonly #fields: [string, string][] = [];

  constructor(fields: readonly string[]) {
    for (let i = 0; i + 1 < fields.length; i += 2) this.#fields.push([fields[i] ?? '', fields[i + 1] ?? '']);
  }
  get(name: string): string | undefined {
    return this.getAll(name)[0];
  }
  getAll(name: string): string[] {
    const wanted = name.toLowerCase();
    return this.#fields.filter(([field]) => field.toLowerCase() === wanted).map(([, value]) => value);
  }
  entries(): Iterable<readonly [string, string]> {
    return this.#fields;
  }
}
