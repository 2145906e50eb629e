/**
 * `gatewright history` and `gatewright rollback`. The store is opened where no gateway has it open; otherwise the gateway
 * that has it is asked, by the Admin API that it announces in its data directory, with a key of the settings or of that directory.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { maxPageSize, type ShownCommit, type ShownHistory, type ShownRollback } from './admin/history-routes.ts';
import { pluginAttributes } from './enabled-registry.ts';
import { findAdmin } from './history/admin-address.ts';
import { parseHistoryArguments, parseRollbackArguments, type CommonArguments } from './history/arguments.ts';
import { renderCommit, renderHistory, renderRollback } from './history/render.ts';
import { localSession, remoteSession, type AdminSession, type Answer } from './history/session.ts';
import { load, openPluginFiles, registryOf, storeKind, withEncryption } from './main.ts';
import { createLogger } from './observability/error-log.ts';
import { ensureAdminKey } from './settings/admin-key.ts';
import type { Settings } from './settings/settings.ts';
import { openStore } from './store/open.ts';
import { StoreInUse } from './store/store.ts';
import { version } from './version.ts';

/** Resolves to the exit code; rejects with what a person must put right. So do both. */
export async function runHistory(args: readonly string[]): Promise<number> {
  const asked = parseHistoryArguments(args);
  return withSession(asked, 'viewer', async (session) => {
    if (asked.revision !== undefined) {
      const commit = bodyOf(await session.call('GET', `/history/${String(asked.revision)}`)) as ShownCommit;
      print(asked.json ? toJson(commit) : renderCommit(commit));
      return;
    }
    // By revision and resource: what is changed between two pages moves the list on, and shows its end again.
    const found = new Map<string, ShownHistory>();
    let total = Infinity;
    for (let page = 1; found.size < Math.min(asked.limit, total); page++) {
      const size = Math.min(asked.limit, maxPageSize);
      const query = new URLSearchParams({ ...asked.filters, page: String(page), page_size: String(size) });
      const answer = bodyOf(await session.call('GET', `/history?${query.toString()}`)) as {
        total: number;
        list: ShownHistory[];
      };
      total = answer.total;
      if (answer.list.length === 0) break;
      for (const one of answer.list) found.set(`${String(one.revision)} ${one.resource}`, one);
    }
    const list = [...found.values()].slice(0, asked.limit);
    print(asked.json ? toJson({ total, list }) : renderHistory(list, total));
  });
}

export async function runRollback(args: readonly string[]): Promise<number> {
  const { revision, resources, dryRun, ifRevision, ...asked } = parseRollbackArguments(args);
  return withSession(asked, 'admin', async (session) => {
    const done = bodyOf(
      await session.call(
        'POST',
        `/history/${String(revision)}/rollback`,
        { resources, dry_run: dryRun },
        ifRevision === undefined ? {} : { 'If-Match': `"${String(ifRevision)}"` },
      ),
    ) as ShownRollback;
    print(asked.json ? toJson(done) : renderRollback(done, revision));
  });
}

async function withSession(
  { configFile, dataDir }: CommonArguments,
  role: 'admin' | 'viewer',
  use: (session: AdminSession) => Promise<void>,
): Promise<number> {
  const { settings } = load({ configFile, dataDir, resourcesFile: undefined });
  const session = await openSession(settings, role);
  try {
    await use(session);
  } finally {
    await session.close();
  }
  return 0;
}

async function openSession(settings: Settings, role: 'admin' | 'viewer'): Promise<AdminSession> {
  const { dataDir, store: kind } = settings;
  if (kind === 'yaml' || kind === 'json')
    throw new Error(
      `resources come from ${settings.resourcesFile}, which the gateway only reads: its history is kept where the file is`,
    );
  if (kind === 'memory')
    return askGateway(settings, role, `no gateway that keeps its resources in memory runs on ${dataDir}`);
  // Opening would make one.
  if (!existsSync(join(dataDir, 'gatewright.db')))
    throw new Error(`there is no store in ${dataDir}: name it with --data-dir`);
  const log = createLogger({ level: 'error', write: (line) => void process.stderr.write(line) });
  const report = (message: string): void => {
    log.error('store', { message });
  };
  let opened;
  try {
    const where = storeKind(settings);
    // A gateway that is announced is not about to let go of it.
    const waits = where.kind === 'sqlite' && findAdmin(dataDir, 'sqlite') !== undefined ? { busyTimeoutMs: 0 } : {};
    opened = await openStore({ ...where, ...waits }, { onError: report, onWarning: report });
  } catch (error) {
    if (!(error instanceof StoreInUse)) throw error;
    return askGateway(settings, role, `${dataDir} is in use, and no Admin API is announced there: is it switched off?`);
  }
  const registry = registryOf(settings, log);
  // Read once: what is rolled back is judged by the plugins that the gateway will have.
  const pluginFiles = await openPluginFiles(settings, registry, log).catch(async (error: unknown) => {
    await opened.close();
    throw error;
  });
  pluginFiles?.close();
  const attributes = (name: string): Readonly<Record<string, unknown>> => pluginAttributes(settings, name);
  return localSession(withEncryption(opened, settings, registry, log), { ...registry, attributes }, version);
}

function askGateway(settings: Settings, role: 'admin' | 'viewer', notFound: string): AdminSession {
  const { dataDir, admin } = settings;
  const url = findAdmin(dataDir, settings.store === 'memory' ? 'memory' : 'sqlite');
  if (url === undefined) throw new Error(notFound);
  if (!admin.keyRequired) return remoteSession(url, undefined);
  const key = admin.keys.find((one) => one.role === 'admin') ?? admin.keys.find((one) => one.role === role);
  if (key !== undefined) return remoteSession(url, key.key);
  if (admin.keys.length === 0 && existsSync(join(dataDir, 'admin.key')))
    return remoteSession(url, ensureAdminKey(dataDir).key);
  throw new Error(
    `a gateway runs on ${dataDir}, and no key with the role ${role} is known: name its settings with --config`,
  );
}

/** Throws the Admin API's words where it refuses. */
function bodyOf({ status, body }: Answer): unknown {
  if (status < 300) return body;
  const { error_msg: message, description } = (body ?? {}) as { error_msg?: string; description?: string };
  const reason = [message, description].filter((part) => part !== undefined).join(': ');
  throw new Error(reason === '' ? `the Admin API answered ${String(status)}` : reason);
}

function toJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function print(text: string): void {
  process.stdout.write(text);
}
