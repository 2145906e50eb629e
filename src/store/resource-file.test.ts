import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseResourceFile } from './resource-file.ts';

const plain = (text: string): string => text;

/** Key → value of a YAML text, without its `#END`. */
function parse(yaml: string): Record<string, unknown> {
  const { values, warnings } = parseResourceFile('apisix.yaml', `${yaml}\n#END\n`, plain);
  assert.deepEqual(warnings, []);
  return Object.fromEntries([...values].map(([key, value]) => [key, JSON.parse(value)]));
}

function assertBad(text: string, message: RegExp, file = 'apisix.yaml'): void {
  assert.throws(() => parseResourceFile(file, text, plain), { name: 'StoreError', message });
}

describe('keys', () => {
  test('an item is keyed by its section and its id, which becomes a text', () => {
    assert.deepEqual(parse('routes:\n- {id: 1, uri: /a}\n- {id: x-2, uri: /b}\nupstreams:\n- id: 1'), {
      'routes/1': { id: '1', uri: '/a' },
      'routes/x-2': { id: 'x-2', uri: '/b' },
      'upstreams/1': { id: '1' },
    });
  });

  test('every section that is served', () => {
    const sections =
      'routes services upstreams consumers consumer_groups plugin_configs global_rules plugin_metadata ssls secrets protos'.split(
        ' ',
      );
    const keys = Object.keys(parse(sections.map((section) => `${section}:\n- id: a`).join('\n')));
    assert.deepEqual(
      keys,
      sections.map((section) => `${section}/a`),
    );
  });

  test('an item without id is named by its place, from 1, as APISIX does', () => {
    assert.deepEqual(parse('routes:\n- uri: /a\n- {id: r, uri: /b}\n- uri: /c'), {
      'routes/arr_1': { uri: '/a', id: 'arr_1' },
      'routes/r': { id: 'r', uri: '/b' },
      'routes/arr_3': { uri: '/c', id: 'arr_3' },
    });
  });

  test('a consumer is keyed by its username; its credentials are items whose id is NAME/credentials/ID', () => {
    assert.deepEqual(
      parse('consumers:\n- username: jack\n- {id: jack/credentials/c1, plugins: {key-auth: {key: k}}}'),
      {
        'consumers/jack': { username: 'jack' },
        'consumers/jack/credentials/c1': { id: 'c1', plugins: { 'key-auth': { key: 'k' } } },
      },
    );
  });

  test("a plugin's metadata is keyed by the plugin's name, which is no part of the value", () => {
    assert.deepEqual(parse('plugin_metadata:\n- {id: http-logger, log_format: {host: $host}}'), {
      'plugin_metadata/http-logger': { log_format: { host: '$host' } },
    });
  });

  test('a secret is keyed by its manager and id', () => {
    assert.deepEqual(parse('secrets:\n- {id: vault/1, prefix: kv}'), { 'secrets/vault/1': { id: '1', prefix: 'kv' } });
  });

  test('an id of leading zeros, and one beyond 2^53, keep their text', () => {
    assert.deepEqual(parse('routes:\n- {id: 00000000000000000070, upstream_id: 12345678901234567890}'), {
      'routes/00000000000000000070': { id: '00000000000000000070', upstream_id: '12345678901234567890' },
    });
  });
});

describe('yaml', () => {
  test('anchors and merge keys, used by any number of routes', () => {
    const routes = Array.from({ length: 300 }, (_, index) => `- {id: r${index}, <<: *shared, plugins: *plugins}`);
    const text = `routes:\n- &shared {id: first, uri: /a, plugins: &plugins {key-auth: {}}}\n${routes.join('\n')}`;
    assert.deepEqual(parse(text)['routes/r299'], { id: 'r299', uri: '/a', plugins: { 'key-auth': {} } });
  });

  test('aliases that multiply are refused', () => {
    const levels = Array.from({ length: 9 }, (_, n) => `l${n + 1}: &l${n + 1} [${`*l${n},`.repeat(9)}]`);
    assertBad(`l0: &l0 [x]\n${levels.join('\n')}\n#END`, /not valid YAML: Excessive alias count/);
  });

  test('a file without #END at its end is not yet fully written', () => {
    for (const text of ['routes: []\n', '#END\nroutes: []\n', ''])
      assertBad(text, /^apisix\.yaml: the last line must be #END/);
    assert.equal(parseResourceFile('a.yml', 'routes: []\n  #END  \n\n', plain).values.size, 0);
  });

  test('a syntax error is told with its line', () => {
    assertBad('routes:\n- id: 1\n  uri: [1\n#END', /^apisix\.yaml:\d: not valid YAML: /);
    assertBad(
      'routes: []\nupstreams: []\nroutes: []\n#END',
      /^apisix\.yaml:3: not valid YAML: Map keys must be unique/,
    );
    assertBad('routes: []\n---\nroutes: []\n#END', /^apisix\.yaml:2: not valid YAML: .*multiple documents/);
  });

  test('a section twice, a list of something else, an odd id: refused with the place', () => {
    assertBad('- 1\n#END', /expected a mapping of resource lists/);
    assertBad('#END', /expected a mapping of resource lists/);
    assertBad('routes: {}\n#END', /^apisix\.yaml: `routes` is not a list$/);
    assertBad('routes:\n- id: 1\n- text\n#END', /^apisix\.yaml: routes\[1\] \(line 3\) is not a mapping$/);
    for (const id of ['[]', '1.5', 'true', "''"]) {
      assertBad(`routes:\n- id: ${id}\n#END`, /routes\[0\] \(line 2\): the id is neither a text nor a whole number/);
    }
  });

  test('an id that is used twice is refused with both places, a number and its text being one', () => {
    assertBad(
      'routes:\n- id: 1\n\n- {id: "1"}\n#END',
      /^apisix\.yaml: routes\[1\] \(line 4\) has the id "1", and so has routes\[0\] \(line 2\)$/,
    );
    assertBad('consumers:\n- username: a\n- username: a\n#END', /has the id "a"/);
  });

  test('a section without items, and a null one', () => {
    assert.deepEqual(parse('routes: []\nservices:\nupstreams: ~'), {});
  });

  test('sections that have no effect are warned of', () => {
    const text = 'plugins:\n- name: jwt-auth\nstream_routes:\n- id: 1\nroute: []\n#END';
    const { values, warnings } = parseResourceFile('apisix.yaml', text, plain);
    assert.equal(values.size, 0);
    assert.deepEqual(warnings, [
      'apisix.yaml: `plugins` has no effect: the list of plugins is read from the settings (config.yaml) only',
      'apisix.yaml: `stream_routes` has no effect: only HTTP is served',
      'apisix.yaml: `route` has no effect: there is no such section',
    ]);
  });

  test('a key named __proto__ is a key', () => {
    const substitute = (text: string): string => text.replace('${{X}}', '/x');
    const { values } = parseResourceFile('a.yaml', 'routes:\n- {id: 1, __proto__: {uri: "${{X}}"}}\n#END', substitute);
    assert.equal(values.get('routes/1'), '{"id":"1","__proto__":{"uri":"/x"}}');
  });
});

describe('json', () => {
  test('is read without #END', () => {
    const { values } = parseResourceFile('apisix.json', '{"routes":[{"id":1,"uri":"/a"}]}', plain);
    assert.deepEqual([...values], [['routes/1', '{"id":"1","uri":"/a"}']]);
  });

  test('a syntax error is told with line and column where they are known, and never with the text', () => {
    assertBad('{"routes": [\n{"key": "hunter2", }]}', /^apisix\.json:2:20: not valid JSON$/, 'apisix.json');
    assertBad('hunter2', /^apisix\.json: not valid JSON$/, 'apisix.json');
    assertBad(
      '{"routes":[{"id":1},{"id":1}]}',
      /^apisix\.json: routes\[1\] has the id "1", and so has routes\[0\]$/,
      'apisix.json',
    );
  });
});

describe('environment variables', () => {
  const variables: Record<string, string | number> = {
    '${{KEY}}': 's3cret',
    '${{PORT}}': 8080,
    '${{NODE}}:80': 'up:80',
  };
  const substitute = (text: string): string | number => variables[text] ?? text;

  test('are replaced in texts and in keys, after the YAML was read', () => {
    const text =
      'routes:\n- id: 1\n  upstream: {nodes: {"${{NODE}}:80": 1}, port: "${{PORT}}"}\n' +
      '  plugins: {key-auth: [{key: "${{KEY}}"}]}\n#END';
    assert.deepEqual(JSON.parse(parseResourceFile('a.yaml', text, substitute).values.get('routes/1') ?? ''), {
      id: '1',
      upstream: { nodes: { 'up:80': 1 }, port: 8080 },
      plugins: { 'key-auth': [{ key: 's3cret' }] },
    });
  });

  test('one that is not set is refused with its place', () => {
    assert.throws(
      () =>
        parseResourceFile('a.json', '{"routes":[{"plugins":{"key-auth":{"key":"${{NOPE}}"}}}]}', (text) => {
          if (text === '${{NOPE}}') throw new Error("can't find environment variable NOPE");
          return text;
        }),
      {
        name: 'StoreError',
        message: "a.json: routes[0]: plugins: key-auth: key: can't find environment variable NOPE",
      },
    );
  });
});
