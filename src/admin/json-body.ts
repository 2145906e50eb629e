/**
 * Request bodies: strict JSON in UTF-8. A name that occurs twice in one object is refused (CVE-2022-25757: whoever
 * checks one value and whoever uses the other would disagree), and so is `__proto__`.
 */
import type { Json, JsonObject } from '../resources/resource.ts';
import { luaType } from '../resources/schema-message.ts';
import { AdminError } from './admin-error.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** `body`: the bytes as received, or undefined where none came. Throws AdminError 400, which never repeats the body. */
export function parseBody(body: unknown): Json | undefined {
  if (!(body instanceof Uint8Array) || body.byteLength === 0) return undefined;
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw new AdminError(400, 'invalid request body: it is not UTF-8');
  }
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    // V8's message quotes the text around the error, which may be a secret: only the position is kept.
    const at = /at position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    throw new AdminError(400, `invalid request body: it is not JSON${at === undefined ? '' : ` (at character ${at})`}`);
  }
  const repeated = findForbiddenName(text);
  if (repeated !== undefined) throw new AdminError(400, `invalid request body: ${repeated}`);
  return value;
}

export function parseObject(body: unknown): JsonObject | undefined {
  const value = parseBody(body);
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AdminError(400, `invalid configuration: wrong type: expected object, got ${luaType(value)}`);
  }
  return value;
}

/**
 * `text` is valid JSON, so only strings and brackets need telling apart: a string in an object that a colon follows
 * is a name. Returns what is wrong with the first bad one, or undefined.
 */
function findForbiddenName(text: string): string | undefined {
  const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}]/g;
  const names: Set<string>[] = [];
  for (let match = tokens.exec(text); match !== null; match = tokens.exec(text)) {
    const token = match[0];
    if (token === '{') names.push(new Set());
    else if (token === '}') names.pop();
    else if (match[1] !== undefined) {
      // Escapes are resolved first: "\u0061" is "a".
      const name = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)) as string;
      const known = names.at(-1);
      if (known?.has(name)) return `duplicate key "${name}"`;
      if (name === '__proto__') return 'key "__proto__" is not allowed';
      known?.add(name);
    }
  }
  return undefined;
}
