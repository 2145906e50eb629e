/**
 * What an authoriser decided about a request, in the one form that is kept in the verdict cache. Invariant: what is not a verdict whole
 * is none.
 */
export interface Verdict {
  readonly passes: boolean;
  /** Username of the consumer that the caller is. */
  readonly consumer?: string;
  /** Passed: set on the request that goes upstream. Refused: sent to the client. [name, value]. */
  readonly headers?: readonly (readonly [string, string])[];
  /** Refused: what the client is answered; undefined: as the plugin's configuration says. */
  readonly status?: number;
  readonly body?: string;
}

/** Why there is no verdict. The message is for the operator and holds nothing of the request. */
export class AuthorizerError extends Error {
  override readonly name = 'AuthorizerError';
  /** The second half of a reason code: `unavailable`, `timeout`, `unusable_answer` … */
  readonly reason: string;

  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Most requests are answered with one of these. */
export const passed: Verdict = { passes: true };
const passedText = '{"passes":true}';

export function writeVerdict(verdict: Verdict): string {
  return JSON.stringify(verdict);
}

/** `text` is from `writeVerdict`. */
export function readVerdict(text: string): Verdict {
  return text === passedText ? passed : (JSON.parse(text) as Verdict);
}

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5; CR, LF and NUL never (CVE-2026-31908). */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
/** What frames a message or belongs to a connection (RFC 9110 §7.6.1, RFC 9112 §6): no authoriser's to set. */
const framing = new Set(
  'connection content-length expect host keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
);

/** Why a header cannot be set on a request, or undefined. Does not repeat the value. */
export function headerProblem(name: string, value: string): string | undefined {
  if (!token.test(name)) return 'the name of a header is not allowed';
  if (framing.has(name.toLowerCase())) return `the header ${name} cannot be set`;
  if (!fieldValue.test(value)) return `the value of the header ${name} holds characters that are not allowed`;
  return undefined;
}
