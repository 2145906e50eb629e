/** The linter's import boundaries: what the table allows, what it refuses, and that `npm run lint` applies it. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ESLint, Linter } from 'eslint';
import tseslint from 'typescript-eslint';
import { importBoundaries, judgeImport } from '../tools/import-boundaries.ts';

const root = path.resolve(import.meta.dirname, '..');

/** Messages of the rule for one line of code in a file of the repository that need not exist. */
function lintLine(file: string, code: string): string[] {
  const linter = new Linter({ cwd: root });
  const messages = linter.verify(
    code,
    [
      {
        files: ['**/*.ts'],
        languageOptions: { parser: tseslint.parser },
        plugins: { house: { rules: { 'import-boundaries': importBoundaries } } },
        rules: { 'house/import-boundaries': 'error' },
      },
    ],
    path.join(root, file),
  );
  return messages.map((message) => message.message);
}

describe('import boundaries', () => {
  const allowed = [
    ['main.ts', 'admin/server.ts'],
    ['main.ts', 'proxy/http1/parse-head.ts'],
    ['plugins/key-auth/index.ts', 'plugin/plugin.ts'],
    ['plugins/key-auth/index.ts', 'plugins/key-auth/digest.ts'],
    ['plugins/index.ts', 'plugins/key-auth/index.ts'],
    ['plugins/ip-restriction/index.ts', 'address/cidr.ts'],
    ['proxy/pipeline/run.ts', 'proxy/router/match.ts'],
    ['proxy/upstream/pool.ts', 'proxy/http1/fields.ts'],
    ['snapshot/compile.ts', 'proxy/router/tree.ts'],
    ['errors/catalogue.ts', 'errors/gateway-error.ts'],
    ['address/cidr.test.ts', 'random.fixture.ts'],
  ] as const;
  for (const [from, to] of allowed) {
    test(`src/${from} may import src/${to}`, () => {
      assert.equal(judgeImport(from, to), undefined);
    });
  }

  const refused = [
    ['errors/catalogue.ts', 'resources/route.ts'],
    ['resources/route.ts', 'plugin/plugin.ts'],
    ['plugin/plugin.ts', 'plugins/key-auth/index.ts'],
    ['plugins/key-auth/index.ts', 'plugins/basic-auth/index.ts'],
    ['plugins/key-auth/index.ts', 'plugins/index.ts'],
    ['plugins/key-auth/index.ts', 'proxy/exchange.ts'],
    ['proxy/http1/parse-head.ts', 'proxy/router/match.ts'],
    ['proxy/http1/parse-head.ts', 'proxy/exchange.ts'],
    ['proxy/router/match.ts', 'proxy/pipeline/run.ts'],
    ['proxy/exchange.ts', 'snapshot/snapshot.ts'],
    ['proxy/exchange.ts', 'admin/server.ts'],
    ['admin/server.ts', 'proxy/exchange.ts'],
    ['store/sqlite.ts', 'admin/server.ts'],
    ['admin/server.ts', 'main.ts'],
    ['a-new-room/file.ts', 'errors/catalogue.ts'],
  ] as const;
  for (const [from, to] of refused) {
    test(`src/${from} must not import src/${to}`, () => {
      assert.match(judgeImport(from, to) ?? '', /must not import|does not name/);
    });
  }

  test('every form of import is judged', () => {
    const forms = [
      `import { run } from '../pipeline/run.ts';`,
      `import type { Run } from '../pipeline/run.ts';`,
      `export { run } from '../pipeline/run.ts';`,
      `export * from '../pipeline/run.ts';`,
      `const run = await import('../pipeline/run.ts');`,
    ];
    for (const form of forms) assert.equal(lintLine('src/proxy/http1/x.ts', form).length, 1, form);
  });

  test('src/ must not import from outside src/', () => {
    assert.equal(lintLine('src/errors/x.ts', `import '../../test/run.ts';`).length, 1);
    assert.deepEqual(lintLine('src/errors/x.ts', `import 'node:net'; import './gateway-error.ts';`), []);
  });

  test('npm run lint applies the rule to src/, tests beside the code included', async () => {
    const eslint = new ESLint({ cwd: root });
    for (const file of ['src/errors/catalogue.ts', 'src/proxy/http1/parse-head.test.ts']) {
      const config = (await eslint.calculateConfigForFile(path.join(root, file))) as Linter.Config;
      assert.deepEqual(config.rules?.['house/import-boundaries'], [2], file);
    }
  });
});
