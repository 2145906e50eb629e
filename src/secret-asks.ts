/** References that a plugin asks for while it runs: worker → control plane, where secrets are read, and back. */
import type { SecretReader } from './plugin/plugin.ts';
import { parseReference } from './secrets/reference.ts';
import type { Secrets } from './secrets/secrets.ts';

/** The worker's side. */
export class SecretAsks implements SecretReader {
  readonly #send: (id: number, reference: string) => void;
  readonly #waiting = new Map<number, (value: string | undefined) => void>();
  #nextId = 1;

  constructor(send: (id: number, reference: string) => void) {
    this.#send = send;
  }

  async resolve(reference: string): Promise<string> {
    const id = this.#nextId++;
    const value = await new Promise<string | undefined>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#send(id, reference);
    });
    if (value === undefined) throw new Error(`${reference} cannot be resolved`);
    return value;
  }

  answered(id: number, value: string | undefined): void {
    this.#waiting.get(id)?.(value);
    this.#waiting.delete(id);
  }
}

/** Different ones that plugins may ask for: a plugin that makes them up from requests shall not fill the control plane. */
const maxReferences = 1000;
const asked = new WeakMap<Secrets, Set<string>>();

/** The control plane's side. Read again and again as those of the configuration are; never rejects. */
export async function resolveAsked(secrets: Secrets, reference: string): Promise<string | undefined> {
  const known = asked.get(secrets) ?? new Set<string>();
  asked.set(secrets, known);
  if (parseReference(reference) === undefined) return undefined;
  if (!known.has(reference)) {
    if (known.size >= maxReferences) return undefined;
    known.add(reference);
    secrets.use(`asked/${reference}`, [reference]);
  }
  await secrets.ready([`asked/${reference}`]);
  return secrets.value(reference);
}
