/**
 * Bytes → request or response head, strictly by RFC 9112 §2–§5. First stop of the request path.
 * Invariant: a head is accepted only if its framing has one reading; everything else throws, and the connection closes.
 * Longer than most files: it is one scanner, and its speed depends on staying in one piece.
 */
import { METHODS, STATUS_CODES } from 'node:http';
import { GatewayError } from '../../errors/gateway-error.ts';
import { isFieldValue, isToken, targetClass } from './characters.ts';
import { FieldKind, type FieldName, fieldName } from './field-names.ts';
import { Fields } from './fields.ts';

export interface HeadLimits {
  /** Bytes of request line and fields together. */
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

/** Body length marks beside a count of bytes. */
export const BodyLength = { none: 0, chunked: -1, untilClose: -2 } as const;

export interface RequestHead {
  readonly method: string;
  /** As received. */
  readonly target: string;
  /** The target holds bytes that need `normalisePath` (`%`, `\`, `//`, `/.`). */
  readonly needsNormalising: boolean;
  /** Index of '?' in the target, or -1. */
  readonly queryStart: number;
  /** Minor version: 0 or 1. */
  readonly minor: number;
  readonly fields: Fields;
  readonly keepAlive: boolean;
  /** Bytes of body, or BodyLength.chunked. */
  readonly bodyLength: number;
  readonly expectContinue: boolean;
  /** Value of Upgrade where Connection lists it; never in HTTP/1.0 (RFC 9110 §7.8), never one that offers h2c. */
  readonly upgrade: string | undefined;
  /** Field value as received; undefined where absent. */
  readonly host: string | undefined;
  /** Content-Length was there, be it 0. */
  readonly hasContentLength: boolean;
  /** The message's head ends here in the buffer. */
  readonly end: number;
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly minor: number;
  readonly fields: Fields;
  readonly keepAlive: boolean;
  /** Bytes, chunked, or untilClose; what HEAD, 204 and 304 mean is the caller's. */
  readonly bodyLength: number;
  readonly contentLength: number | undefined;
  readonly end: number;
}

type MalformedCode = 'REQUEST_MALFORMED' | 'UPSTREAM_MALFORMED';

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HTAB = 0x09;
const COLON = 0x3a;

/** METHODS by the sum of first byte and length, so that a known one costs a comparison and no new string. */
const methodSlots: string[][] = Array.from({ length: 256 }, () => []);
for (const method of METHODS) methodSlots[methodSlot(method.charCodeAt(0), method.length)]?.push(method);

function methodSlot(firstByte: number, length: number): number {
  return (firstByte + length) & 0xff;
}

/** undefined: none that we speak. */
function knownMethod(text: string, length: number): string | undefined {
  for (const method of methodSlots[methodSlot(text.charCodeAt(0), length)] ?? [])
    if (method.length === length && text.startsWith(method)) return method;
  return undefined;
}

/** Scratch of the field scanner; the parsers are synchronous and never nest. */
const scan = {
  /** The head as text, from the first byte of its start line. */
  text: '',
  fields: new Fields(),
  contentLength: -1,
  chunked: false,
  connectionClose: false,
  connectionKeepAlive: false,
  connectionUpgrade: false,
  /** Other names that Connection lists, lower case. */
  listed: undefined as string[] | undefined,
  expect: undefined as string | undefined,
  upgrade: undefined as string | undefined,
  host: undefined as string | undefined,
};

/**
 * Reads one request head from `buffer[start, end)`. Returns undefined while it is incomplete.
 * Throws GatewayError (REQUEST_*); the connection cannot be read any further then.
 */
export function parseRequestHead(
  buffer: Buffer,
  start: number,
  end: number,
  limits: HeadLimits,
): RequestHead | undefined {
  let position = start;
  // RFC 9112 §2.2: an empty line before the request line is ignored.
  while (position < end && buffer[position] === CR) {
    if (position + 1 === end) return incomplete(position + 1 - start, limits);
    if (buffer[position + 1] !== LF) throw malformed('CR without LF before the request line');
    position += 2;
  }
  const methodStart = position;
  while (position < end && isToken[buffer[position] as number] === 1) position++;
  if (position === end) return incomplete(end - start, limits);
  if (buffer[position] !== SP || position === methodStart) throw malformed('invalid request line');
  const targetStart = ++position;
  let queryAt = -1;
  let needsNormalising = false;
  let previous = 0;
  for (; position < end; position++) {
    const kind = targetClass[buffer[position] as number] as number;
    if (kind === 1) {
      previous = 1;
      continue;
    }
    if (kind === 0) break;
    if (queryAt < 0) {
      if (kind === 5) queryAt = position;
      else if (kind === 2 || (previous === 3 && kind >= 3)) needsNormalising = true;
    }
    previous = kind;
  }
  if (position - targetStart > limits.maxHeadBytes) throw new GatewayError('REQUEST_TARGET_TOO_LONG');
  if (position === end) return undefined;
  if (buffer[position] !== SP || position === targetStart) throw malformed('invalid byte in the request target');
  const targetEnd = position++;
  // `HTTP/1.x` CRLF: ten bytes.
  if (end - position < 10) {
    return incomplete(end - start, limits);
  }
  const minor = parseVersion(buffer, position);
  if (minor < 0) {
    if (minor === -2) throw new GatewayError('REQUEST_VERSION_UNSUPPORTED');
    throw malformed('invalid protocol version');
  }
  position += 8;
  if (buffer[position] !== CR || buffer[position + 1] !== LF) throw malformed('invalid end of the request line');
  position += 2;

  const fieldsEnd = parseFields(buffer, position, end, methodStart, limits, 'REQUEST_MALFORMED');
  if (fieldsEnd === 0) return incomplete(end - start, limits);

  const { text, fields } = scan;
  const method = knownMethod(text, targetStart - 1 - methodStart);
  if (method === undefined) throw new GatewayError('REQUEST_METHOD_UNSUPPORTED', 'unknown method');
  const { contentLength, chunked } = scan;
  if (chunked && contentLength >= 0) throw malformed('both Content-Length and Transfer-Encoding (RFC 9112 §6.1)');
  if (chunked && minor === 0) throw malformed('Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)');
  const expectContinue = scan.expect !== undefined && minor === 1;
  if (scan.expect !== undefined && scan.expect.toLowerCase() !== '100-continue')
    throw new GatewayError('REQUEST_EXPECTATION_FAILED');
  if (scan.host === undefined && minor === 1) throw malformed('no Host (RFC 9112 §3.2)');
  if (scan.listed !== undefined) removeListed(fields, scan.listed);
  return {
    method,
    target: text.substring(targetStart - methodStart, targetEnd - methodStart),
    needsNormalising,
    queryStart: queryAt < 0 ? -1 : queryAt - targetStart,
    minor,
    fields,
    keepAlive: minor === 1 ? !scan.connectionClose : scan.connectionKeepAlive && !scan.connectionClose,
    bodyLength: chunked ? BodyLength.chunked : contentLength > 0 ? contentLength : BodyLength.none,
    expectContinue,
    upgrade: scan.connectionUpgrade && minor === 1 ? offeredUpgrade(scan.upgrade) : undefined,
    host: scan.host,
    hasContentLength: contentLength >= 0,
    end: fieldsEnd,
  };
}

/** Reads one response head. Returns undefined while it is incomplete; throws GatewayError UPSTREAM_MALFORMED. */
export function parseResponseHead(
  buffer: Buffer,
  start: number,
  end: number,
  limits: HeadLimits,
): ResponseHead | undefined {
  if (end - start < 15) {
    return end - start > 4 && buffer.toString('latin1', start, start + 5) !== 'HTTP/'
      ? fail('not an HTTP response')
      : undefined;
  }
  const minor = parseVersion(buffer, start);
  if (minor < 0 || buffer[start + 8] !== SP) return fail('invalid status line');
  let status = 0;
  for (let i = start + 9; i < start + 12; i++) {
    const digit = (buffer[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return fail('invalid status code');
    status = status * 10 + digit;
  }
  if (status < 100) return fail('invalid status code');
  let position = start + 12;
  // RFC 9112 §4 wants a space; without a reason many leave it out.
  if (buffer[position] !== SP && buffer[position] !== CR) return fail('invalid status code');
  const reasonStart = buffer[position] === SP ? position + 1 : position;
  while (position < end && isFieldValue[buffer[position] as number] === 1) position++;
  if (position + 1 >= end) return end - start > limits.maxHeadBytes ? fail('response head too large') : undefined;
  if (buffer[position] !== CR || buffer[position + 1] !== LF) return fail('invalid end of the status line');
  const reasonEnd = position;
  const fieldsEnd = parseFields(buffer, position + 2, end, start, limits, 'UPSTREAM_MALFORMED');
  if (fieldsEnd === 0) return end - start > limits.maxHeadBytes ? fail('response head too large') : undefined;
  const { contentLength, chunked, fields } = scan;
  if (chunked && contentLength >= 0) return fail('both Content-Length and Transfer-Encoding');
  if (scan.listed !== undefined) removeListed(fields, scan.listed);
  return {
    status,
    reason: reasonText(status, scan.text, reasonStart - start, reasonEnd - start),
    minor,
    fields,
    keepAlive: minor === 1 ? !scan.connectionClose : scan.connectionKeepAlive && !scan.connectionClose,
    bodyLength: chunked ? BodyLength.chunked : contentLength >= 0 ? contentLength : BodyLength.untilClose,
    contentLength: contentLength >= 0 ? contentLength : undefined,
    end: fieldsEnd,
  };
}

/** Mostly the standard phrase, which needs no new string. */
function reasonText(status: number, text: string, from: number, to: number): string {
  const standard = STATUS_CODES[status];
  return standard?.length === to - from && text.startsWith(standard, from) ? standard : text.substring(from, to);
}

/** Trailer section of a chunked body (RFC 9112 §7.1.2). Returns undefined while it is incomplete. */
export function parseTrailers(
  buffer: Buffer,
  start: number,
  end: number,
  limits: HeadLimits,
  source: MalformedCode,
): { readonly fields: Fields; readonly end: number } | undefined {
  const trailersEnd = parseFields(buffer, start, end, start, limits, source);
  if (trailersEnd === 0) return undefined;
  const { fields } = scan;
  // RFC 9110 §6.5.1: a trailer must not change framing or routing.
  for (let i = 0; i < fields.length; i++) {
    const { kind, lower } = fields.known[i] as FieldName;
    if (kind !== FieldKind.plain) throw new GatewayError(source, `field ${lower} in a trailer`);
  }
  return { fields, end: trailersEnd };
}

/** 0 or 1, -1: not a version, -2: a version we do not speak. */
function parseVersion(buffer: Buffer, position: number): number {
  if (
    buffer[position] !== 0x48 ||
    buffer[position + 1] !== 0x54 ||
    buffer[position + 2] !== 0x54 ||
    buffer[position + 3] !== 0x50 ||
    buffer[position + 4] !== 0x2f ||
    buffer[position + 6] !== 0x2e
  ) {
    return -1;
  }
  const major = (buffer[position + 5] as number) - 0x30;
  const minor = (buffer[position + 7] as number) - 0x30;
  if (major < 0 || major > 9 || minor < 0 || minor > 9) return -1;
  return major === 1 && minor <= 1 ? minor : -2;
}

/**
 * Field lines up to and with the empty line, into `scan`. Returns the end, or 0 while incomplete.
 *
 *   name ':' OWS value OWS CR LF   (RFC 9112 §5); obs-fold, space before ':' and bare LF are refused
 */
function parseFields(
  buffer: Buffer,
  from: number,
  end: number,
  messageStart: number,
  limits: HeadLimits,
  malformedCode: MalformedCode,
): number {
  scan.contentLength = -1;
  scan.chunked = false;
  scan.connectionClose = false;
  scan.connectionKeepAlive = false;
  scan.connectionUpgrade = false;
  scan.listed = undefined;
  scan.expect = undefined;
  scan.upgrade = undefined;
  scan.host = undefined;
  // First the bytes alone: an incomplete head costs no strings.
  let position = from;
  let count = 0;
  for (;;) {
    if (position >= end) return 0;
    let byte = buffer[position] as number;
    if (byte === CR) break;
    const nameStart = position;
    let hash = 0;
    while (position < end && isToken[(byte = buffer[position] as number)] === 1) {
      hash = (hash * 31 + byte) | 0;
      position++;
    }
    if (position === end) return 0;
    if (buffer[position] !== COLON || position === nameStart)
      throw new GatewayError(malformedCode, 'invalid field name');
    const nameEnd = position++;
    while (position < end && ((byte = buffer[position] as number) === SP || byte === HTAB)) position++;
    const valueStart = position;
    while (position < end && isFieldValue[buffer[position] as number] === 1) position++;
    if (position + 1 >= end) {
      if (position < end && buffer[position] !== CR)
        throw new GatewayError(malformedCode, 'invalid byte in a field value');
      return 0;
    }
    if (buffer[position] !== CR || buffer[position + 1] !== LF)
      throw new GatewayError(malformedCode, 'invalid byte in a field value');
    let valueEnd = position;
    while (valueEnd > valueStart && ((byte = buffer[valueEnd - 1] as number) === SP || byte === HTAB)) valueEnd--;
    position += 2;
    if (position - messageStart > limits.maxHeadBytes) throw tooLarge(malformedCode, 'bytes');
    if (count >= limits.maxFields * offsetsPerField) throw tooLarge(malformedCode, 'fields');
    offsets[count++] = nameStart;
    offsets[count++] = nameEnd;
    offsets[count++] = valueStart;
    offsets[count++] = valueEnd;
    offsets[count++] = hash;
  }
  if (position + 1 >= end) return 0;
  if (buffer[position + 1] !== LF) throw new GatewayError(malformedCode, 'CR without LF');
  position += 2;
  if (position - messageStart > limits.maxHeadBytes) throw tooLarge(malformedCode, 'bytes');
  addFields(buffer.toString('latin1', messageStart, position), messageStart, count, malformedCode);
  return position;
}

/** Where names and values of the head being scanned begin and end, and the name's hash; reused, as the parsers never nest. */
const offsets: number[] = [];
const offsetsPerField = 5;

/** Names seen lately, by hash: a name that is there costs a comparison, no new string and no look-up. A power of two. */
const recentNames: ({ readonly name: string; readonly known: FieldName } | undefined)[] = new Array<undefined>(
  512,
).fill(undefined);

/** `text`: the head, out of the buffer in one copy; names and values are substrings of it. */
function addFields(text: string, base: number, count: number, malformedCode: MalformedCode): void {
  const { names, known: knownNames, values } = (scan.fields = new Fields(count / offsetsPerField));
  scan.text = text;
  let index = 0;
  for (let i = 0; i < count; i += offsetsPerField) {
    const nameEnd = (offsets[i + 1] as number) - base;
    const valueEnd = (offsets[i + 3] as number) - base;
    const nameStart = (offsets[i] as number) - base;
    const value = text.substring((offsets[i + 2] as number) - base, valueEnd);
    const slot = (offsets[i + 4] as number) & (recentNames.length - 1);
    let recent = recentNames[slot];
    if (recent?.name.length !== nameEnd - nameStart || !text.startsWith(recent.name, nameStart)) {
      const name = text.substring(nameStart, nameEnd);
      recent = { name, known: fieldName(name) };
      recentNames[slot] = recent;
    }
    const { name, known } = recent;
    if (known.kind !== FieldKind.plain && known.kind <= FieldKind.upgrade) {
      if (known.kind === FieldKind.transferEncoding || known.kind === FieldKind.contentLength) {
        // HTAB is whitespace here (RFC 9110 §5.6.3), but not to every parser: the framing would have two readings.
        if (text.substring(nameEnd, text.indexOf('\r', valueEnd)).includes('\t'))
          throw new GatewayError(malformedCode, `tab beside the value of ${known.lower}`);
      }
      noteField(known.kind, value, malformedCode);
    }
    names[index] = name;
    knownNames[index] = known;
    values[index++] = value;
  }
}

function noteField(kind: FieldKind, value: string, malformedCode: MalformedCode): void {
  switch (kind) {
    case FieldKind.host:
      if (scan.host !== undefined) throw new GatewayError(malformedCode, 'two Host fields (RFC 9112 §3.2)');
      scan.host = value;
      break;
    case FieldKind.contentLength:
      if (scan.contentLength >= 0) throw new GatewayError(malformedCode, 'two Content-Length fields');
      scan.contentLength = parseLength(value);
      if (scan.contentLength < 0) throw new GatewayError(malformedCode, 'invalid Content-Length');
      break;
    case FieldKind.transferEncoding:
      // Only chunked, once: every other coding is one that we could not undo (RFC 9112 §6.1).
      if (scan.chunked || value.toLowerCase() !== 'chunked')
        throw new GatewayError(malformedCode, 'invalid Transfer-Encoding');
      scan.chunked = true;
      break;
    case FieldKind.connection:
      noteConnection(value, malformedCode);
      break;
    case FieldKind.expect:
      scan.expect = value;
      break;
    case FieldKind.upgrade:
      scan.upgrade = scan.upgrade === undefined ? value : `${scan.upgrade}, ${value}`;
      break;
    default:
  }
}

/** One to fifteen digits and nothing else (RFC 9110 §8.6); -1 for anything else. */
function parseLength(text: string): number {
  if (text.length === 0 || text.length > 15) return -1;
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}

function noteConnection(value: string, malformedCode: MalformedCode): void {
  if (value === 'keep-alive' || value === 'Keep-Alive') {
    scan.connectionKeepAlive = true;
    return;
  }
  for (const part of value.split(',')) {
    const option = part.trim().toLowerCase();
    if (option === 'close') scan.connectionClose = true;
    else if (option === 'keep-alive') scan.connectionKeepAlive = true;
    else if (option === 'upgrade') scan.connectionUpgrade = true;
    else if (option !== '') {
      const { kind } = fieldName(option);
      // Stripping one of these would change the framing or the route (CVE-2026-6338).
      if (kind === FieldKind.host || kind === FieldKind.contentLength || kind === FieldKind.transferEncoding) {
        throw new GatewayError(malformedCode, `Connection lists ${option}`);
      }
      (scan.listed ??= []).push(option);
    }
  }
}

/** RFC 9110 §7.6.1: fields that Connection names end here. */
function removeListed(fields: Fields, listed: readonly string[]): void {
  for (const option of listed) fields.remove(option);
}

/** An upstream that changed to h2c would take requests that no rule has seen; RFC 9113 §3.1 has made it obsolete. */
function offeredUpgrade(value: string | undefined): string | undefined {
  return value !== undefined && /(?:^|[,\s])h2c?(?:$|[,\s/])/i.test(value) ? undefined : value;
}

/** Nothing to return yet, unless it is too much already. */
function incomplete(bytes: number, limits: HeadLimits): RequestHead | undefined {
  if (bytes > limits.maxHeadBytes) throw new GatewayError('REQUEST_HEADERS_TOO_LARGE');
  return undefined;
}

function malformed(detail: string): GatewayError {
  return new GatewayError('REQUEST_MALFORMED', detail);
}

function fail(detail: string): never {
  throw new GatewayError('UPSTREAM_MALFORMED', detail);
}

function tooLarge(malformedCode: MalformedCode, what: string): GatewayError {
  return malformedCode === 'REQUEST_MALFORMED'
    ? new GatewayError('REQUEST_HEADERS_TOO_LARGE', `too many ${what}`)
    : new GatewayError('UPSTREAM_MALFORMED', `too many ${what} in the response head`);
}
