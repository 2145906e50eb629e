/**
 * What the members of multi-auth take out of a request: put back while another member still has to look at it, and taken
 * out for good in the end, whoever let the caller in.
 */
import type { Exchange } from '../../plugin/exchange.ts';

export class HiddenCredentials {
  readonly #exchange: Exchange;
  /** Lower-case name → its values as they came. */
  readonly #original = new Map<string, readonly string[]>();
  readonly #query: string | undefined;
  readonly #removed = new Set<string>();
  /** What each member that refused left of the cookies and of the query. */
  readonly #cookiesLeft: ReadonlySet<string>[] = [];
  readonly #queriesLeft: ReadonlySet<string>[] = [];

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    for (const [name] of exchange.headers.entries()) {
      this.#original.set(name.toLowerCase(), exchange.headers.getAll(name));
    }
    this.#query = exchange.upstream.query;
  }

  /** After a member that refused. */
  restore(): void {
    const { headers, upstream } = this.#exchange;
    for (const [name, values] of this.#original) {
      const left = headers.getAll(name);
      if (left.join('\n') === values.join('\n')) continue;
      if (name === 'cookie' && left.length > 0) this.#cookiesLeft.push(new Set(pairsOf(left)));
      else this.#removed.add(name);
      headers.remove(name);
      for (const value of values) headers.append(name, value);
    }
    if (upstream.query !== this.#query) {
      this.#queriesLeft.push(new Set((upstream.query ?? '').split('&')));
      upstream.query = this.#query;
    }
  }

  /** After the last member, or the one that let the caller in. */
  hide(): void {
    const { headers, upstream, query } = this.#exchange;
    for (const name of this.#removed) headers.remove(name);
    if (this.#cookiesLeft.length > 0) {
      const kept = pairsOf(headers.getAll('cookie')).filter((pair) =>
        this.#cookiesLeft.every((left) => left.has(pair)),
      );
      if (kept.length === 0) headers.remove('cookie');
      else headers.set('Cookie', kept.join('; '));
    }
    if (this.#queriesLeft.length > 0) {
      const fields = (upstream.query ?? query).split('&');
      upstream.query = fields.filter((field) => this.#queriesLeft.every((left) => left.has(field))).join('&');
    }
  }
}

function pairsOf(cookies: readonly string[]): string[] {
  return cookies.flatMap((field) => field.split(';')).map((pair) => pair.trim());
}
