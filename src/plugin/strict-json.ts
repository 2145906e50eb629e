/** JSON that every reader reads alike: no object has one key twice, for readers disagree about which of the two holds (CVE-2022-25757). */

/** `problem` follows a subject: `is not JSON`. It holds nothing of the text. */
export type ParsedJson = { readonly value: unknown } | { readonly problem: string };

export const notJson = 'is not JSON';

/** A text, with its colon where it is a key. */
const textToken = /"(?:[^"\\]|\\.)*"(\s*:)?/g;

/** Never throws, whatever the depth. */
export function parseStrictJson(text: string): ParsedJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // V8's message quotes the text.
    return { problem: notJson };
  }
  // However a key is spelt: the text has more keys then than the value has.
  let written = 0;
  for (const [, colon] of text.matchAll(textToken)) if (colon !== undefined) written++;
  return written === countKeys(value) ? { value } : { problem: 'has a key twice in one object' };
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
