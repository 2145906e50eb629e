import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createLogger } from './observability/error-log.ts';
import { readSettings } from './settings/read-settings.ts';
import type { SnapshotChange } from './snapshot/snapshot.ts';
import { Workers } from './workers.ts';

describe('worker threads', () => {
  let stored: Map<string, string>;
  let revision: number;
  let log: string;
  let onLog: (() => void)[];
  let workers: Workers;

  const create = (load?: () => AsyncIterable<{ revision: number; changes: SnapshotChange[] }>): Workers =>
    new Workers({
      settings: { ...readSettings({ configFile: undefined, dataDir: undefined, env: {} }).settings, workers: 2 },
      log: createLogger({
        level: 'info',
        write: (line) => {
          log += line;
          for (const listener of onLog) listener();
        },
      }),
      writeLog: () => undefined,
      load: load ?? storedPieces,
      healthNow: () => [],
      onOutcome: () => undefined,
      onRejected: () => undefined,
      entry: new URL('./worker.fixture.ts', import.meta.url),
      answerTimeoutMs: 1000,
    });
  async function* storedPieces(): AsyncGenerator<{ revision: number; changes: SnapshotChange[] }> {
    const atRevision = revision;
    for (const [key, value] of [...stored]) yield { revision: atRevision, changes: [{ key, value }] };
    yield { revision: atRevision, changes: [] };
  }
  /** As a commit: in the store, then to the workers. `transient`: the store does not keep it, so that it strikes once. */
  const write = (key: string, value: string, transient = false): Promise<void> => {
    if (!transient) stored.set(key, value);
    revision++;
    workers.send(revision, [{ key, value }]);
    return workers.publish(revision);
  };
  const untilLog = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (pattern.test(log)) resolve();
      };
      onLog.push(look);
      look();
    });
  /** Thread → what it serves. */
  const serving = async (): Promise<Map<string, Record<string, string>>> => {
    const snapshots = await workers.metrics();
    return new Map(
      snapshots.map((metrics) => {
        const [thread = '', values = '[]'] = metrics[0]?.series[0]?.labels ?? [];
        return [thread, Object.fromEntries(JSON.parse(values) as [string, string][])];
      }),
    );
  };
  const untilReady = async (): Promise<void> => {
    while (workers.notReady() !== undefined) await new Promise(setImmediate);
  };

  beforeEach(async () => {
    stored = new Map([['a', '1']]);
    revision = 1;
    log = '';
    onLog = [];
    workers = create();
    await workers.start();
  });
  afterEach(() => workers.stop());

  it('all serve what was stored and every change, before publish resolves', async () => {
    await write('b', '2');
    assert.deepEqual(
      [...(await serving()).values()],
      [
        { a: '1', b: '2' },
        { a: '1', b: '2' },
      ],
    );
    assert.equal(workers.notReady(), undefined);
  });

  it('publish waits for the slowest', async () => {
    const [first = ''] = (await serving()).keys();
    const started = performance.now();
    await write('slow', first);
    assert.ok(performance.now() - started >= 190);
  });

  for (const [key, how] of [
    ['exit', 'that exits'],
    ['throw', 'that throws'],
  ] as const) {
    it(`one ${how} is replaced by one that serves everything, and logged, while the other serves`, async () => {
      const [first = ''] = (await serving()).keys();
      await write(key, first, true);
      await write('b', '2');
      const left = await serving();
      assert.equal(left.size, 1);
      assert.deepEqual([...left.values()][0]?.['b'], '2');
      assert.match(workers.notReady() ?? '', /being replaced|does not listen/);
      await untilReady();
      const after = await serving();
      assert.equal(after.size, 2);
      assert.ok(!after.has(first));
      for (const values of after.values()) assert.equal(values['b'], '2');
      assert.match(log, /worker ended, starting another worker=\d code=\d/);
    });
  }

  it('one that is stuck does not hang writes: it is ended, replaced, and the write is answered', async () => {
    const [first = ''] = (await serving()).keys();
    const started = performance.now();
    await write('hang', first, true);
    assert.ok(performance.now() - started < 5000);
    assert.match(log, /worker does not answer, ending it worker=\d/);
    await write('b', '2');
    await untilReady();
    assert.equal((await serving()).size, 2);
  });

  it('one that is stuck does not hang a scrape', async () => {
    const [first = ''] = (await serving()).keys();
    void write('hang', first, true);
    assert.equal((await serving()).size, 1);
  });

  it('a change that comes while a new one is given everything reaches it before it serves', async () => {
    const [first = ''] = (await serving()).keys();
    await write('exit', first, true);
    let written = 0;
    while (workers.notReady() !== undefined) await write(`during-${written++}`, 'x');
    assert.ok(written > 0);
    for (const values of (await serving()).values())
      assert.equal(Object.keys(values).filter((key) => key.startsWith('during-')).length, written);
  });

  it('one whose configuration cannot be loaded is tried again', async () => {
    await workers.stop();
    let loads = 0;
    workers = create(async function* () {
      loads++;
      if (loads === 3) throw new Error('the disk is gone');
      yield* storedPieces();
    });
    await workers.start();
    const [first = ''] = (await serving()).keys();
    await write('exit', first, true);
    await untilLog(/could not be given the configuration .*the disk is gone/);
    await untilReady();
    assert.equal((await serving()).size, 2);
    assert.equal(loads, 4);
  });

  it('one that cannot listen stops the start with the reason', async () => {
    await workers.stop();
    stored.set('refuse-to-listen', '1');
    workers = create();
    await assert.rejects(workers.start(), /^Error: the port is taken$/);
  });

  it('one that ends while it is started stops the start', async () => {
    await workers.stop();
    stored.set('exit', 'any');
    workers = create();
    await assert.rejects(workers.start(), /worker \d ended while it was started \(code 3\)/);
  });
});
