/**
 * What limit plugins count by: a variable, a text with variables, or a constant; and numbers that may come from a variable.
 * Compiled once a change; a request reads its variables and joins two strings.
 */
import { createHash } from 'node:crypto';
import { ConfigError } from '../errors/gateway-error.ts';
import type { JsonSchema } from '../resources/resource.ts';
import type { Exchange } from './exchange.ts';
import { compileVariable } from './variables.ts';

export type CountKeyType = 'var' | 'var_combination' | 'constant';

/** To spread into a plugin's `properties`. */
export const countKeyProperties = {
  key: {
    type: 'string',
    minLength: 1,
    description: 'What to count by; the client’s address where it has no value.',
  },
  key_type: {
    type: 'string',
    enum: ['var', 'var_combination'],
    default: 'var',
    description: 'The key is a variable (without `$`) or a text of variables (with `$`).',
  },
} satisfies Record<string, JsonSchema>;

/** The client's address stands in where the variables have no value, as in APISIX. */
export function compileCountKey(key: string, type: CountKeyType): (exchange: Exchange) => string {
  if (type === 'constant') return () => key;
  const read = type === 'var' ? compileVariable(key.replace(/^\$/, '')) : compileCombination(key);
  return (exchange) => {
    const value = read(exchange);
    return value === undefined || value === '' ? exchange.remoteAddress : value;
  };
}

/** Text with `$name`, `${name}` and `${name ?? default}`; undefined where none of its variables has a value. */
export function compileCombination(text: string): (exchange: Exchange) => string | undefined {
  const parts: { before: string; read: (exchange: Exchange) => string | undefined; otherwise: string }[] = [];
  let end = 0;
  for (const match of text.matchAll(/\$(?:(\w+)|\{\s*(\w+)\s*(?:\?\?\s*([^}]*?)\s*)?\})/g)) {
    parts.push({
      before: text.slice(end, match.index),
      read: compileVariable(match[1] ?? match[2] ?? ''),
      otherwise: match[3] ?? '',
    });
    end = match.index + match[0].length;
  }
  const rest = text.slice(end);
  return (exchange) => {
    let result = '';
    let found = false;
    for (const { before, read, otherwise } of parts) {
      const value = read(exchange);
      if (value !== undefined) found = true;
      result += before + (value ?? otherwise);
    }
    return found ? result + rest : undefined;
  };
}

/** A number of the configuration, or one that variables give per request; undefined where that is no positive number. */
export function compileNumber(value: number | string, field: string): (exchange: Exchange) => number | undefined {
  if (typeof value === 'number') return () => value;
  if (!value.includes('$')) {
    const constant = toPositive(value);
    if (constant === undefined) throw new ConfigError(`${field}: '${value}' is neither a number nor a variable`);
    return () => constant;
  }
  // A default alone makes a value: only text that ends up as a number counts.
  const parts = compileCombination(value);
  const fallback = toPositive(/\?\?\s*([^}]*?)\s*\}$/.exec(value)?.[1] ?? '');
  return (exchange) => {
    const text = parts(exchange);
    return text === undefined ? fallback : toPositive(text);
  };
}

/**
 * Begins the keys of one place of configuration: counts start anew when that configuration changes, and are never those of
 * another place or plugin. `group`: places of one group share their counts.
 */
export function countKeyPrefix(plugin: string, scope: string, config: unknown, group: string | undefined): string {
  const identity = JSON.stringify(group === undefined ? [plugin, scope, config] : [plugin, 'group', group]);
  return `${createHash('sha256').update(identity).digest('base64url').slice(0, 16)}:`;
}

function toPositive(text: string): number | undefined {
  const number = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : 0;
  return number > 0 ? number : undefined;
}
