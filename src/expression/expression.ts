/**
 * The expression language of APISIX's `vars` (lua-resty-expr): `[["arg_x","==","1"], ["OR", […], […]]]`.
 * Compiled to closures when configuration changes; a request runs the closures alone. Used to match routes and by
 * plugins that decide per request.
 *
 *   rules = [rule, …]                                   all must hold
 *   rule  = [name, operator, value]
 *         | [name, "!", operator, value]                the reverse
 *         | ["AND" | "OR" | "!AND" | "!OR", rule, rule, …]
 *         | [rule, …]                                   all must hold
 *
 * A variable without a value is nil: it equals only `null`, differs from everything else, and fails every other
 * operator (so the reversed operator holds).
 */
import { compileAddressMatcher } from '../address/cidr.ts';
import { ConfigError } from '../errors/gateway-error.ts';
import { compileRegex } from './regex.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A list only for variables that are one (`graphql_root_fields`); `has` looks into it. */
export type VariableValue = string | readonly string[] | undefined;
type ValueTest = (value: VariableValue) => boolean;
type Condition<T> = (subject: T) => boolean;
type Variable<T> = (name: string) => (subject: T) => VariableValue;

/** What Lua's tonumber reads: decimal and 0x, blanks around; not '' nor 'Infinity', which JavaScript's Number takes. */
const numeral = /^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|0x[\da-f]+)\s*$/i;

function toNumber(value: VariableValue): number {
  return typeof value === 'string' && numeral.test(value) ? Number(value) : NaN;
}

function numberOperand(operand: Json): number {
  const number = typeof operand === 'number' ? operand : typeof operand === 'string' ? toNumber(operand) : NaN;
  if (Number.isNaN(number)) throw new ConfigError('the value is not a number');
  return number;
}

function stringOperand(operand: Json): string {
  if (typeof operand !== 'string') throw new ConfigError('the value is not a string');
  return operand;
}

function compileEquals(operand: Json): ValueTest {
  if (operand === null) return (value) => value === undefined;
  if (typeof operand === 'string') return (value) => value === operand;
  if (typeof operand === 'number') return (value) => toNumber(value) === operand;
  // A variable is text: comparing it with true or a list could never hold.
  throw new ConfigError('the value is neither a string nor a number nor null');
}

/** APISIX: a number in the list compares as a number, as `==` does; lua-resty-expr's never equals a variable. */
function compileIn(operand: Json): ValueTest {
  if (!Array.isArray(operand)) throw new ConfigError('the value is not an array');
  const strings = new Set<string>();
  const numbers = new Set<number>();
  for (const item of operand) {
    if (typeof item === 'string') strings.add(item);
    else if (typeof item === 'number') numbers.add(item);
    else throw new ConfigError('the array holds something else than strings and numbers');
  }
  if (numbers.size === 0) return (value) => typeof value === 'string' && strings.has(value);
  return (value) => typeof value === 'string' && (strings.has(value) || numbers.has(toNumber(value)));
}

function compileHas(operand: Json): ValueTest {
  const element = typeof operand === 'number' ? String(operand) : stringOperand(operand);
  return (value) => Array.isArray(value) && value.includes(element);
}

function compileMatches(operand: Json, flags: '' | 'i'): ValueTest {
  const expression = compileRegex(stringOperand(operand), flags);
  return (value) => typeof value === 'string' && expression.test(value);
}

function compileIpMatch(operand: Json): ValueTest {
  const matches = compileAddressMatcher((Array.isArray(operand) ? operand : [operand]).map(stringOperand));
  return (value) => typeof value === 'string' && matches(value);
}

/** Throws ConfigError with the reason alone; NaN, for what is no number, fails each comparison. */
const operators = new Map<string, (operand: Json) => ValueTest>([
  ['==', compileEquals],
  [
    '~=',
    (operand) => {
      const equals = compileEquals(operand);
      return (value) => !equals(value);
    },
  ],
  [
    '>',
    (operand) => {
      const limit = numberOperand(operand);
      return (value) => toNumber(value) > limit;
    },
  ],
  [
    '>=',
    (operand) => {
      const limit = numberOperand(operand);
      return (value) => toNumber(value) >= limit;
    },
  ],
  [
    '<',
    (operand) => {
      const limit = numberOperand(operand);
      return (value) => toNumber(value) < limit;
    },
  ],
  [
    '<=',
    (operand) => {
      const limit = numberOperand(operand);
      return (value) => toNumber(value) <= limit;
    },
  ],
  ['~~', (operand) => compileMatches(operand, '')],
  ['~*', (operand) => compileMatches(operand, 'i')],
  ['in', compileIn],
  ['has', compileHas],
  ['ipmatch', compileIpMatch],
]);

const logicOperators = new Set(['AND', 'OR', '!AND', '!OR']);

function all<T>(conditions: Condition<T>[]): Condition<T> {
  const [first, second] = conditions;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  if (conditions.length === 2) return (subject) => first(subject) && second(subject);
  return (subject) => {
    for (const condition of conditions) if (!condition(subject)) return false;
    return true;
  };
}

function any<T>(conditions: Condition<T>[]): Condition<T> {
  return (subject) => {
    for (const condition of conditions) if (condition(subject)) return true;
    return false;
  };
}

function compileLogic<T>(operator: string, conditions: Condition<T>[]): Condition<T> {
  const condition = operator.endsWith('OR') ? any(conditions) : all(conditions);
  return operator.startsWith('!') ? (subject) => !condition(subject) : condition;
}

function compileComparison<T>(rule: Json[], variable: Variable<T>): Condition<T> {
  const [name, ...rest] = rule;
  const reverse = rest.length === 3;
  if (reverse && rest.shift() !== '!') throw new ConfigError("bad 'not' expression");
  if (typeof name !== 'string' || rest.length === 0 || rest.length > 2) throw new ConfigError('invalid expression');
  const operator = typeof rest[0] === 'string' ? rest[0].toLowerCase() : rest[0];
  const compileOperator = typeof operator === 'string' ? operators.get(operator) : undefined;
  // The old short form: [name, value] is [name, "==", value].
  const short = rest.length === 1 && compileOperator === undefined;
  if (compileOperator === undefined && !short) {
    throw new ConfigError(`invalid operator '${typeof rest[0] === 'string' ? rest[0] : JSON.stringify(rest[0])}'`);
  }
  const operand = (short ? rest[0] : rest[1]) ?? null;
  const holds = (compileOperator ?? compileEquals)(operand);
  const read = variable(name);
  return reverse ? (subject) => !holds(read(subject)) : (subject) => holds(read(subject));
}

function compileRule<T>(rule: Json, variable: Variable<T>): Condition<T> {
  if (!Array.isArray(rule)) throw new ConfigError('rule should be wrapped inside brackets');
  const [first, ...rest] = rule;
  if (first === undefined) throw new ConfigError('rule too short');
  if (Array.isArray(first)) return all(rule.map((inner) => compileRule(inner, variable)));
  const operator = typeof first === 'string' ? first.toUpperCase() : '';
  if (!logicOperators.has(operator)) {
    try {
      return compileComparison(rule, variable);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError(`${error.message}, in ${JSON.stringify(rule)}`, { cause: error });
    }
  }
  if (rest.length < 2) throw new ConfigError('rule too short');
  return compileLogic(
    operator,
    rest.map((inner) => compileRule(inner, variable)),
  );
}

/**
 * Compiles `rules` once; `variable` is asked once for each name and returns the reader a request runs.
 * An empty list always holds. Throws ConfigError with the reason and the rule it is in; the wording of the reason is
 * lua-resty-expr's where it has one. What it refuses and lua-resty-expr does not: operands with which a rule could never
 * hold, and regular expressions that JavaScript cannot express.
 */
export function compileExpression<T>(
  rules: readonly Json[],
  variable: (name: string) => (subject: T) => VariableValue,
): (subject: T) => boolean {
  const [first] = rules;
  if (first === undefined) return () => true;
  if (!Array.isArray(first) && !(typeof first === 'string' && logicOperators.has(first.toUpperCase()))) {
    throw new ConfigError('rule should be wrapped inside brackets');
  }
  return compileRule([...rules], variable);
}
