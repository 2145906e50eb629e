/** One process of the runner: loads what the supervisor found good, serves the connections that it hands over. */
import { Socket } from 'node:net';
import { loadBundle } from '../../src/plugin-files/load-bundle.ts';
import type { PluginBundle } from '../../src/plugin-files/bundle.ts';
import { readDefinition } from '../../src/plugin-files/definition.ts';
import type { AnyPlugin } from '../../src/plugin/plugin.ts';
import { Configurations } from './configurations.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { HangWatch } from './hang-watch.ts';
import * as log from './log.ts';
import type { Found, ToProcess, ToSupervisor } from './said.ts';

/** Calls that run have this long to end after SIGTERM; APISIX sends SIGKILL after a second. */
const drainMs = 800;
const supervisorTimeoutMs = 5000;

/** Until the supervisor says stop, or is gone. */
export function serveConnections(timeoutMs: number): void {
  const say = (said: ToSupervisor): void => void process.send?.(said);
  const questions = new Map<number, (found: Found | undefined) => void>();
  let asked = 0;
  const ask = (said: (question: number) => ToSupervisor): Promise<Found | undefined> =>
    new Promise((resolve, reject) => {
      const question = ++asked;
      const timer = setTimeout(() => {
        questions.delete(question);
        reject(new Error('the supervisor does not answer'));
      }, supervisorTimeoutMs);
      questions.set(question, (found) => {
        clearTimeout(timer);
        resolve(found);
      });
      say(said(question));
    });
  const configurations = new Configurations({
    register: async (message) => {
      const found = await ask((question) => ({ type: 'register', question, message }));
      if (found === undefined) throw new Error('the supervisor has no token');
      return found;
    },
    find: (token) => ask((question) => ({ type: 'find', question, token })),
  });
  const connections = new Set<Connection>();
  const options: ConnectionOptions = {
    configurations,
    timeoutMs,
    hangWatch: new HangWatch(timeoutMs),
    onClose: (connection) => connections.delete(connection),
  };
  const loaded = new Map<string, AnyPlugin>();
  /** One load after the other: the newest wins. */
  let loading: Promise<void> = Promise.resolve();

  process.on('message', (said: ToProcess, handle: unknown) => {
    if (said.type === 'connection') {
      say({ type: 'taken', number: said.number });
      // The gateway may have gone away meanwhile.
      if (handle instanceof Socket) connections.add(new Connection(handle, options));
    } else if (said.type === 'token') {
      questions.get(said.question)?.(said.found);
      questions.delete(said.question);
    } else if (said.type === 'plugins') {
      loading = loading.then(async () => {
        configurations.setPlugins(await load(said.bundles, loaded));
        say({ type: 'loaded' });
      });
    } else void drain(connections);
  });
  process.on('disconnect', () => process.exit(1));
  process.on('SIGTERM', () => void drain(connections));
  process.on('SIGINT', () => undefined);
  // What a plugin throws outside of every phase harms nobody's call.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => log.failure('a plugin, outside of every call', error));
}

/** By name. A bundle that did not change keeps its plugin. */
async function load(
  bundles: readonly PluginBundle[],
  loaded: Map<string, AnyPlugin>,
): Promise<ReadonlyMap<string, AnyPlugin>> {
  const plugins = new Map<string, AnyPlugin>();
  const keys = new Set<string>();
  for (const bundle of bundles) {
    const key = `${bundle.file} ${bundle.hash}`;
    keys.add(key);
    try {
      const plugin = loaded.get(key) ?? readDefinition((await loadBundle(bundle))['default']);
      loaded.set(key, plugin);
      plugins.set(plugin.name, plugin);
    } catch (error) {
      log.failure(`${bundle.file} does not load`, error);
    }
  }
  for (const key of loaded.keys()) if (!keys.has(key)) loaded.delete(key);
  return plugins;
}

async function drain(connections: ReadonlySet<Connection>): Promise<void> {
  const until = Date.now() + drainMs;
  while (Date.now() < until && [...connections].some((connection) => connection.busy))
    await new Promise((resolve) => setTimeout(resolve, 10));
  // What was written goes out with the next turn of the loop.
  setImmediate(() => process.exit(0));
}
