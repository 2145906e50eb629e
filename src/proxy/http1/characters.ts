/** Byte classes of RFC 9110 §5.6.2 and RFC 9112 §3.2 as tables: one load a byte on the request path. */

/** 1: tchar, the bytes of methods and field names. */
export const isToken = table((byte) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(byte)));

/** 1: field-vchar, SP, HTAB or obs-text: what a field value may hold. */
export const isFieldValue = table((byte) => byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));

/**
 * Bytes of a request-target. 0: refused. 1: passes as it is.
 * 2: makes the path worth normalising (`%`, `\`), 3: `/`, 4: `.`, 5: `?`.
 * `#` is refused: a fragment never travels (CVE-2021-32779). So are bytes over 0x7f: a URI has none (RFC 3986 §2), and what a
 * backend reads in them differs.
 */
export const targetClass = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte <= 0x20 || byte >= 0x7f || byte === 0x23) return 0;
  if (byte === 0x25 || byte === 0x5c) return 2;
  if (byte === 0x2f) return 3;
  if (byte === 0x2e) return 4;
  if (byte === 0x3f) return 5;
  return 1;
});

function table(holds: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (holds(byte) ? 1 : 0));
}

const invalidFieldValue = /[^\t\x20-\x7e\x80-\xff]/;
const validToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** For names and values that plugins write: they reach the wire only if RFC 9110 §5 allows them. */
export function isValidFieldName(name: string): boolean {
  return validToken.test(name);
}
export function isValidFieldValue(value: string): boolean {
  return !invalidFieldValue.test(value);
}
