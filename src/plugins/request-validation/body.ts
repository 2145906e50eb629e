/** A body's text → the value that a schema judges, or why it has none. */

export type Parsed = { readonly value: unknown } | { readonly problem: string };

/** A text, with its colon where it is a key. */
const textToken = /"(?:[^"\\]|\\.)*"(\s*:)?/g;

/** Refuses JSON in which an object has one key twice: the text has more keys then than the value has. */
export function parseJson(text: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // V8's message quotes the body.
    return { problem: 'the body is not JSON' };
  }
  let written = 0;
  for (const [, colon] of text.matchAll(textToken)) if (colon !== undefined) written++;
  return written === countKeys(value) ? { value } : { problem: 'the body has a key twice in one object' };
}

function countKeys(root: unknown): number {
  let keys = 0;
  // Not recursive: the client chooses the depth.
  const open = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const inner: unknown[] = Object.values(value);
    if (!Array.isArray(value)) keys += inner.length;
    for (const item of inner) open.push(item);
  }
  return keys;
}

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
