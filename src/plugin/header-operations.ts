/**
 * Header changes as plugins configure them: `add`, `set` and `remove`, or the older flat form that sets. Names and
 * literal values are checked when they are written; what variables bring in is made safe for a field value.
 */
import { ConfigError } from '../errors/gateway-error.ts';
import { compileTextTemplate, type Template } from './substitution.ts';

type Values = Readonly<Record<string, string | number>>;

export interface HeaderOperationsConfig {
  /** Fields to add beside those that are there: by name, or as `Name: value`. */
  readonly add?: Values | readonly string[];
  readonly set?: Values;
  readonly remove?: readonly string[];
}

export interface HeaderOperations {
  readonly add: readonly (readonly [string, Template])[];
  readonly set: readonly (readonly [string, Template])[];
  readonly remove: readonly string[];
}

/** JSON Schema of a flat set of header values. */
export const headerValuesSchema = {
  type: 'object',
  minProperties: 1,
  patternProperties: { '^[^:]+$': { oneOf: [{ type: 'string' }, { type: 'number' }] } },
};

/** RFC 9110 §5.1. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// eslint-disable-next-line no-control-regex -- RFC 9110 §5.5: all controls but HTAB
const control = /[\x00-\x08\x0a-\x1f\x7f]/g;

/** Throws ConfigError in APISIX's words. In the flat form an empty value removes the field. */
export function compileHeaderOperations(config: HeaderOperationsConfig | Values): HeaderOperations {
  if (!isOperations(config)) {
    const fields = Object.entries(config);
    return {
      add: [],
      set: fields.filter(([, value]) => value !== '').map(compileField),
      remove: fields.filter(([, value]) => value === '').map(([name]) => checkName(name)),
    };
  }
  const { add = {}, set = {}, remove = [] } = config;
  return {
    add: (isLines(add) ? add.map(splitLine) : Object.entries(add)).map(compileField),
    set: Object.entries(set).map(compileField),
    remove: remove.map(checkName),
  };
}

/**
 * A header that stands whole in a configuration, at `field` → its value, ready to be set. Throws ConfigError that does not repeat the
 * value: it may be a secret.
 */
export function headerLiteral(field: string, name: string, value: string | number): string {
  const text = String(value);
  if (!token.test(name)) throw new ConfigError(`${field}: ${JSON.stringify(name)} is no header name`);
  if (text.search(control) !== -1) throw new ConfigError(`${field}: the value of ${name} holds a control character`);
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Text → a field value (Latin-1 bytes, RFC 9110 §5.5): controls are percent-encoded, other text goes as UTF-8. */
export function fieldText(text: string): string {
  if (/^[\t -~]*$/.test(text)) return text;
  const safe = text.replace(control, (character) => encodeURIComponent(character));
  // Up to U+00FF it is bytes already: a header that came in.
  return /[^\0-\xff]/.test(safe) ? Buffer.from(safe, 'utf8').toString('latin1') : safe;
}

function isOperations(config: HeaderOperationsConfig | Values): config is HeaderOperationsConfig {
  return typeof config.add === 'object' || typeof config.set === 'object' || typeof config.remove === 'object';
}

function isLines(add: Values | readonly string[]): add is readonly string[] {
  return Array.isArray(add);
}

function splitLine(line: string): readonly [string, string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
}

function compileField([name, value]: readonly [string, string | number]): readonly [string, Template] {
  const text = String(value);
  if (text.search(control) !== -1) throw new ConfigError('invalid value character in header');
  return [checkName(name), compileTextTemplate(Buffer.from(text, 'utf8').toString('latin1'))];
}

function checkName(name: string): string {
  if (name === '') throw new ConfigError('invalid field length in header');
  if (!token.test(name)) throw new ConfigError('invalid field character in header');
  return name;
}
