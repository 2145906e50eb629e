/** What `bench/run.ts` runs: a scenario measures and reports figures, some of them held against a target. */

export interface Options {
  /** Rounds of each alternation; medians are over them. */
  readonly rounds: number;
  /** Of load, in each round. */
  readonly seconds: number;
  /** Sizes are a tenth: to see that it runs. */
  readonly quick: boolean;
  /** Progress, for a person who waits. */
  progress(text: string): void;
}

export interface Report {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly targets: readonly Target[];
  /** Everything measured, for the JSON file. */
  readonly data: unknown;
}

/** `value` must not exceed `limit`. */
export interface Target {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly unit: string;
}

export interface Scenario {
  readonly name: string;
  readonly what: string;
  run(options: Options): Promise<Report>;
}
