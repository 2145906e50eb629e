/**
 * How a value stands in an access-log line: nginx's three ways (`log_format … escape=default|json|none`).
 * Invariant: whatever a client sent, the value holds no line end, so that no line can be forged. The input is text (code units);
 * the log is written as UTF-8.
 */

export type LogEscape = 'default' | 'json' | 'none';
/** undefined: the variable has no value. */
export type Escaper = (value: string | undefined) => string;

/* eslint-disable no-control-regex -- control characters are what these are about */
const unsafeDefault = /[\u0000-\u001f"\\\u007f-\uffff]/;
const eachDefault = /[\u0000-\u001f"\\\u007f-\u00ff]|[\u0100-\uffff]+/g;
const unsafeJson = /[\u0000-\u001f"\\\u007f-\u009f\u2028\u2029]/;
const eachJson = new RegExp(unsafeJson, 'g');
const eachLineEnd = /[\n\r\u0085\u2028\u2029]/g;
/* eslint-enable no-control-regex */

const shortJson: Readonly<Record<string, string | undefined>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
};

export const escapers: Readonly<Record<LogEscape, Escaper>> = {
  /** `-` without a value; `"`, `\`, control characters and everything beyond ASCII as `\xNN` (the bytes of UTF-8 beyond Latin-1). */
  default(value) {
    if (value === undefined) return '-';
    return unsafeDefault.test(value) ? value.replace(eachDefault, escapeBytes) : value;
  },
  /** '' without a value; what a JSON string may not hold is escaped. APISIX: C1 and the Unicode line ends too, for readers that obey them. */
  json(value) {
    if (value === undefined) return '';
    return unsafeJson.test(value) ? value.replace(eachJson, escapeJson) : value;
  },
  /** As it is. APISIX: line ends are escaped even so; a line stays a line. */
  none(value) {
    if (value === undefined) return '';
    return value.replace(eachLineEnd, (character) => escapeBytes(character));
  },
};

const hex = (byte: number): string => `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`;

function escapeBytes(text: string): string {
  const code = text.charCodeAt(0);
  if (code <= 0xff) return hex(code);
  return Array.from(Buffer.from(text, 'utf8'), hex).join('');
}

function escapeJson(character: string): string {
  return shortJson[character] ?? `\\u${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}
