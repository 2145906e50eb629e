/** How the standalone store follows its file. The behaviour of every store is in test/conformance/store.ts. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { ChangeSet } from './store.ts';
import { openYamlStore, type YamlOptions, type YamlStore } from './yaml.ts';

/** Longer than any test: what arrives sooner was told by the watch of the directory. */
const NO_POLL = { pollIntervalMs: 3_600_000, debounceMs: 5 };
const ONLY_POLL = { pollIntervalMs: 10, debounceMs: 3_600_000 };

const good = (...routes: string[]): string => `routes:\n${routes.map((route) => `- ${route}\n`).join('')}#END\n`;

describe('the file of the standalone store', () => {
  let directory: string;
  let file: string;
  let store: YamlStore | undefined;
  let errors: Events<string>;
  let warnings: Events<string>;
  let changes: Events<ChangeSet>;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'gatewright-yaml-'));
    file = path.join(directory, 'apisix.yaml');
    errors = new Events();
    warnings = new Events();
    changes = new Events();
  });
  afterEach(async () => {
    await store?.close();
    store = undefined;
    await rm(directory, { recursive: true });
    assert.deepEqual(errors.waiting, []);
    assert.deepEqual(warnings.waiting, []);
    assert.deepEqual(changes.waiting, []);
  });

  const open = async (options: Partial<YamlOptions> = NO_POLL): Promise<YamlStore> => {
    const hooks = {
      onError: (message: string) => errors.push(message),
      onWarning: (message: string) => warnings.push(message),
    };
    store = await openYamlStore({ file, substitute: (text) => text, ...options }, hooks);
    store.watch((change) => changes.push(change));
    return store;
  };
  const replace = async (text: string): Promise<void> => {
    await writeFile(`${file}.tmp`, text);
    await rename(`${file}.tmp`, file);
  };
  const keysOf = (change: ChangeSet): string[] => change.changes.map(({ key }) => key);

  test('written in place: one change set, with only what differs; the rest keeps its revisions', async () => {
    await writeFile(file, good('{id: 1, uri: /a}', '{id: 2, uri: /b}', '{id: 3, uri: /c}'));
    const opened = await open();
    const before = await opened.list('');
    writeFileSync(file, good('{id: 4, uri: /d}', '{id: 3, uri: /changed}', '{id: 1,   uri: /a} # same'));
    const change = await changes.next();
    assert.deepEqual(keysOf(change).toSorted(), ['routes/2', 'routes/3', 'routes/4']);
    assert.equal(change.revision, before.revision + 1);
    const { revision, entries } = await opened.list('');
    assert.equal(revision, change.revision);
    assert.deepEqual(
      entries.map(({ key, createdIndex, modifiedIndex }) => [key, createdIndex, modifiedIndex]),
      [
        ['routes/1', 1, 1],
        ['routes/3', 1, 2],
        ['routes/4', 2, 2],
      ],
    );
  });

  test('replaced by rename, again and again', async () => {
    await writeFile(file, good('{id: 1, uri: /0}'));
    const opened = await open();
    for (let round = 1; round <= 3; round += 1) {
      await replace(good(`{id: 1, uri: /${round}}`));
      assert.deepEqual(keysOf(await changes.next()), ['routes/1']);
      assert.equal((await opened.get('routes/1'))?.value, `{"id":"1","uri":"/${round}"}`);
    }
  });

  test('deleted and made again, as some editors do', async () => {
    await writeFile(file, good('{id: 1, uri: /a}'));
    await open();
    await unlink(file);
    assert.match(
      await errors.next(),
      /apisix\.yaml cannot be read: ENOENT.*; the resources read before stay in force$/,
    );
    writeFileSync(file, good('{id: 1, uri: /b}'));
    assert.deepEqual(keysOf(await changes.next()), ['routes/1']);
  });

  test('mounted from a Kubernetes ConfigMap: the link to the directory is swapped', async () => {
    for (const version of ['..1', '..2']) {
      await mkdir(path.join(directory, version));
      await writeFile(path.join(directory, version, 'apisix.yaml'), good(`{id: 1, uri: /${version}}`));
    }
    await symlink('..1', path.join(directory, '..data'));
    await symlink(path.join('..data', 'apisix.yaml'), file);
    const opened = await open();
    await symlink('..2', path.join(directory, '..data_tmp'));
    await rename(path.join(directory, '..data_tmp'), path.join(directory, '..data'));
    await changes.next();
    assert.equal((await opened.get('routes/1'))?.value, '{"id":"1","uri":"/..2"}');
  });

  test('behind a link into a directory that is not watched: polling finds the change', async () => {
    await mkdir(path.join(directory, 'elsewhere'));
    await writeFile(path.join(directory, 'elsewhere', 'real.yaml'), good('{id: 1, uri: /a}'));
    await symlink(path.join('elsewhere', 'real.yaml'), file);
    await open(ONLY_POLL);
    writeFileSync(path.join(directory, 'elsewhere', 'real.yaml'), good('{id: 1, uri: /b}'));
    assert.deepEqual(keysOf(await changes.next()), ['routes/1']);
  });

  test('touched without a change of content: nobody is told', async () => {
    await writeFile(file, good('{id: 1, uri: /a}'));
    const opened = await open();
    await replace(good('{id: 1, uri: /a}'));
    await opened.reload();
    await replace(good('{id: 2, uri: /a}'));
    assert.deepEqual(keysOf(await changes.next()), ['routes/1', 'routes/2']);
    assert.equal((await opened.list('')).revision, 2);
  });

  test('bad: the last good content stays, the reason is told once, and the next good one is taken', async () => {
    await writeFile(file, good('{id: 1, uri: /a}'));
    const opened = await open({ pollIntervalMs: 10, debounceMs: 5 });
    const before = await opened.list('');
    for (const [text, reason] of [
      ['routes: [}\n#END', /apisix\.yaml:1: not valid YAML/],
      ['routes: []\n', /the last line must be #END/],
      ['text\n#END', /expected a mapping/],
      ['routes: [{id: 1}, {id: 1}]\n#END', /has the id "1"/],
    ] as const) {
      await replace(text);
      const message = await errors.next();
      assert.match(message, reason);
      assert.match(message, /; the resources read before stay in force$/);
      assert.deepEqual(await opened.list(''), before);
    }
    await replace(good('{id: 1, uri: /b}'));
    assert.deepEqual(keysOf(await changes.next()), ['routes/1']);
  });

  test('bad only while it is being written: nobody is told', async () => {
    await writeFile(file, good('{id: 1, uri: /a}'));
    const finishedWhileRead = (text: string): string => {
      if (text !== '${{HALF}}') return text;
      writeFileSync(file, good('{id: 1, uri: /whole}'));
      throw new Error('half');
    };
    const opened = await open({ ...NO_POLL, substitute: finishedWhileRead });
    await replace(good('{id: 1, uri: "${{HALF}}"}'));
    assert.deepEqual(keysOf(await changes.next()), ['routes/1']);
    assert.equal((await opened.get('routes/1'))?.value, '{"id":"1","uri":"/whole"}');
  });

  test('bad at the start: refused, since there is no last good one', async () => {
    await assert.rejects(open(), { name: 'StoreError', message: /apisix\.yaml cannot be read: ENOENT/ });
    await writeFile(file, 'routes: []');
    await assert.rejects(open(), { name: 'StoreError', message: /the last line must be #END/ });
  });

  test('reload reads it at once, and tells of a bad one each time', async () => {
    await writeFile(file, good('{id: 1, uri: /a}'));
    const opened = await open({ pollIntervalMs: 3_600_000, debounceMs: 0 });
    await replace('routes: []');
    await opened.reload();
    await opened.reload();
    assert.match(await errors.next(), /#END/);
    assert.match(await errors.next(), /#END/);
    errors.waiting.length = 0; // The watch may have found it by itself in between.
    await replace(good());
    await opened.reload();
    assert.deepEqual((await opened.list('')).entries, []);
    await changes.next();
  });

  test('a section that is not served is warned of once, and again when it comes back', async () => {
    await writeFile(file, 'stream_routes: []\n#END');
    const opened = await open();
    assert.match(await warnings.next(), /`stream_routes` has no effect/);
    await opened.reload();
    await replace(good());
    await opened.reload();
    assert.deepEqual(warnings.waiting, []);
    await replace('stream_routes: []\n#END');
    await opened.reload();
    assert.match(await warnings.next(), /`stream_routes` has no effect/);
  });

  test('is not followed after close', async () => {
    await writeFile(file, good('{id: 1, uri: /a}'));
    const opened = await open({ pollIntervalMs: 1, debounceMs: 1 });
    await opened.close();
    await replace('bad');
    await assert.rejects(opened.reload(), { name: 'StoreError' });
  });
});

/** What callbacks were given, for a test to await one after the other. */
class Events<T> {
  readonly waiting: T[] = [];
  #wake: (() => void) | undefined;

  push(event: T): void {
    this.waiting.push(event);
    this.#wake?.();
  }

  async next(): Promise<T> {
    for (;;) {
      const event = this.waiting.shift();
      if (event !== undefined) return event;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
