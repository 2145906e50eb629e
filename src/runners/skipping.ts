/**
 * Runners that skip a plugin which they do not know, or whose configuration they cannot read, and answer as if nothing were amiss:
 * Apache's for Go and Java. What gives them away is a line that they print before they answer.
 * A line alone proves nothing (a plugin may print what a client sent): only what is said while a question is open counts.
 * Runs in the control plane.
 */

/** No runner has it. One that takes this name skips what it does not know. */
export const unknownPlugin = 'gatewright-asks-for-an-unknown-plugin';

/** What Apache's Go runner (0.5) and Java runner (0.4) print. */
const phrases: readonly ((name: string) => string)[] = [
  (name) => `can't find plugin ${name}, skip`,
  (name) => `failed to parse configuration for plugin ${name}, configuration: `,
  (name) => `receive undefined filter: ${name}, skip it`,
];

export class SkipWatch {
  readonly #open = new Set<{ readonly phrases: readonly string[]; heard: boolean }>();

  /** A runner printed `line`. */
  onLine(line: string): void {
    for (const question of this.#open)
      if (question.phrases.some((phrase) => line.includes(phrase))) question.heard = true;
  }

  /** Does what `ask` does; resolves to whether the runner said meanwhile that it skips that plugin. Rejects as `ask`. */
  async during(plugin: string, ask: () => Promise<void>): Promise<boolean> {
    const question = { phrases: phrases.map((phrase) => phrase(plugin)), heard: false };
    this.#open.add(question);
    try {
      await ask();
      // What it printed before its answer has come by the end of this turn of the event loop, though perhaps after the answer.
      await new Promise((resolve) => setImmediate(resolve));
      return question.heard;
    } finally {
      this.#open.delete(question);
    }
  }
}
