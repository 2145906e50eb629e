/**
 * `${{NAME}}` and `${{NAME:=default}}` in configuration files, as APISIX reads them. Also for standalone resource files.
 * A text that held a reference and now reads as a number or a boolean becomes one.
 */

export type Environment = Readonly<Record<string, string | undefined>>;

const reference = /\$\{\{\s*(\w+)\s*(?::=(.*?))?\s*\}\}/g;

/** A reference to a variable that is not set and has no default. */
export class UnsetVariableError extends Error {
  override readonly name = 'UnsetVariableError';
  readonly variable: string;

  constructor(variable: string) {
    super(`can't find environment variable ${variable}`);
    this.variable = variable;
  }
}

/** The text with its references replaced; itself where it holds none. Throws UnsetVariableError. */
export function substituteEnvironment(text: string, env: Environment): string | number | boolean {
  if (!text.includes('${{')) return text;
  const result = text.replace(reference, (_, name: string, fallback: string | undefined) => {
    const value = env[name] ?? fallback?.trim();
    if (value === undefined) throw new UnsetVariableError(name);
    return value;
  });
  if (result === text) return text;
  if (result === 'true') return true;
  if (result === 'false') return false;
  // APISIX: it converts `0123` and `0x1F` too; a key or a code that only looks like a number keeps its text here.
  const number = Number(result);
  return Number.isFinite(number) && String(number) === result ? number : result;
}
