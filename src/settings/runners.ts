/** `ext-plugin` of config.yaml: APISIX's one runner, and ours by name. Parses, and puts both forms together. */
import { below, isMapping, text, texts, type Kind, type KindContext } from './kinds.ts';
import { nearestWord } from './suggest.ts';
import type { RunnerSettings } from './settings.ts';

/** The runner that `ext-plugin.cmd` or `ext-plugin.path_for_test` gives. */
export const defaultRunner = 'default';

const fields = ['cmd', 'path_for_test', 'plugins'];
/** It stands in the name of a socket and in log lines. */
const runnerName = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;

/** A program and its arguments. */
export const command: Kind<readonly string[]> = {
  name: 'list of texts',
  parse(value, context) {
    const words = texts.parse(value, context);
    return words.length === 0 || words[0] === '' ? context.refuse('expected a program and its arguments') : words;
  },
};

/** Path of a unix socket; longer ones do not fit its address (unix(7): sun_path). */
export const socketPath: Kind<string> = {
  name: 'file',
  parse(value, context) {
    const path = text.parse(value, context).replace(/^unix:/, '');
    if (path === '') return context.refuse('expected the path of a unix socket');
    return Buffer.byteLength(path) > maxSocketPathBytes
      ? context.refuse(`the path of a unix socket has ${String(maxSocketPathBytes)} bytes at most`)
      : path;
  },
};

/** macOS has 104 with the NUL, Linux 108. */
export const maxSocketPathBytes = 103;

/** Name → how it is started or reached. */
export const runnersByName: Kind<readonly RunnerSettings[]> = {
  name: 'mapping',
  parse(value, context) {
    if (!isMapping(value)) return context.refuse('expected a mapping of names');
    return Object.entries(value).map(([name, runner]) => parseRunner(name, runner, below(context, name)));
  },
};

function parseRunner(name: string, value: unknown, context: KindContext): RunnerSettings {
  if (!runnerName.test(name))
    return context.refuse('a name holds letters, digits, _ and -, 32 at most, and starts with a letter or digit');
  if (name === defaultRunner) return context.refuse('that is the runner of ext-plugin.cmd: give this one another name');
  if (!isMapping(value)) return context.refuse('expected a mapping with cmd');
  for (const field of Object.keys(value)) {
    if (fields.includes(field)) continue;
    const near = nearestWord(field, fields);
    context.refuse(`unknown setting${near === undefined ? '' : `; did you mean ${near}?`}`, field);
  }
  const read = <T>(field: string, kind: Kind<T>): T | undefined =>
    value[field] === undefined || value[field] === null ? undefined : kind.parse(value[field], below(context, field));
  const runner = {
    name,
    command: read('cmd', command),
    socket: read('path_for_test', socketPath),
    plugins: read('plugins', texts),
  };
  if (runner.command === undefined && runner.socket === undefined)
    return context.refuse('expected cmd or path_for_test');
  return runner.command !== undefined && runner.socket !== undefined ? context.refuse(bothGiven) : runner;
}

/** APISIX starts the one and calls the other. */
export const bothGiven = 'cmd starts a runner, path_for_test uses one that runs already: give one of them';
