/** Configurations by token, for all processes of a runner. Tokens are random: one of an earlier run finds nothing. */
import { randomInt } from 'node:crypto';

/** A token outlives the gateway's own cache of it, so that it does not die on the way. */
const slackMs = 60_000;
const maxConfigurations = 16_384;
const maxBytes = 64 * 1024 * 1024;

export interface Registered {
  readonly token: number;
  readonly message: Uint8Array;
  /** By Date.now(). */
  readonly expires: number;
}

export class Tokens {
  readonly #expireMs: number;
  /** Oldest first. */
  readonly #byToken = new Map<number, Registered>();
  readonly #byMessage = new Map<string, number>();
  #bytes = 0;

  constructor(expireMs: number) {
    this.#expireMs = expireMs;
  }

  /** The same message has the same token, which then lives anew. */
  register(message: Uint8Array): Registered {
    const key = Buffer.from(message).toString('latin1');
    let token = this.#byMessage.get(key);
    if (token !== undefined) this.#forget(token, key);
    this.#makeRoom(message.length);
    while (token === undefined || this.#byToken.has(token)) token = randomInt(1, 2 ** 32);
    const registered = { token, message, expires: Date.now() + this.#expireMs + slackMs };
    this.#byToken.set(token, registered);
    this.#byMessage.set(key, token);
    this.#bytes += message.length;
    return registered;
  }

  find(token: number): Registered | undefined {
    const registered = this.#byToken.get(token);
    return registered !== undefined && registered.expires > Date.now() ? registered : undefined;
  }

  #makeRoom(bytes: number): void {
    for (const [token, { message, expires }] of this.#byToken) {
      const full = this.#byToken.size >= maxConfigurations || this.#bytes + bytes > maxBytes;
      if (!full && expires > Date.now()) return;
      this.#forget(token, Buffer.from(message).toString('latin1'));
    }
  }

  #forget(token: number, key: string): void {
    this.#byToken.delete(token);
    this.#byMessage.delete(key);
    this.#bytes -= key.length;
  }
}
