/** A form's text → the value that a schema judges. */

/** As ngx.decode_args: a name alone is true, a name given more than once is a list. */
export function parseForm(text: string): Record<string, unknown> {
  const form = Object.create(null) as Record<string, unknown>;
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    const value = equals === -1 ? true : decode(pair.slice(equals + 1));
    const before = form[name];
    if (before === undefined) form[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else form[name] = [before, value];
  }
  return form;
}

/** What is no percent-encoding of UTF-8 stays as it is, as U+FFFD where it has to. */
function decode(text: string): string {
  return new URLSearchParams(`x=${text}`).get('x') ?? '';
}
