/**
 * PCRE as people write it in APISIX configuration → a JavaScript RegExp, once per change of configuration.
 * Its one invariant: a construct whose meaning would differ silently is either translated or refused by name; what is
 * left means the same in both. Known limits: characters are UTF-16 units where PCRE counts bytes, and there is no
 * match limit, so a pattern that backtracks exponentially is its author's burden.
 *
 * APISIX: a plain `$` is the very end of the text; PCRE's also stops before a last line feed, which lets `/admin%0a`
 * pass for `/admin`.
 */
import { ConfigError } from '../errors/gateway-error.ts';

const posixClasses = new Map([
  ['alnum', 'a-zA-Z0-9'],
  ['alpha', 'a-zA-Z'],
  ['ascii', '\\x00-\\x7f'],
  ['blank', ' \\t'],
  ['cntrl', '\\x00-\\x1f\\x7f'],
  ['digit', '0-9'],
  ['graph', '!-~'],
  ['lower', 'a-z'],
  ['print', ' -~'],
  ['punct', '!-\\/:-@\\[-`{-~'],
  ['space', '\\t-\\r '],
  ['upper', 'A-Z'],
  ['word', '\\w'],
  ['xdigit', '0-9a-fA-F'],
]);
const verticalSpace = '\\n\\v\\f\\r\\x85\\u2028\\u2029';
const horizontalSpace = ' \\t\\xa0';

/** Escapes of a letter that stand outside a character class, where the two languages differ. */
const letterEscapes = new Map([
  ['A', '(?<![^])'],
  ['z', '(?![^])'],
  ['Z', '(?=\\n?(?![^]))'],
  ['h', `[${horizontalSpace}]`],
  ['H', `[^${horizontalSpace}]`],
  ['v', `[${verticalSpace}]`],
  ['V', `[^${verticalSpace}]`],
  ['R', `(?:\\r\\n|[${verticalSpace}])`],
  ['N', '[^\\n]'],
]);
const sameEscapes = /^[dDwWsSbBnrtf]$/;
const classEscapes = /^[dDwWsSbnrtf]$/;

/** What a group that is open has set for the rest of itself. */
interface Group {
  /** Inline flags (`(?i)`) opened since, as JavaScript modifiers: each is one more `)` when the group ends. */
  readonly modifiers: string[];
  dotAll: boolean;
}

/** `-` as its code: an escaped one is an error outside a class where `\p` turns the strict grammar on. */
function literal(text: string): string {
  return text.replace(/[\^$\\.*+?()[\]{}|/]/g, '\\$&').replaceAll('-', '\\x2d');
}

function codePoint(code: number): string {
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Reads `pattern` left to right; `at` is the next unread unit. Throws Error with the reason alone. */
function translate(pattern: string): { source: string; unicode: boolean } {
  const groups: Group[] = [{ modifiers: [], dotAll: false }];
  let at = 0;
  let source = '';
  let unicode = false;

  function take(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = at;
    const found = expression.exec(pattern);
    if (found !== null) at += found[0].length;
    return found;
  }

  /** Escapes with the same meaning inside and outside a class; undefined: none of these. `at` is after the backslash. */
  function sharedEscape(): string | undefined {
    const hex = take(/x(?:\{([\da-fA-F]{1,6})\}|([\da-fA-F]{0,2}))/y);
    if (hex !== null) {
      const code = parseInt(hex[1] ?? `0${hex[2] ?? ''}`, 16);
      if (code > 0x10ffff) throw new Error('\\x is too large');
      if (code > 0xffff) unicode = true;
      return codePoint(code);
    }
    const octal = take(/0([0-7]{0,2})|o\{([0-7]{1,6})\}/y);
    if (octal !== null) return codePoint(parseInt(`0${octal[1] ?? octal[2] ?? ''}`, 8));
    const property = take(/([pP])(?:\{(\^?)([A-Z][A-Za-z]?)\}|([A-Z]))/y);
    if (property !== null) {
      unicode = true;
      const negated = (property[1] === 'P') !== (property[2] === '^');
      return `\\${negated ? 'P' : 'p'}{${property[3] ?? property[4] ?? ''}}`;
    }
    const control = take(/[ea]/y);
    if (control !== null) return control[0] === 'e' ? '\\x1b' : '\\x07';
    const punctuation = take(/[^\da-z]/iy);
    return punctuation === null ? undefined : literal(punctuation[0]);
  }

  function readClass(): string {
    let inside = take(/\^?\]/y)?.[0].replace(']', '\\]') ?? take(/\^/y)?.[0] ?? '';
    while (at < pattern.length) {
      if (take(/\]/y) !== null) return `[${inside}]`;
      const posix = take(/\[:(\^?)(\w+):\]/y);
      if (posix !== null) {
        const members = posixClasses.get(posix[2] ?? '');
        if (members === undefined || posix[1] === '^') throw new Error(`${posix[0]} is not supported`);
        inside += members;
      } else if (take(/\\/y) === null) {
        const character = pattern.charAt(at++);
        inside += character === '[' ? '\\[' : character;
      } else {
        const shared = sharedEscape();
        const letter = shared === undefined ? pattern.charAt(at++) : '';
        if (shared !== undefined) inside += shared;
        else if (classEscapes.test(letter)) inside += `\\${letter}`;
        else if (letter === 'h') inside += horizontalSpace;
        else if (letter === 'v') inside += verticalSpace;
        else throw new Error(`\\${letter} is not supported in a character class`);
      }
    }
    throw new Error('missing ] after a character class');
  }

  function readEscape(): string {
    const quoted = take(/Q([^]*?)(?:\\E|$)/y);
    if (quoted !== null) return literal(quoted[1] ?? '');
    const named = take(/k(?:<(\w+)>|\{(\w+)\}|'(\w+)')/y);
    if (named !== null) return `\\k<${named[1] ?? named[2] ?? named[3] ?? ''}>`;
    const numbered = take(/g\{([1-9]\d?)\}|g?([1-9]\d?)/y);
    if (numbered !== null) return `(?:\\${numbered[1] ?? numbered[2] ?? ''})`;
    const shared = sharedEscape();
    if (shared !== undefined) return shared;
    const letter = pattern.charAt(at++);
    if (sameEscapes.test(letter)) return `\\${letter}`;
    const translated = letterEscapes.get(letter);
    if (translated === undefined) throw new Error(letter === '' ? '\\ at the end' : `\\${letter} is not supported`);
    return translated;
  }

  /** `at` is after `(`. */
  function readGroup(group: Group): string {
    if (take(/\?#[^)]*\)/y) !== null) return '';
    const back = take(/\?P=(\w+)\)/y);
    if (back !== null) return `\\k<${back[1] ?? ''}>`;
    const flags = take(/\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])/y);
    if (flags !== null && flags[0] !== '?:') {
      const [, on = '', off = '', end] = flags;
      if (/[^ims]/.test(on + off)) throw new Error(`(${flags[0]} is not supported`);
      const modifiers = [on.replace('s', ''), off.replace('s', '')]
        .filter((part, i) => i === 0 || part !== '')
        .join('-');
      const dotAll = (group.dotAll || on.includes('s')) && !off.includes('s');
      if (end === ':') {
        groups.push({ modifiers: [], dotAll });
        return `(?${modifiers}:`;
      }
      group.dotAll = dotAll;
      if (modifiers === '') return '';
      group.modifiers.push(modifiers);
      return `(?${modifiers}:`;
    }
    groups.push({ modifiers: [], dotAll: group.dotAll });
    if (flags !== null) return '(?:';
    const named = take(/\?P?<([A-Za-z_]\w*)>|\?'([A-Za-z_]\w*)'/y);
    if (named !== null) return `(?<${named[1] ?? named[2] ?? ''}>`;
    const look = take(/\?<?[=!]/y);
    if (look !== null) return `(${look[0]}`;
    const other = take(/(?:\?.?|\*)/y);
    if (other !== null) throw new Error(`(${other[0]} is not supported`);
    return '(';
  }

  while (at < pattern.length) {
    const group = groups.at(-1);
    if (group === undefined) throw new Error('unmatched )');
    const quantifier = take(/\{\d+(?:,\d*)?\}/y);
    const character = quantifier === null ? pattern.charAt(at++) : quantifier[0];
    if (character === '\\') source += readEscape();
    else if (character === '[') source += readClass();
    else if (character === '(') source += readGroup(group);
    else if (character === ')') {
      source += ')'.repeat(group.modifiers.length + 1);
      groups.pop();
    } else if (character === '|') {
      source += `${')'.repeat(group.modifiers.length)}|${group.modifiers.map((flags) => `(?${flags}:`).join('')}`;
    } else if (character === '.') source += group.dotAll ? '[^]' : '[^\\n]';
    else if (character === '{' || character === '}' || character === ']') source += `\\${character}`;
    else source += character;
  }
  if (groups.length !== 1) throw new Error(groups.length === 0 ? 'unmatched )' : 'missing )');
  return { source: source + ')'.repeat(groups[0]?.modifiers.length ?? 0), unicode };
}

/**
 * Compiles a PCRE pattern; `flags` are JavaScript's `i` and `g`. Throws ConfigError with the pattern and the reason
 * for one that is malformed or that JavaScript cannot express (atomic groups, possessive quantifiers, recursion,
 * conditionals, verbs, `(?x)`).
 */
export function compileRegex(pattern: string, flags: '' | 'i' | 'g' | 'gi' = ''): RegExp {
  try {
    const { source, unicode } = translate(pattern);
    return new RegExp(source, unicode ? `${flags}u` : flags);
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message.replace(/^.*\/\w*: /s, '') : (error as Error).message;
    throw new ConfigError(`invalid regular expression '${pattern}': ${reason}`, { cause: error });
  }
}
