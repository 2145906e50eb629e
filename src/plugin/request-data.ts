/** Query, cookie and form text → maps. First value wins where a name repeats, as in nginx's `$arg_x` and `$cookie_x`. */

/** Undecodable `%` sequences stay as they are. */
export function parseQuery(query: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    if (!args.has(name)) args.set(name, equals < 0 ? '' : decode(pair.slice(equals + 1)));
  }
  return args;
}

export function parseCookies(fields: readonly string[]): Map<string, string> {
  const cookies = new Map<string, string>();
  for (const field of fields) {
    for (const pair of field.split(';')) {
      const equals = pair.indexOf('=');
      if (equals < 0) continue;
      const name = pair.slice(0, equals).trim();
      if (name !== '' && !cookies.has(name)) cookies.set(name, pair.slice(equals + 1).trim());
    }
  }
  return cookies;
}

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}
