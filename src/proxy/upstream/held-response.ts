/**
 * A response that plugins look at before any of it is sent: keeps the pieces that come, and makes the upstream wait where there
 * are too many for nobody. Beside forward.ts, for exchanges alone whose plugins ask for it.
 */
import type { GatewayError } from '../../errors/gateway-error.ts';
import type { Fields } from '../http1/fields.ts';
import type { UpstreamConnection } from './connection.ts';

/** Kept while nobody has asked for the body. */
const maxUnaskedBytes = 65_536;

export class HeldResponse {
  /** All of it has come. */
  ended = false;
  trailers: Fields | undefined = undefined;
  readonly #connection: UpstreamConnection;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #maxBytes = maxUnaskedBytes;
  #body: Promise<Uint8Array> | undefined;
  #settle: { resolve(body: Uint8Array): void; reject(error: Error): void } | undefined;

  constructor(connection: UpstreamConnection) {
    this.#connection = connection;
  }

  /** The whole body, again and again the same. */
  body(maxBytes: number): Promise<Uint8Array> {
    this.#body ??= new Promise((resolve, reject) => {
      this.#maxBytes = maxBytes;
      this.#settle = { resolve, reject };
      if (!this.ended) this.#connection.resume();
      this.#check();
    });
    return this.#body;
  }

  /** What was kept, once. */
  take(): Buffer[] {
    return this.#pieces.splice(0);
  }

  /** `piece` is its own from here on. */
  onData(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#check();
  }

  onEnd(trailers: Fields | undefined): void {
    this.ended = true;
    this.trailers = trailers;
    this.#check();
  }

  onError(error: GatewayError): void {
    this.#settle?.reject(error);
    this.#settle = undefined;
  }

  #check(): void {
    if (this.#bytes > this.#maxBytes) {
      if (!this.ended) this.#connection.pause();
      this.#settle?.reject(new RangeError(`the response body is larger than ${String(this.#maxBytes)} bytes`));
      this.#settle = undefined;
    } else if (this.ended && this.#settle !== undefined) {
      const whole = Buffer.concat(this.#pieces);
      this.#pieces = whole.length === 0 ? [] : [whole];
      this.#settle.resolve(whole);
      this.#settle = undefined;
    }
  }
}
