import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureAdminKey } from './admin-key.ts';

function inDirectory(run: (dataDir: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), 'gatewright-key-'));
  try {
    run(join(root, 'data'));
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('the key is made once, of 32 hex digits, readable by the owner alone', () => {
  inDirectory((dataDir) => {
    const first = ensureAdminKey(dataDir);
    assert.equal(first.created, true);
    assert.match(first.key, /^[0-9a-f]{32}$/);
    assert.equal(statSync(join(dataDir, 'admin.key')).mode & 0o777, 0o600);
    assert.deepEqual(ensureAdminKey(dataDir), { key: first.key, created: false });
    assert.deepEqual(readdirSync(dataDir), ['admin.key']);
  });
});

test('two data directories have two keys', () => {
  inDirectory((dataDir) => {
    assert.notEqual(ensureAdminKey(join(dataDir, 'a')).key, ensureAdminKey(join(dataDir, 'b')).key);
  });
});

test('a key file that others could read is closed to them', () => {
  inDirectory((dataDir) => {
    ensureAdminKey(dataDir);
    chmodSync(join(dataDir, 'admin.key'), 0o644);
    ensureAdminKey(dataDir);
    assert.equal(statSync(join(dataDir, 'admin.key')).mode & 0o777, 0o600);
  });
});

test('a damaged key file is refused and left as it is', () => {
  inDirectory((dataDir) => {
    ensureAdminKey(dataDir);
    for (const damaged of ['', 'admin\n', 'g'.repeat(32)]) {
      writeFileSync(join(dataDir, 'admin.key'), damaged);
      assert.throws(() => ensureAdminKey(dataDir), { name: 'ConfigError', message: /admin\.key: does not hold a key/ });
    }
  });
});
