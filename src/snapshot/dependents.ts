/** Who uses what: resource key → the routes (by id) and services (`service:ID`) that name it, kept both ways. */

const none: ReadonlySet<string> = new Set();

export class Dependents {
  readonly #users = new Map<string, Set<string>>();
  readonly #uses = new Map<string, string[]>();

  of(key: string): ReadonlySet<string> {
    return this.#users.get(key) ?? none;
  }

  /** Replaces what `user` uses: [kind, id] pairs; undefined ids are left out. */
  set(user: string, uses: readonly (readonly [kind: string, id: string | number | undefined])[]): void {
    for (const key of this.#uses.get(user) ?? []) {
      const users = this.#users.get(key);
      users?.delete(user);
      if (users?.size === 0) this.#users.delete(key);
    }
    const keys = uses.flatMap(([kind, id]) => (id === undefined ? [] : [`${kind}/${id}`]));
    if (keys.length === 0) this.#uses.delete(user);
    else this.#uses.set(user, keys);
    for (const key of keys) {
      let users = this.#users.get(key);
      if (users === undefined) this.#users.set(key, (users = new Set()));
      users.add(user);
    }
  }

  setOne(user: string, id: string | number | undefined, kind: string): void {
    this.set(user, [[kind, id]]);
  }
}
