/**
 * `no verdict` in the error log: an authoriser that is down is down for every request, and each refusal has its line anyway (`request
 * refused`). So each reason is told at once, then once a minute at most, with the number of requests that it was held back for.
 */
import type { PluginDeps } from '../plugin.ts';
import type { AuthorizerError } from './verdict.ts';

const everyMs = 60_000;

export class FailureLog {
  readonly #deps: Pick<PluginDeps, 'log' | 'timers'>;
  /** Reasons that were told within the last minute → requests since. Bounded: reasons are the program's own words. */
  readonly #heldBack = new Map<string, number>();

  constructor(deps: Pick<PluginDeps, 'log' | 'timers'>) {
    this.#deps = deps;
  }

  tell({ reason, message }: AuthorizerError): void {
    const held = this.#heldBack.get(reason);
    if (held !== undefined) {
      this.#heldBack.set(reason, held + 1);
      return;
    }
    this.#deps.log.error('no verdict', { reason, detail: message });
    this.#holdBack(reason);
  }

  #holdBack(reason: string): void {
    this.#heldBack.set(reason, 0);
    this.#deps.timers.setTimeout(() => {
      const requests = this.#heldBack.get(reason) ?? 0;
      this.#heldBack.delete(reason);
      if (requests === 0) return;
      this.#deps.log.error('no verdict', { reason, requests });
      this.#holdBack(reason);
    }, everyMs);
  }
}
