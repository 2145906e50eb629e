/**
 * Text of a JavaScript function in a configuration → the function. Once a change; it shares everything with the gateway's process, which
 * is why a setting has to allow it. The text is an expression, `(conf, exchange) => { … }`, or statements that return one.
 */
import { compileFunction, createContext, Script } from 'node:vm';
import { ConfigError } from '../../errors/gateway-error.ts';
import type { PluginDeps } from '../plugin.ts';

export type SourceFunction = (...values: unknown[]) => unknown;

/** Of the statements around a function. */
const limitMs = 1000;
const invoke = new Script('run()');

/** `place`: in messages and stack traces (`functions[0]`). Throws ConfigError with the line. */
export function compileSource(source: string, place: string, deps: PluginDeps): SourceFunction {
  const make = parse(source, place);
  let made: unknown;
  try {
    // Statements that never end must not take the control plane, or a worker, with them.
    made = invoke.runInContext(createContext({ run: () => make(deps) }), { timeout: limitMs });
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      throw new ConfigError(`${place}: its statements did not end within ${limitMs} ms`, { cause: error });
    throw new ConfigError(`${place}${lineOf(error, place, source)}: ${String(error)}`, { cause: error });
  }
  if (typeof made === 'function') return made as SourceFunction;
  throw looksLikeLua(source)
    ? lua(place)
    : new ConfigError(`${place}: is no function; expected (conf, exchange) => { … }, or statements that return it`);
}

function parse(source: string, place: string): (deps: PluginDeps) => unknown {
  const text = source.replace(/[\s;]+$/, '');
  const before = '"use strict";return (';
  try {
    return compile(`${before}${text}\n)`, place, -before.length);
  } catch (asExpression) {
    try {
      const strict = '"use strict";';
      return compile(`${strict}${source}\n`, place, -strict.length);
    } catch (asStatements) {
      if (looksLikeLua(source)) throw lua(place);
      const expression = /^(?:\s|\/\/.*\n|\/\*[^]*?\*\/)*(?:async\b|function\b|\(|[\w$]+\s*=>)/.test(source);
      const error = expression ? asExpression : asStatements;
      const message = error instanceof Error ? error.message : String(error);
      throw new ConfigError(`${place}${lineOf(error, place, source)}: ${message}`, { cause: error });
    }
  }
}

function compile(code: string, filename: string, columnOffset: number): (deps: PluginDeps) => unknown {
  return compileFunction(code, ['deps'], {
    filename,
    columnOffset,
  }) as (deps: PluginDeps) => unknown;
}

/** `, line 3`, from where Node.js says it: the first line of the stack, or its innermost frame there. */
function lineOf(error: unknown, place: string, source: string): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const at = stack.indexOf(`${place}:`);
  const line = at < 0 ? undefined : /^\d+/.exec(stack.slice(at + place.length + 1))?.[0];
  // An end that is missing is missed after the last line.
  return line === undefined ? '' : `, line ${Math.min(Number(line), source.split('\n').length)}`;
}

/** Asked only where it is no JavaScript that could be used. */
function looksLikeLua(source: string): boolean {
  return /\bend\s*[;)]*\s*$|^\s*--|\blocal\s+[A-Za-z_]|\bngx\.|\bthen\b\s*$/m.test(source);
}

function lua(place: string): ConfigError {
  return new ConfigError(
    `${place}: is Lua, which Apache APISIX runs; Gatewright runs JavaScript: (conf, exchange) => { … }`,
  );
}
