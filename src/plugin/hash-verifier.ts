/**
 * Checks presented secrets against slow hashes without stalling the worker: once per secret, then by a keyed digest.
 * Invariants: a verified secret costs one HMAC; at most one hash is under way and `maxWaiting` wait, of those `maxFrom` from one
 * address, and what comes beyond is refused; the same attempt made twice at once is hashed once; nothing that is kept
 * here tells a secret to who reads memory without the random key.
 *
 *   presented → HMAC → remembered for this credential? → yes: right
 *                    → failed lately, for this name?    → yes: wrong
 *                    → under way?                       → its outcome
 *                    → place in the queue?              → no: undefined (refuse for now); else hash, remember, answer
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createKeyedDigest } from './keyed-digest.ts';
import { hashSecret, type SlowHash } from './password-hash.ts';

/** A credential that is kept as a hash. Made when the credential is compiled, so that a change forgets what was remembered. */
export interface HashedSecret {
  readonly form: SlowHash;
  /** HMAC of the secret that was verified last. */
  remembered: Buffer | undefined;
}

/** The same secret behind both: a credential that was compiled again while its hash was under way. */
export function sameHash(one: HashedSecret | undefined, other: HashedSecret | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  return one === other || (one.form.hash.equals(other.form.hash) && one.form.salt.equals(other.form.salt));
}

export interface Attempt {
  /** What is presented. */
  readonly secret: string;
  /** For whom: user name or key id, known or not. */
  readonly name: string;
  /** The client's address. */
  readonly from: string;
}

/** undefined: too much waits, nothing was judged. */
export type Verdict = boolean | undefined;

export interface HashVerifierOptions {
  readonly maxWaiting?: number;
  readonly maxFrom?: number;
  /** Failed attempts that are remembered. */
  readonly maxFailures?: number;
}

export class HashVerifier {
  readonly #digest = createKeyedDigest(randomBytes(32));
  readonly #maxWaiting: number;
  readonly #maxFrom: number;
  readonly #maxFailures: number;
  /** Attempts that failed, oldest first. */
  readonly #failures = new Set<string>();
  readonly #underWay = new Map<string, Promise<Verdict>>();
  readonly #queue: (() => void)[] = [];
  readonly #from = new Map<string, number>();
  #hashing = false;

  constructor(options: HashVerifierOptions = {}) {
    this.#maxWaiting = options.maxWaiting ?? 32;
    this.#maxFrom = options.maxFrom ?? 8;
    this.#maxFailures = options.maxFailures ?? 1024;
  }

  /** Was this secret verified already, since the credential was compiled? */
  remembers({ remembered }: HashedSecret, secret: string): boolean {
    return remembered !== undefined && timingSafeEqual(this.#digest(secret), remembered);
  }

  /** A promise only where it must be hashed. Never rejects: what cannot be hashed is not judged. */
  verify(hashed: HashedSecret, attempt: Attempt): Verdict | Promise<Verdict> {
    const digest = this.#digest(attempt.secret);
    if (hashed.remembered !== undefined && timingSafeEqual(digest, hashed.remembered)) return true;
    return this.#judge(hashed.form, attempt, (matches) => {
      // scrypt keys an HMAC with the secret, and HMAC fills its key up with NUL: `secret\0` would match `secret`.
      if (!matches || attempt.secret.includes('\0')) return false;
      hashed.remembered = digest;
      return true;
    });
  }

  /** Costs what a wrong secret for `form` costs, and is never right: for names that do not exist. */
  refuse(form: SlowHash, attempt: Attempt): Verdict | Promise<Verdict> {
    this.#digest(attempt.secret);
    return this.#judge(form, attempt, () => false);
  }

  #judge(form: SlowHash, attempt: Attempt, settle: (matches: boolean) => boolean): Verdict | Promise<Verdict> {
    const { secret, name, from } = attempt;
    const key = this.#digest(`${name.length.toString()}:${name}${form.salt.toString('base64')}:${secret}`).toString(
      'base64',
    );
    if (this.#failures.has(key)) return false;
    const known = this.#underWay.get(key);
    if (known !== undefined) return known;
    const busyFrom = this.#from.get(from) ?? 0;
    if (this.#queue.length >= this.#maxWaiting || busyFrom >= this.#maxFrom) return undefined;
    this.#from.set(from, busyFrom + 1);
    const verdict = this.#hash(form, secret)
      .then(settle)
      .catch((): Verdict => undefined)
      .then((outcome) => {
        this.#underWay.delete(key);
        const left = (this.#from.get(from) ?? 1) - 1;
        if (left === 0) this.#from.delete(from);
        else this.#from.set(from, left);
        if (outcome === false) this.#rememberFailure(key);
        return outcome;
      });
    this.#underWay.set(key, verdict);
    return verdict;
  }

  /** One at a time in this worker: the pool has few threads, which the other workers and the DNS use too. */
  async #hash(form: SlowHash, secret: string): Promise<boolean> {
    if (this.#hashing) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#hashing = true;
    try {
      return timingSafeEqual(await hashSecret(form, secret), form.hash);
    } finally {
      const next = this.#queue.shift();
      // The place goes straight to the next: nobody slips in between.
      if (next === undefined) this.#hashing = false;
      else next();
    }
  }

  #rememberFailure(key: string): void {
    if (this.#failures.size >= this.#maxFailures) {
      const [oldest] = this.#failures;
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
    this.#failures.add(key);
  }
}
