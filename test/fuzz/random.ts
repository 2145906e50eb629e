/** How long a fuzzing test runs, and from which seed. */

/** `FUZZ_SEED` repeats a run; `FUZZ_SECONDS` lengthens it. */
export function fuzzSettings(seconds: number): { seed: number; deadline: number } {
  const seed =
    process.env['FUZZ_SEED'] === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(process.env['FUZZ_SEED']);
  const duration = process.env['FUZZ_SECONDS'] === undefined ? seconds : Number(process.env['FUZZ_SECONDS']);
  return { seed, deadline: performance.now() + duration * 1000 };
}
