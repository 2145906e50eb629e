/**
 * Percent-encoding and query strings for plugins that build a path, a query or a Location out of decoded text.
 * Invariant: what the encoders return holds visible ASCII only, so no client byte can end a line or a request-target.
 */

/** Visible ASCII that RFC 3986 §2 allows somewhere in a URI, `%` and `#` included. */
const notUriCharacter = /[^!#-;=?-[\]_a-z~]/gu;
const notQueryCharacter = /[^!$-;=?-[\]_a-z~]/gu;

/** Nothing to encode: the common case. */
const plainPath = /^[\w\-./~!$&'()*+,;=:@]*$/;

function percentEncode(character: string): string {
  let encoded = '';
  for (const byte of Buffer.from(character)) encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return encoded;
}

/** Decoded text → path (RFC 3986 §3.3) in UTF-8: `%`, `?` and `#` are data here and are encoded; `/` is kept. */
export function encodePath(text: string): string {
  if (plainPath.test(text)) return text;
  return encodeURI(text.toWellFormed()).replaceAll('?', '%3F').replaceAll('#', '%23');
}

/** Encodes what may not stand in a query; `%` stays, as the text may hold escapes already. */
export function encodeQuery(text: string): string {
  return text.replace(notQueryCharacter, percentEncode);
}

/** Encodes what may not stand in a URI at all (controls, space, `\`, quotes, non-ASCII); everything else is kept. */
export function encodeUnsafe(text: string): string {
  return text.replace(notUriCharacter, percentEncode);
}

/** Values of a query parameter in order; decoded as a form field, `''` for a parameter without `=`. */
export function queryValues(query: string, name: string): string[] {
  const values: string[] = [];
  if (query === '') return values;
  for (const field of query.split('&')) {
    if (field !== '' && fieldName(field) === name) values.push(...new URLSearchParams(field).values());
  }
  return values;
}

/** The query without a parameter, however its name was written; the other parameters keep their bytes. */
export function withoutQueryParameter(query: string, name: string): string {
  return query
    .split('&')
    .filter((field) => field === '' || fieldName(field) !== name)
    .join('&');
}

function fieldName(field: string): string | undefined {
  const equals = field.indexOf('=');
  const name = equals === -1 ? field : field.slice(0, equals);
  return /[%+]/.test(name) ? new URLSearchParams(name).keys().next().value : name;
}
