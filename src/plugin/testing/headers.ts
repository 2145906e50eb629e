/**
 * Header fields in memory, for tests of plugins: the contract of HeaderFields (order kept, names without case,
 * forbidden bytes refused) with none of the proxy's machinery.
 */
import type { HeaderFields } from '../exchange.ts';

export type HeaderInit = Readonly<Record<string, string | readonly string[]>>;

/** RFC 9110 §5.1. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5: CR, LF and NUL never; the other controls neither, but for HTAB. */
// eslint-disable-next-line no-control-regex -- the forbidden octets themselves
const forbidden = /[\x00-\x08\x0a-\x1f\x7f]/;

export class TestHeaders implements HeaderFields {
  #fields: [string, string][] = [];

  constructor(init: HeaderInit = {}) {
    for (const [name, values] of Object.entries(init)) {
      for (const value of typeof values === 'string' ? [values] : values) this.append(name, value);
    }
  }

  get(name: string): string | undefined {
    return this.#fields.find(([field]) => same(field, name))?.[1];
  }
  getAll(name: string): string[] {
    return this.#fields.filter(([field]) => same(field, name)).map(([, value]) => value);
  }
  has(name: string): boolean {
    return this.get(name) !== undefined;
  }
  set(name: string, value: string): void {
    assertField(name, value);
    const at = this.#fields.findIndex(([field]) => same(field, name));
    this.remove(name);
    this.#fields.splice(at === -1 ? this.#fields.length : at, 0, [name, value]);
  }
  append(name: string, value: string): void {
    assertField(name, value);
    this.#fields.push([name, value]);
  }
  remove(name: string): void {
    this.#fields = this.#fields.filter(([field]) => !same(field, name));
  }
  entries(): Iterable<readonly [string, string]> {
    return this.#fields;
  }
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function assertField(name: string, value: string): void {
  if (!token.test(name)) throw new TypeError(`invalid header name ${JSON.stringify(name)}`);
  if (forbidden.test(value)) throw new TypeError(`invalid value of header ${name}`);
}
