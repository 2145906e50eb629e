/**
 * Between an exchange and the text entries of a runner call: header fields, arguments, the path; and what a runner answers,
 * checked before any of it is applied.
 */
import type { HeaderFields } from '../exchange.ts';
import { isIdentityHeader } from '../identity-headers.ts';
import { RunnerError, type TextEntry } from './runners.ts';

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5: no CR, LF, NUL or other control. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
// eslint-disable-next-line no-control-regex -- what is looked for
const control = /[\x00-\x1f\x7f]/;

/** Names in lower case, every field by itself. `host`: what goes upstream in Host's place. */
export function headerEntries(headers: HeaderFields, host: string | undefined): TextEntry[] {
  const entries: TextEntry[] = [];
  for (const [name, value] of headers.entries()) {
    const lower = name.toLowerCase();
    entries.push([lower, lower === 'host' && host !== undefined ? host : value]);
  }
  return entries;
}

/** Decoded as a form field; undefined for a parameter without `=`. */
export function argumentEntries(query: string): TextEntry[] {
  const entries: TextEntry[] = [];
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    if (equals < 0) entries.push([decodeField(pair), undefined]);
    else entries.push([decodeField(pair.slice(0, equals)), decodeField(pair.slice(equals + 1))]);
  }
  return entries;
}

/** The query with these changes: a name without a value is removed, the first of a name replaces all that were there. */
export function changeQuery(query: string, changes: readonly TextEntry[]): string {
  const changed = new Set(changes.map(([name]) => name));
  const kept = query.split('&').filter((pair) => pair !== '' && !changed.has(decodeField(pair.replace(/=.*$/s, ''))));
  const added = changes.flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeBytes(name)}=${encodeBytes(value)}`],
  );
  return [...kept, ...added].join('&');
}

/** Percent-decoded, each byte a character. */
export function decodeBytes(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function decodeField(text: string): string {
  return decodeBytes(text.includes('+') ? text.replaceAll('+', ' ') : text);
}

function encodeBytes(text: string): string {
  return text.replace(/[^A-Za-z0-9\-._~]/g, percentEncoded);
}

/** A decoded path as it goes upstream (RFC 3986 §3.3): `%`, `?` and `#` are data. */
export function encodePathBytes(path: string): string {
  const encoded = path.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g, percentEncoded);
  return encoded.startsWith('/') ? encoded : `/${encoded}`;
}

function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** Applies them: a name without a value is removed, the first of a name replaces, further ones stand beside it. */
export function changeHeaders(headers: HeaderFields, changes: readonly TextEntry[]): void {
  const set = new Set<string>();
  for (const [name, value] of changes) {
    const lower = name.toLowerCase();
    if (value === undefined) headers.remove(name);
    else if (set.has(lower)) headers.append(name, value);
    else headers.set(name, value);
    set.add(lower);
  }
}

/** All of these throw RunnerError: the runner's answer is of no use. */
export function checkHeaders(changes: readonly TextEntry[]): void {
  for (const [name, value] of changes) {
    if (!token.test(name)) throw refused(`a header name that is none (${JSON.stringify(name.slice(0, 64))})`);
    // The value is not shown: it may be a secret.
    if (value !== undefined && !fieldValue.test(value)) throw refused(`a control character in the header ${name}`);
  }
}

/** APISIX: a runner may set any request header. Identity is the gateway's: an authentication plugin gives it. */
export function checkRequestHeaders(changes: readonly TextEntry[]): void {
  checkHeaders(changes);
  for (const [name, value] of changes) {
    if (isIdentityHeader(name)) throw refused(`the header ${name}, which the gateway alone sets`);
    if (name.toLowerCase() === 'host' && value !== undefined && !/^[\w.\-:[\]]+$/.test(value))
      throw refused('a host that is none');
  }
}

export function checkArguments(changes: readonly TextEntry[]): void {
  for (const [name, value] of changes)
    if (control.test(name) || (value !== undefined && control.test(value)))
      throw refused('a control character in an argument');
}

export function checkPath(path: string): void {
  if (control.test(path)) throw refused('a control character in the path');
}

/** 0 and what the protocol lets a runner leave out count as `otherwise`. */
export function checkedStatus(status: number, otherwise: number): number {
  if (status === 0) return otherwise;
  if (status < 200 || status > 599) throw refused(`the status ${String(status)}`);
  return status;
}

/** Neither has a body (RFC 9110 §15.3.5, §15.4.5). */
export function allowsBody(status: number): boolean {
  return status !== 204 && status !== 304;
}

function refused(what: string): RunnerError {
  return new RunnerError('runner_protocol', `the runner answered with ${what}`);
}

/** The path as an upstream would read it, each byte a character. `rewritten`: percent-encoded; undefined: `path` is, decoded. */
export function pathBytes(rewritten: string | undefined, path: string): string {
  if (rewritten !== undefined) return decodeBytes(rewritten);
  return /^[!-~ ]*$/.test(path) ? path : Buffer.from(path, 'utf8').toString('latin1');
}
