/** The arguments of `gatewright history` and `gatewright rollback`. What cannot be meant is a TypeError. */
import { parseArgs } from 'node:util';

export interface CommonArguments {
  readonly configFile: string | undefined;
  readonly dataDir: string | undefined;
  readonly json: boolean;
}

export interface HistoryArguments extends CommonArguments {
  /** One revision whole; undefined: the list. */
  readonly revision: number | undefined;
  readonly limit: number;
  /** Arguments of the Admin API's list. */
  readonly filters: Readonly<Record<string, string>>;
}

export interface RollbackArguments extends CommonArguments {
  readonly revision: number;
  /** Empty: every resource. */
  readonly resources: readonly string[];
  readonly dryRun: boolean;
  /** The revision that the store must be at. */
  readonly ifRevision: number | undefined;
}

const common = {
  config: { type: 'string', short: 'c' },
  'data-dir': { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

export function parseHistoryArguments(args: readonly string[]): HistoryArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      ...common,
      resource: { type: 'string' },
      who: { type: 'string' },
      since: { type: 'string' },
      until: { type: 'string' },
      limit: { type: 'string', default: '20' },
    },
    allowPositionals: true,
    strict: true,
  });
  const { resource, who, since, until } = values;
  const filters = Object.entries({ resource, who, since, until }).filter(([, value]) => value !== undefined);
  const [revision, ...more] = positionals;
  if (more.length > 0) throw new TypeError('history takes one revision at most');
  if (revision !== undefined && filters.length > 0)
    throw new TypeError(`history of one revision takes no --${filters[0]?.[0] ?? ''}`);
  return {
    configFile: values.config,
    dataDir: values['data-dir'],
    json: values.json,
    revision: revision === undefined ? undefined : revisionOf(revision),
    limit: wholeNumber('--limit', values.limit, 1),
    filters: Object.fromEntries(filters) as Record<string, string>,
  };
}

export function parseRollbackArguments(args: readonly string[]): RollbackArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      ...common,
      resource: { type: 'string', multiple: true },
      'dry-run': { type: 'boolean', default: false },
      'if-revision': { type: 'string' },
    },
    allowPositionals: true,
    strict: true,
  });
  const [revision, ...more] = positionals;
  if (revision === undefined || more.length > 0) throw new TypeError('rollback takes the revision to go back to');
  const ifRevision = values['if-revision'];
  return {
    configFile: values.config,
    dataDir: values['data-dir'],
    json: values.json,
    revision: revisionOf(revision),
    resources: values.resource ?? [],
    dryRun: values['dry-run'],
    ifRevision: ifRevision === undefined ? undefined : wholeNumber('--if-revision', ifRevision, 0),
  };
}

function revisionOf(text: string): number {
  return wholeNumber('the revision', text, 0);
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value >= least) return value;
  throw new TypeError(`${name} is ${JSON.stringify(text)}, expected a whole number from ${String(least)}`);
}
