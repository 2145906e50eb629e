/**
 * Replacing the first match of a regular expression, with templates in ngx.re.sub's form. JavaScript's own `$&`, `` $` ``
 * and `$'` mean nothing in them: what a client sends must not come back through a template's accident.
 */

/** `$1`, `${1}` and `$0` stand for captures, `$$` for a dollar; any other `$` is itself. Compiled once a change. */
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
