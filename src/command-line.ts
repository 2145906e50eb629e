/** The command line: which command, with which options. Each command ends in an exit code. */
import { parseArgs } from 'node:util';
import { parseExplainArguments } from './explain/request.ts';
import { renderReport } from './explain/render.ts';
import type { ExplainReport } from './explain/report.ts';
import { runHash } from './hash-command.ts';
import { runHistory, runRollback } from './history-command.ts';
import { check, start, type StartOptions } from './main.ts';
import { runPluginCommand } from './plugin-commands/plugin-command.ts';
import { readSettings } from './settings/read-settings.ts';
import { SettingsError } from './settings/settings.ts';
import { version } from './version.ts';

const usage = `gatewright ${version}: an API gateway that authenticates callers at the edge

  gatewright start   [--config FILE] [--data-dir DIR] [--resources FILE]
  gatewright check   [--config FILE] [--resources FILE]
  gatewright explain [METHOD] URL [-H 'Name: value']... [--from ADDRESS] [--config FILE]
  gatewright history [REVISION] [--resource KEY] [--who NAME] [--since TIME] [--until TIME] [--limit N] [--json]
  gatewright rollback REVISION [--resource KEY]... [--dry-run] [--if-revision N] [--json]
  gatewright hash    [--key] [--algorithm argon2id|scrypt|sha256] < SECRET
  gatewright plugin new NAME [--dir DIR] [--config FILE]
  gatewright plugin test [FILE|DIR]... [--config FILE]
  gatewright --version

  --config FILE     settings in the format of APISIX's config.yaml (default: conf/config.yaml where it exists)
  --data-dir DIR    where the embedded store and the admin key are kept (default: ./data)
  --resources FILE  standalone: apisix.yaml or apisix.json
  --resource KEY    routes/1, consumers/jack (with its credentials), routes (all of them)
  --if-revision N   only where nothing was changed since revision N
  --key             hash a key for key-auth (PREFIX.SECRET), not a password for basic-auth
`;

/** Returns the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  try {
    switch (command) {
      case 'start':
        return await start(startOptions(rest));
      case 'check':
        return await check(startOptions(rest));
      case 'explain':
        return await runExplain(rest);
      case 'history':
        return await runHistory(rest);
      case 'rollback':
        return await runRollback(rest);
      case 'plugin':
        return await runPluginCommand(rest);
      case 'hash':
        return await runHash(rest);
      case '--version':
      case 'version':
        process.stdout.write(`${version}\n`);
        return 0;
      case undefined:
      case '--help':
      case 'help':
        process.stdout.write(usage);
        return command === undefined ? 2 : 0;
      default:
        process.stderr.write(`gatewright: unknown command ${command}\n\n${usage}`);
        return 2;
    }
  } catch (error) {
    process.stderr.write(`gatewright: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof TypeError ? 2 : 1;
  }
}

function startOptions(args: readonly string[]): StartOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      config: { type: 'string', short: 'c' },
      'data-dir': { type: 'string' },
      resources: { type: 'string' },
    },
    strict: true,
  });
  return { configFile: values.config, dataDir: values['data-dir'], resourcesFile: values.resources };
}

/** Asks the running gateway's control API. */
async function runExplain(args: readonly string[]): Promise<number> {
  const configAt = args.indexOf('--config');
  const configFile = configAt < 0 ? undefined : args[configAt + 1];
  const others = configAt < 0 ? args : args.toSpliced(configAt, 2);
  const request = parseExplainArguments([...others]);
  const { settings } = readSettings({ configFile, dataDir: undefined, env: process.env });
  const { control } = settings;
  if (control === undefined)
    throw new SettingsError(
      configFile ?? 'settings',
      undefined,
      'apisix.enable_control',
      'explain asks the control API, which is off',
    );
  const host =
    control.ip === '0.0.0.0' || control.ip === '::'
      ? '127.0.0.1'
      : control.ip.includes(':')
        ? `[${control.ip}]`
        : control.ip;
  let response;
  try {
    response = await fetch(`http://${host}:${control.port}/v1/explain`, {
      method: 'POST',
      body: JSON.stringify(request),
      headers: { 'Content-Type': 'application/json' },
    });
  } catch (error) {
    throw new Error(
      `no gateway answers on the control API at ${host}:${control.port} (${control.setting}); is it running with this configuration?`,
      { cause: error },
    );
  }
  if (!response.ok) throw new Error(`the control API answered ${response.status}: ${await response.text()}`);
  process.stdout.write(renderReport((await response.json()) as ExplainReport));
  return 0;
}
