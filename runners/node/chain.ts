/**
 * The plugins of one configuration, compiled, and what happens to a call: rewrite of each, then access of each; or headerFilter, then
 * bodyFilter. Synchronous until a handler returns a promise. The first plugin that replies ends the request.
 */
import { ConfigError } from '../../src/errors/gateway-error.ts';
import type { Exchange } from '../../src/plugin/exchange.ts';
import type { AnyPlugin, PluginDeps, Reply } from '../../src/plugin/plugin.ts';
import { compileSchema } from '../../src/resources/validator.ts';
import type { RequestExchange, ResponseExchange } from './exchange.ts';
import * as log from './log.ts';

interface Link {
  readonly plugin: AnyPlugin;
  readonly state: unknown;
}

/** Who runs now, for the log and the watch over hanging plugins. */
export interface Running {
  plugin: string;
}

/** Parts of a plugin that the protocol has no place for. */
const gatewayParts = [
  ...['type', 'credential', 'consumerSchema', 'metadataSchema', 'apis', 'nested', 'beforeProxy', 'log'],
] as readonly (keyof AnyPlugin)[];
const phases = ['rewrite', 'access', 'headerFilter', 'bodyFilter'] as const;

/** Why a runner cannot run this plugin; undefined: it can. Never a part of it left out in silence. */
function unfit(plugin: AnyPlugin): string | undefined {
  const found = gatewayParts.filter((part) => plugin[part] !== undefined);
  if (found.length > 0) return `${found.join(', ')}: only the gateway itself can run these`;
  if (!phases.some((phase) => plugin[phase] !== undefined))
    return 'it has none of rewrite, access, headerFilter, bodyFilter';
  return undefined;
}

export class Chain {
  readonly #links: readonly Link[];

  private constructor(links: readonly Link[]) {
    this.#links = links;
  }

  /** Throws ConfigError, which names the plugin. */
  static compile(
    conf: readonly (readonly [name: string, value: string])[],
    plugins: ReadonlyMap<string, AnyPlugin>,
  ): Chain {
    const links: Link[] = [];
    try {
      for (const [name, text] of conf) {
        const plugin = plugins.get(name);
        if (plugin === undefined) throw new ConfigError(`plugin ${name} is not known`);
        const why = unfit(plugin);
        if (why !== undefined) throw new ConfigError(`plugin ${name}: ${why}`);
        links.push({ plugin, state: compileConf(plugin, text) });
      }
    } catch (error) {
      disposeAll(links);
      throw error;
    }
    return new Chain(links);
  }

  dispose(): void {
    disposeAll(this.#links);
  }

  /** The reply that ends the request, or undefined. Throws what a plugin throws. */
  request(exchange: RequestExchange, running: Running): Reply | undefined | Promise<Reply | undefined> {
    return this.#request(exchange, running, 0);
  }

  /** Step 2n of plugin n's rewrite, then the same for access. */
  #request(exchange: RequestExchange, running: Running, from: number): Reply | undefined | Promise<Reply | undefined> {
    const count = this.#links.length;
    for (let step = from; step < 2 * count; step++) {
      const link = this.#links[step % count];
      if (link === undefined) continue;
      const { plugin, state } = link;
      running.plugin = plugin.name;
      if (step < count && plugin.rewrite === undefined && plugin.access === undefined)
        throw new Error('it has no phase for requests');
      const shared = exchange as unknown as Exchange;
      const result: unknown = step < count ? plugin.rewrite?.(state, shared) : plugin.access?.(state, shared);
      if (result instanceof Promise)
        return result.then((reply?: Reply) => reply ?? this.#request(exchange, running, step + 1));
      if (result !== undefined) return result as Reply;
    }
    return undefined;
  }

  async response(exchange: ResponseExchange, running: Running): Promise<void> {
    const { response } = exchange;
    const shared = exchange as unknown as Exchange;
    for (const { plugin, state } of this.#links) {
      running.plugin = plugin.name;
      if (plugin.headerFilter === undefined && plugin.bodyFilter === undefined)
        throw new Error('it has no phase for responses');
      // Synchronous in the gateway; a runner waits for it, as it may ask for variables.
      const filtered: unknown = plugin.headerFilter?.(state, shared);
      if (filtered instanceof Promise) await filtered;
      if (plugin.bodyFilter === undefined || plugin.filtersBody?.(state) === false) continue;
      const body = response.replacement ?? (await exchange.body());
      response.replaceBody(plugin.bodyFilter(state, shared, body, true));
    }
  }
}

function compileConf(plugin: AnyPlugin, text: string): unknown {
  let config: unknown;
  try {
    config = text === '' ? {} : JSON.parse(text);
  } catch {
    throw new ConfigError(`plugin ${plugin.name}: the configuration is not JSON`);
  }
  const problem = compileSchema(plugin.schema)(config);
  if (problem !== undefined) throw new ConfigError(`plugin ${plugin.name}: ${problem}`);
  try {
    return plugin.compile(config, deps(plugin.name));
  } catch (error) {
    if (!(error instanceof ConfigError)) log.failure(`plugin ${plugin.name}: compile`, error);
    throw new ConfigError(`plugin ${plugin.name}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function disposeAll(links: readonly Link[]): void {
  for (const { plugin, state } of links) {
    try {
      plugin.dispose?.(state);
    } catch (error) {
      log.failure(`plugin ${plugin.name}: dispose`, error);
    }
  }
}

/** What a runner can give; the rest of PluginDeps throws when it is asked for. */
function deps(plugin: string): PluginDeps<never> {
  const given: Partial<PluginDeps> = {
    scope: 'runner',
    attributes: {},
    metadata: () => undefined,
    log: {
      error: (message, fields) => log.line('error', `plugin ${plugin}: ${message}${fieldsText(fields)}`),
      warn: (message, fields) => log.line('warn', `plugin ${plugin}: ${message}${fieldsText(fields)}`),
      info: (message, fields) => log.line('info', `plugin ${plugin}: ${message}${fieldsText(fields)}`),
    },
  };
  return new Proxy(given as PluginDeps<never>, {
    get(target, name): unknown {
      if (name in target) return Reflect.get(target, name);
      throw new Error(`deps.${String(name)} is not to be had in a runner`);
    },
  });
}

function fieldsText(fields: Record<string, unknown> | undefined): string {
  return fields === undefined ? '' : ` ${JSON.stringify(fields)}`;
}
