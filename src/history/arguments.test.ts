import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHistoryArguments, parseRollbackArguments } from './arguments.ts';

test('history: a revision, or filters of the list', () => {
  assert.deepEqual(parseHistoryArguments(['--who', 'ops', '--resource', 'routes/1', '--limit', '5', '--json']), {
    configFile: undefined,
    dataDir: undefined,
    json: true,
    revision: undefined,
    limit: 5,
    filters: { who: 'ops', resource: 'routes/1' },
  });
  const one = parseHistoryArguments(['12', '-c', 'config.yaml', '--data-dir', 'data']);
  assert.deepEqual([one.revision, one.configFile, one.dataDir, one.filters], [12, 'config.yaml', 'data', {}]);
});

test('rollback: a revision, resources, and the revision to be at', () => {
  const asked = parseRollbackArguments(['0', '--resource', 'routes/1', '--resource', 'ssls', '--if-revision', '7']);
  assert.deepEqual(
    [asked.revision, asked.resources, asked.ifRevision, asked.dryRun],
    [0, ['routes/1', 'ssls'], 7, false],
  );
});

for (const args of [['-1'], ['1', '2'], ['1', '--who', 'x'], ['--limit', '0'], ['--limit', '1e3'], ['x'], ['--all']]) {
  test(`refuses history ${args.join(' ')}`, () => {
    assert.throws(() => parseHistoryArguments(args), TypeError);
  });
}

for (const args of [[], ['x'], ['1', '2'], ['1', '--if-revision', 'x'], ['9'.repeat(20)]]) {
  test(`refuses rollback ${args.join(' ')}`, () => {
    assert.throws(() => parseRollbackArguments(args), TypeError);
  });
}
