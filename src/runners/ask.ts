/**
 * Asks a runner, when configuration is written, whether it takes it: a runner that knows its plugins refuses a name that it does
 * not know, or a value that it cannot read. One that cannot be asked is taken at its word later: its requests are refused then.
 * Runs in the control plane.
 */
import type { Json, JsonObject } from '../resources/resource.ts';
import type { Logger } from '../observability/error-log.ts';
import { utf8Bytes } from '../plugin/runners/ext-plugin.ts';
import { RunnerError } from '../plugin/runners/runners.ts';
import type { RunnersSettings } from '../settings/settings.ts';
import { createConf, RunnerClient } from './client.ts';
import { findRunner } from './find-runner.ts';

const pluginNames = ['ext-plugin-pre-req', 'ext-plugin-post-req', 'ext-plugin-post-resp'];

const askLimitMs = 2000;

interface RunnerConfig {
  readonly conf?: readonly { readonly name: string; readonly value: string }[];
  readonly runner?: string;
}

export interface RunnerQuestions {
  /** `plugins` of a resource, valid already. Resolves to why it is refused, or undefined. */
  refusal(plugins: Json | undefined): Promise<string | undefined>;
  moved(name: string, path: string | undefined): void;
  close(): void;
}

export function createRunnerQuestions(settings: RunnersSettings, log: Logger): RunnerQuestions {
  // Whoever writes waits, and other writes behind it.
  const limits = { ...settings, timeoutMs: Math.min(settings.timeoutMs, askLimitMs) };
  const clients = new Map(
    settings.runners.map(({ name, socket }) => [name, new RunnerClient(name, socket, limits)] as const),
  );
  /** `asked`: what was taken already. */
  async function ask(
    plugin: string,
    { conf = [], runner }: RunnerConfig,
    asked: Set<string>,
  ): Promise<string | undefined> {
    const entries = conf.map(({ name, value }) => [utf8Bytes(name), utf8Bytes(value)] as const);
    const { name } = findRunner(settings.runners, runner, entries);
    const client = clients.get(name);
    let index = 0;
    try {
      // One by one, to say which.
      for (; index < entries.length; index++) {
        const one = createConf(entries.slice(index, index + 1));
        const question = `${name} ${one.key}`;
        if (asked.has(question)) continue;
        await client?.prepare(one);
        asked.add(question);
      }
    } catch (error) {
      if (error instanceof RunnerError && error.failure === 'runner_refused')
        return `failed to check the configuration of plugin ${plugin} err: property "conf" validation failed: item ${String(index + 1)}: the runner ${name} refused it: it does not know the plugin ${conf[index]?.name ?? ''}, or cannot read its value`;
      log.warn('a runner could not be asked about configuration that names it', { runner: name, error: String(error) });
    }
    return undefined;
  }
  return {
    async refusal(plugins) {
      if (typeof plugins !== 'object' || plugins === null || Array.isArray(plugins)) return undefined;
      const asked = new Set<string>();
      for (const plugin of pluginNames) {
        const config = plugins[plugin];
        if (config === undefined || isDisabled(config)) continue;
        const refused = await ask(plugin, config as RunnerConfig, asked);
        if (refused !== undefined) return refused;
      }
      return undefined;
    },
    moved(name, path) {
      void clients.get(name)?.setPath(path);
    },
    close() {
      for (const client of clients.values()) client.close();
    },
  };
}

function isDisabled(config: Json): boolean {
  return ((config as JsonObject)['_meta'] as JsonObject | undefined)?.['disable'] === true;
}
