/**
 * Writes of one turn of the event loop, sent together at its end. Sockets that share a peer process then wake it once, not once
 * each: on a busy gateway the wake-up is the dearest part of a small write. Adds nothing to an idle one's latency but the
 * rest of the turn.
 */

export interface Flushable {
  /** Sends what has gathered. Must not throw. */
  flushWrites(): void;
}

export class WriteQueue {
  readonly #items: (Flushable | undefined)[] = [];
  #count = 0;
  readonly #run = (): void => {
    const items = this.#items;
    // What is added meanwhile is of this turn, too.
    for (let i = 0; i < this.#count; i++) {
      items[i]?.flushWrites();
      items[i] = undefined;
    }
    this.#count = 0;
  };

  /** Once a turn for each item: the item keeps track. */
  add(item: Flushable): void {
    if (this.#count === 0) setImmediate(this.#run);
    this.#items[this.#count++] = item;
  }
}
