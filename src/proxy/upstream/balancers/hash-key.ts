/**
 * `hash_on` and `key` of an upstream, compiled to what chash hashes a request by.
 * A request without that value is hashed by its client's address, as APISIX documents.
 */
import type { Exchange } from '../../../plugin/exchange.ts';
import type { Upstream } from '../../../resources/upstream.ts';

type Read = (exchange: Exchange) => string | undefined;

/** `compileVariable`: name without `$` → its value in an exchange. */
export function compileHashKey(
  upstream: Upstream,
  compileVariable: (name: string) => Read,
): (exchange: Exchange) => string {
  const read = compileRead(upstream, compileVariable);
  return (exchange) => read(exchange) ?? exchange.remoteAddress;
}

function compileRead({ hash_on: hashOn = 'vars', key }: Upstream, compileVariable: (name: string) => Read): Read {
  if (hashOn === 'consumer') return (exchange) => exchange.consumer?.username;
  if (key === undefined || key === '') return () => undefined;
  switch (hashOn) {
    case 'vars':
      return compileVariable(key);
    case 'header':
      return (exchange) => exchange.headers.get(key);
    case 'cookie':
      return (exchange) => exchange.cookie(key);
    case 'vars_combinations':
      return compileTemplate(key, compileVariable);
  }
}

/** `$a-${b}`: a variable without value is empty; undefined when none of them has one. */
function compileTemplate(template: string, compileVariable: (name: string) => Read): Read {
  const parts: (string | Read)[] = [];
  let end = 0;
  for (const match of template.matchAll(/\$(?:\{(\w+)\}|(\w+))/g)) {
    if (match.index > end) parts.push(template.slice(end, match.index));
    parts.push(compileVariable(match[1] ?? match[2] ?? ''));
    end = match.index + match[0].length;
  }
  if (end < template.length) parts.push(template.slice(end));
  return (exchange) => {
    let text = '';
    let resolved = false;
    for (const part of parts) {
      if (typeof part === 'string') {
        text += part;
        continue;
      }
      const value = part(exchange);
      if (value === undefined) continue;
      text += value;
      resolved = true;
    }
    return resolved ? text : undefined;
  };
}
