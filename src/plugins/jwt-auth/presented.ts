/** Where a request carries its token: header, else query, else cookie; and how it is taken out before the request goes upstream. */
import type { Exchange } from '../../plugin/exchange.ts';
import { queryValues, withoutQueryParameter } from '../../plugin/uri.ts';

export interface TokenPlace {
  /** Lower case. */
  readonly header: string;
  readonly query: string;
  readonly cookie: string;
}

/** The token; undefined: none; null: more than one in the same place, which nobody may choose between. */
export function presentedToken(place: TokenPlace, exchange: Exchange): string | null | undefined {
  const fields = exchange.headers.getAll(place.header);
  const field = fields[0];
  if (field !== undefined) return fields.length > 1 ? null : withoutScheme(field);
  const values = queryValues(exchange.query, place.query);
  if (values.length > 0) return values.length > 1 ? null : values[0];
  return exchange.cookie(place.cookie);
}

/** `Bearer TOKEN` (the scheme's case is free, RFC 9110 §11.1) or the bare token, as APISIX takes both. */
function withoutScheme(field: string): string {
  if (field.length > 7 && field.charCodeAt(6) === 0x20 && field.slice(0, 6).toLowerCase() === 'bearer') {
    return field.slice(7).trimStart();
  }
  return field;
}

export function hideToken(place: TokenPlace, exchange: Exchange): void {
  exchange.headers.remove(place.header);
  const query = exchange.upstream.query ?? exchange.query;
  if (query !== '') exchange.upstream.query = withoutQueryParameter(query, place.query);
  if (exchange.cookie(place.cookie) !== undefined) hideCookie(exchange, place.cookie);
}

function hideCookie(exchange: Exchange, name: string): void {
  const kept = exchange.headers
    .getAll('cookie')
    .flatMap((field) => field.split(';'))
    .filter((pair) => (pair.split('=', 1)[0] ?? '').trim() !== name)
    .map((pair) => pair.trim());
  if (kept.length === 0) exchange.headers.remove('cookie');
  else exchange.headers.set('Cookie', kept.join('; '));
}
