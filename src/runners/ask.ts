/**
 * Asks a runner, when configuration is written, whether it takes it: a runner that knows its plugins refuses a name that it does
 * not know, or a value that it cannot read; one that skips them is found out by what it prints (skipping.ts), where the gateway
 * has started it. One that cannot be asked is taken at its word later: its requests are refused then.
 * Runs in the control plane.
 */
import type { Json, JsonObject } from '../resources/resource.ts';
import type { Logger } from '../observability/error-log.ts';
import { utf8Bytes } from '../plugin/runners/ext-plugin.ts';
import { RunnerError } from '../plugin/runners/runners.ts';
import type { RunnerSettings, RunnersSettings } from '../settings/settings.ts';
import { createConf, RunnerClient, type ClientLimits, type Conf } from './client.ts';
import { findRunner } from './find-runner.ts';
import { SkipWatch, unknownPlugin } from './skipping.ts';

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
  /** The runner of that name, started by the gateway, printed `line`. */
  printed(name: string, line: string): void;
  close(): void;
}

export function createRunnerQuestions(settings: RunnersSettings, log: Logger): RunnerQuestions {
  // Whoever writes waits, and other writes behind it.
  const limits = { ...settings, timeoutMs: Math.min(settings.timeoutMs, askLimitMs) };
  const runners = new Map(
    settings.runners.map((runner) => [runner.name, new AskedRunner(runner, limits, log)] as const),
  );
  for (const runner of runners.values()) void runner.checkSkipping();

  /** `asked`: what was taken already. */
  async function ask(
    plugin: string,
    { conf = [], runner }: RunnerConfig,
    asked: Set<string>,
  ): Promise<string | undefined> {
    const entries = conf.map(({ name, value }) => [utf8Bytes(name), utf8Bytes(value)] as const);
    const { name: runnerName } = findRunner(settings.runners, runner, entries);
    try {
      // One by one, to say which.
      for (const [index, entry] of entries.entries()) {
        const one = createConf([entry]);
        const question = `${runnerName} ${one.key}`;
        const name = conf[index]?.name ?? '';
        if (asked.has(question)) continue;
        if ((await runners.get(runnerName)?.takes(one, name)) === false)
          return `failed to check the configuration of plugin ${plugin} err: property "conf" validation failed: item ${String(index + 1)}: the runner ${runnerName} refused it: it does not know the plugin ${name}, or cannot read its value`;
        asked.add(question);
      }
    } catch (error) {
      log.warn('a runner could not be asked about configuration that names it', {
        runner: runnerName,
        error: String(error),
      });
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
      runners.get(name)?.moved(path);
    },
    printed(name, line) {
      runners.get(name)?.watch.onLine(line);
    },
    close() {
      for (const runner of runners.values()) runner.close();
    },
  };
}

class AskedRunner {
  readonly watch = new SkipWatch();
  readonly #settings: RunnerSettings;
  readonly #client: RunnerClient;
  readonly #log: Logger;
  /** Keys of what the present process skips: asked again, it may answer from its memory and print nothing. */
  readonly #skipped = new Set<string>();

  constructor(settings: RunnerSettings, limits: ClientLimits, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#client = new RunnerClient(settings.name, settings.socket, limits);
  }

  /** Rejects where it cannot be asked. */
  async takes(conf: Conf, plugin: string): Promise<boolean> {
    if (this.#skipped.has(conf.key)) return false;
    try {
      // Not the key that workers use: what they have prepared would be answered from memory.
      const question = { entries: conf.entries, key: `asked ${conf.key}` };
      const skips = await this.watch.during(plugin, () => this.#client.prepare(question));
      if (skips) this.#skipped.add(conf.key);
      return !skips;
    } catch (error) {
      if (error instanceof RunnerError && error.failure === 'runner_refused') return false;
      throw error;
    }
  }

  /** Says so where it takes a plugin that there is not, and no list of its plugins makes up for that. */
  async checkSkipping(): Promise<void> {
    const { name, plugins } = this.#settings;
    if (plugins !== undefined) return;
    try {
      await this.#client.prepare(createConf([[unknownPlugin, '']]));
    } catch {
      // It refuses, as it should, or is not there (yet).
      return;
    }
    this.#log.warn('the runner skips plugins that it does not know: list those that it has (ext-plugin.plugins)', {
      runner: name,
    });
  }

  moved(path: string | undefined): void {
    this.#skipped.clear();
    void this.#client.setPath(path);
    if (path !== undefined) void this.checkSkipping();
  }

  close(): void {
    this.#client.close();
  }
}

function isDisabled(config: Json): boolean {
  return ((config as JsonObject)['_meta'] as JsonObject | undefined)?.['disable'] === true;
}
