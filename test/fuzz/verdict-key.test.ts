/** The text that a verdict's key is made of: fields that ran into each other would hand out another's verdict (GHSA-6765-c87h-8mrf). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { field, fields } from '../../src/plugin/verdict-cache/verdict-key.ts';
import { createRandom } from '../../src/random.fixture.ts';
import { fuzzSettings } from './random.ts';

test('no two sequences of fields are the same text, whatever the values hold', (t) => {
  const { seed } = fuzzSettings(1);
  t.diagnostic(`FUZZ_SEED=${String(seed)}`);
  // A handful of short pieces of what delimits, so that any ambiguity comes up.
  const pieces = ['', '0', '1', '2', ':', '1:', '-', '[', '1[', 'a', '1:a', ':a'];
  const random = createRandom(seed);
  const seen = new Map<string, string>();
  for (let i = 0; i < 50_000; i++) {
    const sequence = Array.from({ length: 1 + random.int(3) }, () => {
      const values = Array.from({ length: random.int(3) }, () => random.pick(pieces) + random.pick(pieces));
      return random.int(2) === 0 ? values : values[0];
    });
    const text = sequence.map((part) => (Array.isArray(part) ? fields(part) : field(part))).join('');
    const told = JSON.stringify(sequence.map((part) => part ?? null));
    assert.equal(seen.get(text) ?? told, told, text);
    seen.set(text, told);
  }
});
