/**
 * Regular expressions as people wrote them for APISIX (PCRE) on JavaScript's engine. Runs at configuration time only.
 * Invariant: a construct that JavaScript would read differently is translated or refused, never silently changed.
 * Not covered: `(?x)`, atomic groups, possessive quantifiers, recursion, conditionals and verbs are refused.
 */
import { ConfigError } from '../errors/gateway-error.ts';

const posixClasses = new Map([
  ['alpha', 'a-zA-Z'],
  ['digit', '0-9'],
  ['alnum', 'a-zA-Z0-9'],
  ['upper', 'A-Z'],
  ['lower', 'a-z'],
  ['space', '\\s'],
  ['blank', ' \\t'],
  ['xdigit', '0-9A-Fa-f'],
  ['word', '\\w'],
  ['punct', '!-\\/:-@\\[-`{-~'],
]);

/** PCRE escapes that JavaScript lacks, outside a class. */
const escapes = new Map([
  ['A', '(?<![\\s\\S])'],
  ['z', '(?![\\s\\S])'],
  ['Z', '(?=\\n?(?![\\s\\S]))'],
  ['h', '[ \\t]'],
  ['R', '(?:\\r\\n|[\\n\\v\\f\\r])'],
  ['a', '\\x07'],
  ['e', '\\x1b'],
]);
const refusedEscapes = 'GKXCNHQEgopP';

/** PCRE option letters → JavaScript flags; `j`, `o`, `a`, `d`, `D`, `U` as ngx.re knows them. */
const options = new Map([
  ['i', 'i'],
  ['m', 'm'],
  ['s', 's'],
  ['u', 'u'],
  ['j', ''],
  ['o', ''],
  ['D', ''],
]);

/**
 * Compiles `pattern` with ngx.re option letters (`jo` are accepted and mean nothing here); `extraFlags` are JavaScript's.
 * Throws ConfigError saying what cannot be read. `$` matches only at the very end, as with PCRE's `D`.
 */
export function compileRegex(pattern: string, optionLetters = 'jo', extraFlags = ''): RegExp {
  const flags = new Set(extraFlags);
  const leading = /^\(\?([a-zA-Z]+)\)/.exec(pattern);
  for (const letter of optionLetters + (leading?.[1] ?? '')) {
    const flag = options.get(letter);
    if (flag === undefined) throw new ConfigError(`unsupported regex option "${letter}"`);
    if (flag !== '') flags.add(flag);
  }
  try {
    return new RegExp(translate(pattern.slice(leading?.[0].length ?? 0)), [...flags].join(''));
  } catch (error) {
    if (error instanceof SyntaxError) throw new ConfigError(error.message, { cause: error });
    throw error;
  }
}

/** `$1`, `${1}` and `$0` stand for captures, `$$` for a dollar (ngx.re.sub); any other `$` is itself. */
export function compileReplacement(template: string): (match: RegExpExecArray) => string {
  const pieces = template.split(/\$(?:(\d+)|\{(\d+)\}|(\$))/);
  // Each separator adds three pieces, of which one is set: [text, $1, ${1}, $$, text, …].
  const parts: (string | number)[] = [];
  pieces.forEach((piece: string | undefined, i) => {
    if (piece === undefined || piece === '') return;
    parts.push(i % 4 === 1 || i % 4 === 2 ? Number(piece) : piece);
  });
  const [only] = parts;
  if (parts.length === 0) return () => '';
  if (parts.length === 1 && typeof only === 'string') return () => only;
  return (match) => {
    let text = '';
    for (const part of parts) text += typeof part === 'string' ? part : (match[part] ?? '');
    return text;
  };
}

/** `subject` with `match` replaced by `replacement`. */
export function replaceMatch(subject: string, match: RegExpExecArray, replacement: string): string {
  return subject.slice(0, match.index) + replacement + subject.slice(match.index + match[0].length);
}

function translate(pattern: string): string {
  let out = '';
  let i = 0;
  let quantified = false;
  while (i < pattern.length) {
    const rest = pattern.slice(i);
    const [piece, length] = next(rest);
    const quantifier = /^(?:[*?+]|\{\d*,?\d*\})/.test(rest) && piece === rest.slice(0, length);
    if (quantified && rest.startsWith('+')) throw new ConfigError('possessive quantifiers are not supported');
    quantified = quantifier && !quantified;
    out += piece;
    i += length;
  }
  return out;
}

/** The next element outside a class: [JavaScript's form, characters read]. */
function next(rest: string): readonly [string, number] {
  if (rest.startsWith('\\')) return escape(rest);
  if (rest.startsWith('[')) return bracket(rest);
  if (rest.startsWith('(*')) throw new ConfigError('verbs are not supported');
  if (rest.startsWith('(?')) return group(rest);
  const braces = /^\{\d*,?\d*\}/.exec(rest);
  return braces === null ? [rest.slice(0, 1), 1] : [braces[0], braces[0].length];
}

function escape(rest: string): readonly [string, number] {
  const letter = rest.slice(1, 2);
  const known = escapes.get(letter);
  if (known !== undefined) return [known, 2];
  const hex = /^\\x\{([0-9A-Fa-f]{1,4})\}/.exec(rest);
  if (hex !== null) return [`\\u${(hex[1] ?? '').padStart(4, '0')}`, hex[0].length];
  if (refusedEscapes.includes(letter)) throw new ConfigError(`\\${letter} is not supported`);
  return [rest.slice(0, 2), 2];
}

function group(rest: string): readonly [string, number] {
  const comment = /^\(\?#[^)]*\)/.exec(rest);
  if (comment !== null) return ['', comment[0].length];
  if (rest.startsWith('(?P<')) return ['(?<', 4];
  const reference = /^\(\?P=(\w+)\)/.exec(rest);
  if (reference !== null) return [`\\k<${reference[1] ?? ''}>`, reference[0].length];
  const known = /^\(\?(?:[:=!]|<[=!]|<\w+>|[ims]*(?:-[ims]+)?:)/.exec(rest);
  if (known === null) throw new ConfigError(`the group ${rest.slice(0, 4)} is not supported`);
  return [known[0], known[0].length];
}

/** A whole `[…]` class; `]` right after its opening is a member in PCRE. */
function bracket(rest: string): readonly [string, number] {
  const open = rest.startsWith('[^') ? '[^' : '[';
  let out = open;
  let i = open.length;
  while (i < rest.length) {
    const character = rest.charAt(i);
    const posix = /^\[:(\^?)(\w+):\]/.exec(rest.slice(i));
    if (character === ']' && i > open.length) return [`${out}]`, i + 1];
    if (posix !== null) {
      const members = posixClasses.get(posix[2] ?? '');
      if (members === undefined || posix[1] !== '') throw new ConfigError(`${posix[0]} is not supported`);
      out += members;
      i += posix[0].length;
    } else if (character === '\\') {
      const [piece, length] = rest.startsWith('\\h', i) ? [' \\t', 2] : escapeInClass(rest.slice(i));
      out += piece;
      i += length;
    } else {
      out += character === ']' || character === '[' ? `\\${character}` : character;
      i++;
    }
  }
  throw new ConfigError('missing terminating ] for character class');
}

function escapeInClass(rest: string): readonly [string, number] {
  const letter = rest.slice(1, 2);
  if ('AzZR'.includes(letter) && letter !== '') throw new ConfigError(`\\${letter} is not supported in a class`);
  return escape(rest);
}
