/**
 * Templates that plugins fill per request, compiled once a change: nginx variables (`$uri`, `${http_x}`) and captures of
 * a regular expression (`$1`, `${1}`), and replacing the first match with one. JavaScript's own `$&`, `` $` `` and `$'` mean
 * nothing in them: what a client sends must not come back through a template's accident.
 */
import type { Exchange } from './exchange.ts';
import { compileVariable } from './variables.ts';

/** Text for one request; `match` fills the captures, which are empty without one. */
export type Template = (exchange: Exchange, match?: RegExpExecArray) => string;

/**
 * `$name`, `${name}`: a variable, empty where it has no value; `$1`, `${1}`, `$0`: a capture. Any other `$`, and one
 * behind a backslash, stays as it is.
 */
export function compileTextTemplate(template: string): Template {
  const marker = /(?<!\\)\$(?:(\d+)|\{(\d+)\}|\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g;
  const parts: Template[] = [];
  let at = 0;
  for (const found of template.matchAll(marker)) {
    const before = template.slice(at, found.index);
    if (before !== '') parts.push(() => before);
    parts.push(compileMarker(found));
    at = found.index + found[0].length;
  }
  const rest = template.slice(at);
  if (parts.length === 0) return () => rest;
  return (exchange, match) => {
    let text = '';
    for (const part of parts) text += part(exchange, match);
    return text + rest;
  };
}

function compileMarker(found: RegExpExecArray): Template {
  const [, capture, bracedCapture, bracedName, name] = found;
  const number = capture ?? bracedCapture;
  if (number !== undefined) {
    const index = Number(number);
    return (_, match) => match?.[index] ?? '';
  }
  const read = compileVariable(bracedName ?? name ?? '');
  return (exchange) => read(exchange) ?? '';
}

/** As ngx.re.sub reads it: `$1`, `${1}` and `$0` stand for captures, `$$` for a dollar; any other `$` is itself. */
export function compileReplacement(template: string): (match: RegExpExecArray) => string {
  // Each separator adds three pieces, of which one is set: [text, $1, ${1}, $$, text, …].
  const pieces: (string | undefined)[] = template.split(/\$(?:(\d+)|\{(\d+)\}|(\$))/);
  const parts: (string | number)[] = [];
  pieces.forEach((piece, i) => {
    if (piece === undefined || piece === '') return;
    parts.push(i % 4 === 1 || i % 4 === 2 ? Number(piece) : piece);
  });
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
