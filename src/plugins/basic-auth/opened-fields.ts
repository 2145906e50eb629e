/**
 * Authorization fields that opened a credential, so that the same field is decoded and verified once. Looked up by SHA-256 under a
 * random key: no digest leaves the process, and without the key what is kept here is no help in guessing a password.
 * Bounded: the oldest goes. Whoever asks still checks that the credential is the one in force.
 */
import { hash, randomBytes } from 'node:crypto';

export interface Opened<Found> {
  readonly name: string;
  readonly found: Found;
}

export class OpenedFields<Found> {
  /** As text one block of SHA-256. */
  readonly #key = randomBytes(32).toString('hex');
  readonly #opened = new Map<string, Opened<Found>>();
  readonly #limit: number;

  constructor(limit = 4096) {
    this.#limit = limit;
  }

  digest(field: string): string {
    return hash('sha256', this.#key + field, 'latin1');
  }

  find(digest: string): Opened<Found> | undefined {
    return this.#opened.get(digest);
  }

  remember(digest: string, opened: Opened<Found>): void {
    this.#opened.delete(digest);
    if (this.#opened.size >= this.#limit) {
      const oldest = this.#opened.keys().next();
      if (!oldest.done) this.#opened.delete(oldest.value);
    }
    this.#opened.set(digest, opened);
  }
}
