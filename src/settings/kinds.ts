/**
 * The kinds of value a setting can have: each parses what YAML gave and says what it expects.
 * Pure: a kind refuses through its context, which knows the key, the file and the line.
 */
import { compileAddressMatcher } from '../address/cidr.ts';
import type { Path } from './document.ts';

export interface KindContext {
  /** Never returns. `at`: steps below the key. */
  refuse(reason: string, ...at: Path): never;
  warn(reason: string, ...at: Path): void;
}

export interface Kind<T> {
  /** For the documentation: `boolean`, `time`, … */
  readonly name: string;
  /** An explicit null is a value of its own; for every other kind it means the default. */
  readonly acceptsNull?: true;
  parse(value: unknown, context: KindContext): T;
}

const expected = (what: string, value: unknown): string => `expected ${what}, got ${describe(value)}`;

/** What the value is, never what it holds: it may be a secret. Numbers and booleans are shown. */
function describe(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'text';
}

export const flag: Kind<boolean> = {
  name: 'boolean',
  parse(value, context) {
    if (typeof value === 'boolean') return value;
    return context.refuse(expected('true or false', value));
  },
};

/** nginx's switches: on/off, as text or boolean. */
export const onOff: Kind<boolean> = {
  name: 'on or off',
  parse(value, context) {
    if (value === true || value === 'on') return true;
    if (value === false || value === 'off') return false;
    return context.refuse(expected('on or off', value));
  },
};

export const text: Kind<string> = {
  name: 'text',
  parse(value, context) {
    if (typeof value === 'string') return value;
    if (typeof value === 'number' && (!Number.isInteger(value) || Number.isSafeInteger(value))) return String(value);
    if (typeof value === 'number') return context.refuse('too large for a number: put it in quotes');
    return context.refuse(expected('text', value));
  },
};

export const texts: Kind<readonly string[]> = {
  name: 'list of texts',
  parse(value, context) {
    if (!Array.isArray(value)) return context.refuse(expected('a list of texts', value));
    return value.map((item: unknown, index) => text.parse(item, below(context, index)));
  },
};

export function oneOf<T extends string>(...choices: readonly T[]): Kind<T> {
  return {
    name: choices.join(', '),
    parse(value, context) {
      const found = choices.find((choice) => choice === value);
      return found ?? context.refuse(`expected one of ${choices.join(', ')}`);
    },
  };
}

export function integer(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): Kind<number> {
  return {
    name: 'integer',
    parse(value, context) {
      const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
      if (typeof number === 'number' && Number.isInteger(number) && number >= minimum && number <= maximum)
        return number;
      const range =
        maximum === Number.MAX_SAFE_INTEGER ? `from ${String(minimum)}` : `${String(minimum)}..${String(maximum)}`;
      return context.refuse(expected(`an integer ${range}`, value));
    },
  };
}

/** 0 asks the system for a free port. */
export const port = integer(0, 65535);

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** nginx's times: `60`, `60s`, `1m`, `1h30m`, `500ms`; a bare number is seconds. → milliseconds. */
export const time: Kind<number> = {
  name: 'time',
  parse(value, context) {
    if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return Math.round(value * 1000);
    if (typeof value === 'string' && /^\d+$/.test(value)) return Number(value) * 1000;
    if (typeof value === 'string' && /^(?:\d+(?:ms|[smhdw])\s*)+$/.test(value)) {
      let total = 0;
      for (const [, count, unit] of value.matchAll(/(\d+)(ms|[smhdw])/g))
        total += Number(count) * (unitMs[unit ?? ''] ?? 0);
      return total;
    }
    return context.refuse('expected a time such as 60s, 1m or 500ms');
  },
};

const unitBytes: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** nginx's sizes: `16m`, `8k`, `1g`, `0`; a bare number is bytes. → bytes. */
export const size: Kind<number> = {
  name: 'size',
  parse(value, context) {
    const match = /^(\d{1,12})([kmg]?)$/i.exec(
      typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '',
    );
    if (match === null) return context.refuse('expected a size such as 16m, 8k or 0');
    return Number(match[1]) * (unitBytes[(match[2] ?? '').toLowerCase()] ?? 1);
  },
};

/** A size that is kept in memory. `most`: as it is written. */
export const sizeUpTo = (most: string): Kind<number> => ({
  name: size.name,
  parse(value, context) {
    const bytes = size.parse(value, context);
    return bytes <= size.parse(most, context) ? bytes : context.refuse(`expected a size of ${most} at most`);
  },
});

/** Addresses and CIDRs; nginx's `unix:` (a peer on a Unix socket) is passed over, for we listen on none. */
export const networks: Kind<readonly string[]> = {
  name: 'list of addresses and CIDRs',
  parse(value, context) {
    if (!Array.isArray(value)) return context.refuse(expected('a list of addresses and CIDRs', value));
    const list: string[] = [];
    for (const [index, item] of value.entries()) {
      const network = text.parse(item, below(context, index));
      if (network === 'unix:') continue;
      try {
        compileAddressMatcher([network]);
      } catch {
        context.refuse(`${JSON.stringify(network)} is neither an address nor a CIDR`, index);
      }
      list.push(network);
    }
    return list;
  },
};

/** The kind, or undefined for an explicit null (which in APISIX removes the default). */
export function nullable<T>(kind: Kind<T>): Kind<T | undefined> {
  return {
    name: kind.name,
    acceptsNull: true,
    parse: (value, context) => (value === null ? undefined : kind.parse(value, context)),
  };
}

export type Mapping = Readonly<Record<string, unknown>>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Name → mapping, as given: `plugin_attr`. An entry that is null counts as empty. */
export const attributes: Kind<Readonly<Record<string, Mapping>>> = {
  name: 'mapping',
  parse(value, context) {
    if (!isMapping(value)) return context.refuse(expected('a mapping', value));
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => {
        if (item === null) return [name, {}];
        return [name, isMapping(item) ? item : context.refuse(expected('a mapping', item), name)];
      }),
    );
  },
};

/** The same context, `at` steps further down. */
export function below(context: KindContext, ...at: Path): KindContext {
  return {
    refuse: (reason, ...further) => context.refuse(reason, ...at, ...further),
    warn: (reason, ...further) => {
      context.warn(reason, ...at, ...further);
    },
  };
}
