/**
 * One entry of `filters`: a regular expression over the bytes of a whole body, as PCRE matches without its `u` option.
 * Body and pattern are both taken as one character a byte, so any charset and any binary survives unchanged.
 */
import { ConfigError } from '../../errors/gateway-error.ts';
import { compileRegex } from '../../expression/regex.ts';
import { compileReplacement } from '../../plugin/substitution.ts';

export interface BodyFilterConfig {
  regex: string;
  scope: 'once' | 'global';
  replace: string;
  options: string;
}

export type BodyFilter = (body: Uint8Array) => Uint8Array;

/** Throws ConfigError in APISIX's words. Returns the body itself where nothing matched. */
export function compileBodyFilter({ regex, scope, replace, options }: BodyFilterConfig): BodyFilter {
  const pattern = compilePattern(regex, options, scope);
  const replacement = compileReplacement(bytesOf(replace));
  return (body) => {
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1');
    let out = '';
    let at = 0;
    pattern.lastIndex = 0;
    for (let match = pattern.exec(text); match !== null; match = pattern.global ? pattern.exec(text) : null) {
      out += text.slice(at, match.index) + replacement(match);
      at = match.index + match[0].length;
      if (match[0] === '') pattern.lastIndex++;
    }
    return out === '' && at === 0 ? body : Buffer.from(out + text.slice(at), 'latin1');
  };
}

function compilePattern(regex: string, options: string, scope: 'once' | 'global'): RegExp {
  try {
    const unknown = /[^ajmisDduo]/.exec(options);
    if (unknown !== null) throw new ConfigError(`unsupported option "${unknown[0]}"`);
    const inline = options.replace(/[^ims]/g, '');
    return compileRegex(
      inline === '' ? bytesOf(regex) : `(?${inline})${bytesOf(regex)}`,
      scope === 'global' ? 'g' : '',
    );
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`regex "${regex}" validation failed: ${error.message}`, { cause: error });
  }
}

function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
