/** A name or a simple JSONPath (RFC 9535: names, `['names']` and one `..` before a name) → what stands there, first match. */
import { ConfigError } from '../../errors/gateway-error.ts';

export type FieldPath = (user: object) => unknown;

interface Step {
  readonly name: string;
  /** `..`: at any depth. */
  readonly deep: boolean;
}

const step = /(\.\.?)([^.[\]'"\s*?@()]+)|\['([^']+)'\]/y;
/** Deeper than this a token's claims are not searched. */
const maxDepth = 32;

/** Throws ConfigError for a path with anything else (indexes, filters, wildcards). */
export function compileFieldPath(text: string): FieldPath {
  if (!text.startsWith('$')) return (user) => own(user, text);
  const steps: Step[] = [];
  for (let at = 1; at < text.length; at = step.lastIndex) {
    step.lastIndex = at;
    const match = step.exec(text);
    if (match === null) throw new ConfigError(`external_user_label_field: "${text}" is a path of another kind`);
    steps.push({ name: match[2] ?? match[3] ?? '', deep: match[1] === '..' });
  }
  if (steps.length === 0) throw new ConfigError(`external_user_label_field: "${text}" names no field`);
  return (user) =>
    steps.reduce<unknown>((value, { name, deep }) => (deep ? search(value, name, 0) : own(value, name)), user);
}

function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

function search(value: unknown, name: string, depth: number): unknown {
  const found = own(value, name);
  if (found !== undefined || typeof value !== 'object' || value === null || depth === maxDepth) return found;
  for (const inner of Object.values(value)) {
    const deeper = search(inner, name, depth + 1);
    if (deeper !== undefined) return deeper;
  }
  return undefined;
}
