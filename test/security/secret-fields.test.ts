/** No built-in plugin has a field for a secret that is neither encrypted nor masked: each field whose name sounds like one is looked at. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createRegistry } from '../../src/plugins/registry.ts';
import type { JsonSchema } from '../../src/resources/resource.ts';
import { secretFields } from '../../src/resources/validator.ts';

const sounds = /secret|passw|token|private|credential|authorization|auth_header|session|(?:^|_)key$/i;

/** Sounds like one, and is none: `PLUGIN PATH` → what it is. */
const harmless = new Map([
  ['jwt-auth key', 'which credential a token is of: a claim of it, in the clear'],
  ['jwt-auth public_key', 'it verifies, and signs nothing'],
  ['jwe-decrypt key', 'which credential a token is of: `kid`, in the clear'],
  ['custom-auth function.secret_id', 'the name of a key, sent with each request'],
  ['custom-auth cache_key', 'parts of a request'],
  ['acl external_user_label_field_key', 'the name of a claim'],
  ...['limit-conn', 'limit-count', 'limit-req'].map((name) => [`${name} key`, 'what is counted by'] as const),
]);

/** Dotted paths, but for those of flags. */
function* fields(schema: JsonSchema, path = ''): Generator<string> {
  for (const [name, inner] of Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>)) {
    const here = path === '' ? name : `${path}.${name}`;
    if (inner['type'] !== 'boolean') yield here;
    yield* fields(inner, here);
    yield* fields((inner['items'] ?? {}) as JsonSchema, here);
  }
  for (const keyword of ['anyOf', 'oneOf', 'allOf'])
    for (const inner of (schema[keyword] ?? []) as JsonSchema[]) yield* fields(inner, path);
}

it('each field of a built-in plugin that sounds like a secret is one that is masked and encrypted, or known to be none', () => {
  const open: string[] = [];
  const known = new Set(harmless.keys());
  let masked = 0;
  for (const { name, schema, consumerSchema, metadataSchema } of createRegistry(undefined).list()) {
    for (const one of [schema, consumerSchema, metadataSchema]) {
      if (one === undefined) continue;
      const secret = new Set(secretFields(one));
      for (const field of new Set(fields(one))) {
        if (!sounds.test(field)) continue;
        if (secret.has(field)) masked++;
        else if (!known.delete(`${name} ${field}`) && !harmless.has(`${name} ${field}`)) open.push(`${name} ${field}`);
      }
    }
  }
  assert.deepEqual(open, []);
  assert.deepEqual([...known], [], 'no such fields any more');
  assert.ok(masked > 15, String(masked));
});
