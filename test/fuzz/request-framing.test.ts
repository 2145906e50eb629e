/**
 * Differential fuzzing against node:http's strict parser: the same bytes to both, over sockets. We never accept what it
 * refuses, and never frame differently. Repeat a run with FUZZ_SEED=N, run longer with FUZZ_SECONDS=N.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { loadRefused, loadValid } from '../vectors/load.ts';
import { compareReadings } from './compare.ts';
import { mutate } from './mutate.ts';
import { createRandom } from '../../src/random.fixture.ts';
import { fuzzSettings } from './random.ts';
import { type Reader, startNodeReader, startOurReader } from './readings.ts';

/** Streams under way at once. */
const lanes = 16;

async function assertSame(ours: Reader, node: Reader, bytes: Buffer, splitAt: number | undefined, seed: number) {
  const [a, b] = await Promise.all([ours.read(bytes, splitAt), node.read(bytes)]);
  const difference = compareReadings(a, b);
  assert.equal(difference, undefined, `seed ${seed}: ${JSON.stringify(bytes.toString('latin1'))}`);
}

it('reads every vector as node:http does, or refuses it', async () => {
  await using ours = await startOurReader();
  await using node = await startNodeReader();
  for (const { bytes } of [...loadValid(), ...loadRefused()]) await assertSame(ours, node, bytes, undefined, 0);
});

it('reads mutated streams as node:http does, or refuses them', { timeout: 3_600_000 }, async (t) => {
  const { seed, deadline } = fuzzSettings(12);
  t.diagnostic(`FUZZ_SEED=${seed}`);
  const random = createRandom(seed);
  const corpus = [...loadValid(), ...loadRefused()].map(({ bytes }) => bytes);
  await using ours = await startOurReader();
  await using node = await startNodeReader();
  let cases = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < deadline) {
      const bytes = mutate(random, corpus);
      const splitAt = random.int(4) === 0 && bytes.length > 1 ? 1 + random.int(bytes.length - 1) : undefined;
      cases++;
      await assertSame(ours, node, bytes, splitAt, seed);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  t.diagnostic(`${cases} streams`);
  assert.ok(cases > 500, `${cases} streams`);
});
