/**
 * The one error class and the catalogue it draws on.
 * A client sees `status` and `publicMessage`; an operator reads `code`, `detail` and `cause`. No secret belongs in either.
 */
import { catalogue, type ErrorCode } from './catalogue.ts';

export type ErrorSource = 'client' | 'upstream' | 'gateway';
/** never: not safe; reused-only: only when a pooled connection was stale; safe: nothing was sent yet. */
export type RetryPolicy = 'never' | 'reused-only' | 'safe';

export interface CatalogueEntry {
  /** HTTP status the client receives; 0 where the connection is closed without an answer. */
  readonly status: number;
  readonly source: ErrorSource;
  readonly retry: RetryPolicy;
  /** What the client reads, as `error_msg`. */
  readonly message: string;
}

export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  /** For the operator only. */
  readonly detail: string | undefined;

  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? code : `${code}: ${detail}`, options);
    this.code = code;
    this.detail = detail;
  }

  get status(): number {
    return catalogue[this.code].status;
  }
  get source(): ErrorSource {
    return catalogue[this.code].source;
  }
  get retry(): RetryPolicy {
    return catalogue[this.code].retry;
  }
  get publicMessage(): string {
    return catalogue[this.code].message;
  }
}

/** Configuration that cannot be used; the message is shown to whoever wrote it and names the field. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
