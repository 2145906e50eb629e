/**
 * Tokens that were verified, by SHA-256, so that a token costs its signature once. Only good ones are remembered.
 * Bounded: the oldest goes. Whoever asks still checks that what the verdict rests on is unchanged.
 */
import { hash } from 'node:crypto';
import type { Lifetime } from './claims.ts';

const limit = 4096;

export class VerifiedTokens<Verdict extends Lifetime> {
  readonly #verdicts = new Map<string, Verdict>();

  /** A verdict whose lifetime holds now. */
  find(digest: string, nowSeconds: number): Verdict | undefined {
    const verdict = this.#verdicts.get(digest);
    if (verdict === undefined) return undefined;
    if (verdict.expires > nowSeconds && verdict.notBefore <= nowSeconds) return verdict;
    this.#verdicts.delete(digest);
    return undefined;
  }

  remember(digest: string, verdict: Verdict): void {
    this.#verdicts.delete(digest);
    if (this.#verdicts.size >= limit) {
      const oldest = this.#verdicts.keys().next();
      if (!oldest.done) this.#verdicts.delete(oldest.value);
    }
    this.#verdicts.set(digest, verdict);
  }
}

export function tokenDigest(token: string): string {
  return hash('sha256', token, 'base64');
}
