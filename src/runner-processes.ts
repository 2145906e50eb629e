/** The wiring of plugin runners in the control plane: what starts them, tells the workers, and asks them about configuration. */
import { listedEnvironment } from './functions/function-host.ts';
import type { Logger } from './observability/error-log.ts';
import type { TextEntry } from './plugin/runners/runners.ts';
import type { Json } from './resources/resource.ts';
import { findRunner } from './runners/find-runner.ts';
import type { Settings } from './settings/settings.ts';

export interface RunnerProcesses {
  /** Resolves when each accepts connections, or its time is up. Rejects where one cannot be started. */
  start(): Promise<void>;
  reload(): Promise<void>;
  /** A worker got no answer from it. */
  suspect(name: string): void;
  /** Why a runner refuses what a resource's `plugins` ask of it. */
  refusal(plugins: Json | undefined): Promise<string | undefined>;
  stop(): Promise<void>;
}

/** What any program may want to know, beside `nginx_config.envs`. */
const commonVariables = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'TMPDIR'];

/** undefined: the settings name no runner, and nothing of this is loaded. */
export async function openRunners(
  settings: Settings,
  log: Logger,
  onMove: (name: string, path: string | undefined) => Promise<void>,
): Promise<RunnerProcesses | undefined> {
  if (settings.runners.runners.length === 0 || settings.workers === 0) return undefined;
  const [{ RunnerSupervisor }, { openSocketDirectory }, { createRunnerQuestions }] = await Promise.all([
    import('./runners/supervisor.ts'),
    import('./runners/socket-directory.ts'),
    import('./runners/ask.ts'),
  ]);
  const sockets = settings.runners.runners.some(({ command }) => command !== undefined)
    ? openSocketDirectory(settings.dataDir)
    : undefined;
  const questions = createRunnerQuestions(settings.runners, log);
  const supervisor =
    sockets === undefined
      ? undefined
      : new RunnerSupervisor({
          settings: settings.runners,
          sockets,
          environment: listedEnvironment([...commonVariables, ...settings.envs], process.env),
          log,
          onLine: (name, line) => {
            questions.printed(name, line);
          },
          onMove: (name, path) => {
            questions.moved(name, path);
            return onMove(name, path);
          },
        });
  return {
    start: async () => supervisor?.start(),
    reload: async () => supervisor?.reload(),
    suspect: (name) => supervisor?.suspect(name),
    refusal: (plugins) => questions.refusal(plugins),
    async stop() {
      questions.close();
      await supervisor?.stop();
      sockets?.dispose();
    },
  };
}

/** `deps.runners` while configuration is only checked: knows the settings' runners, and calls none. undefined: they are elsewhere. */
export function settingsRunners(settings: Settings): object | undefined {
  if (settings.role === 'control_plane') return undefined;
  return {
    session: (runner: string | undefined, entries: readonly TextEntry[]) => {
      findRunner(settings.runners.runners, runner, entries);
      return {};
    },
    maxBodyBytes: settings.runners.maxBodyBytes,
  };
}
