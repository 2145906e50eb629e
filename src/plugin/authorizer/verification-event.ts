/**
 * What a verification function is given and what it returns: one format for functions of every kind (module, http, tencent-scf,
 * aws-lambda). Names are those of the cloud gateways' events, so that a function written for one of them reads the same fields.
 * docs/custom-verification.md is the prose.
 */

export interface VerificationEvent {
  readonly httpMethod: string;
  /** Normalised: percent-decoded once, without `//`, `.` and `..`: what routing matched. */
  readonly path: string;
  /** Lower-case name → value; several of one name are joined by `, ` (`; ` for cookie). */
  readonly headers: Readonly<Record<string, string>>;
  /** Lower-case name → values, in order: for every name that came more than once. */
  readonly multiValueHeaders: Readonly<Record<string, readonly string[]>>;
  /** Decoded name → decoded value; the last of several. */
  readonly queryString: Readonly<Record<string, string>>;
  /** Decoded name → decoded values, in order: for every name that came more than once. */
  readonly multiValueQueryString: Readonly<Record<string, readonly string[]>>;
  /** The verification parameters alone: name as configured → value; a parameter that did not come is absent. */
  readonly headerParameters: Readonly<Record<string, string>>;
  readonly queryStringParameters: Readonly<Record<string, string>>;
  /** Only where `is_send_body` is true, and the request has one. */
  readonly body?: string;
  /** The body is no UTF-8 text, and stands as Base64. */
  readonly isBase64Encoded: boolean;
  readonly requestContext: {
    readonly sourceIp: string;
    readonly host: string;
    readonly scheme: 'http' | 'https';
    /** '' where no route matched (a global rule). */
    readonly routeId: string;
    readonly serviceId?: string;
    /** Who an auth plugin that ran before took the caller for. */
    readonly consumer?: { readonly username: string; readonly credentialId?: string; readonly groupId?: string };
  };
}

/** Beside the event, for functions of the kind `module`. */
export interface FunctionContext {
  readonly namespace: string;
  readonly name: string;
  readonly qualifier: string;
  /** Milliseconds since 1970: an answer after it is not waited for. */
  readonly deadline: number;
  /** Aborted then: for fetch. */
  readonly signal: AbortSignal;
}

/** Only `api-auth: true` lets a request pass. */
export interface VerificationAnswer {
  readonly 'api-auth': boolean | null;
  /** Whom the caller is taken for: the username of a consumer. One that does not exist is refused. */
  readonly consumer?: string;
  /** Set on the request that goes upstream. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Seconds that this verdict may be kept; never longer than `cache_time`. 0: not at all. */
  readonly ttl?: number;
  /** Of a refusal: what the client reads. */
  readonly message?: string;
  /** Of a refusal: 400 to 599. */
  readonly status?: number;
}
