/**
 * What a token's payload must say (RFC 7519 §4.1): lifetime, issuer, audience, scopes. Compiled once; no I/O.
 * Invariant: `exp` and `nbf` hold whenever they are present, whatever the configuration lists.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

export interface ClaimsConfig {
  claims_to_verify?: string[];
  issuer?: string | string[];
  audience?: string | string[];
  scopes?: string[];
}

/** Seconds since the epoch. */
export interface Lifetime {
  readonly notBefore: number;
  readonly expires: number;
}

export interface ClaimsRefusal {
  /** 401: the token is not good here; 403: it is, and does not reach this far (RFC 6750 §3.1). */
  readonly status: 401 | 403;
  readonly reason: string;
}

export interface ClaimRules {
  /** `graceSeconds`: leeway on both ends; `issuer`: accepted where the configuration names none. */
  check(payload: JsonObject, nowSeconds: number, graceSeconds: number, issuer?: string): Lifetime | ClaimsRefusal;
}

export function compileClaims(config: ClaimsConfig): ClaimRules {
  const required = new Set(config.claims_to_verify);
  const issuers = listOf(config.issuer);
  const audiences = listOf(config.audience);
  const scopes = config.scopes ?? [];
  return {
    check: (payload, now, grace, issuer) => {
      const expires = instant(payload, 'exp', required, Infinity);
      if (typeof expires !== 'number') return expires;
      const notBefore = instant(payload, 'nbf', required, -Infinity);
      if (typeof notBefore !== 'number') return notBefore;
      if (expires + grace <= now) return refusal('expired');
      if (notBefore - grace > now) return refusal('not_yet_valid');
      const accepted = issuers ?? (issuer === undefined ? undefined : [issuer]);
      if (accepted !== undefined && !accepted.includes(claim(payload, 'iss') as string)) return refusal('wrong_issuer');
      if (audiences !== undefined && !textsOf(claim(payload, 'aud')).some((value) => audiences.includes(value))) {
        return refusal('wrong_audience');
      }
      if (scopes.length > 0) {
        const granted = new Set([...wordsOf(claim(payload, 'scope')), ...wordsOf(claim(payload, 'scp'))]);
        if (!scopes.every((scope) => granted.has(scope))) return { status: 403, reason: 'missing_scope' };
      }
      return { notBefore: notBefore - grace, expires: expires + grace };
    },
  };
}

/** A claim by its name or, where no claim bears it, by a path with dots (`realm_access.roles`). */
export function claim(payload: JsonObject, path: string): unknown {
  if (Object.hasOwn(payload, path)) return payload[path];
  let value: unknown = payload;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as JsonObject)[name];
  }
  return value;
}

/** A string or a list of strings → the strings. */
export function textsOf(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((item) => typeof item === 'string');
}

/** RFC 8693 §4.2: scopes in one string with spaces; some issuers send a list. */
function wordsOf(value: unknown): string[] {
  return textsOf(value).flatMap((text) => text.split(' '));
}

function listOf(value: string | string[] | undefined): readonly string[] | undefined {
  return typeof value === 'string' ? [value] : value;
}

/** NumericDate (RFC 7519 §2); JSON's 1e999 is no instant. */
function instant(
  payload: JsonObject,
  name: string,
  required: ReadonlySet<string>,
  absent: number,
): number | ClaimsRefusal {
  if (!Object.hasOwn(payload, name)) return required.has(name) ? refusal('claim_missing') : absent;
  const value = payload[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : refusal('claim_invalid');
}

function refusal(reason: string): ClaimsRefusal {
  return { status: 401, reason };
}
