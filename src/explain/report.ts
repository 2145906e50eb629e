/** What explain is asked and what it answers; the same for the command line and the control API. Plain data. */

export interface ExplainRequest {
  readonly method: string;
  /** Absolute: scheme, host, path, query. */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The client's address; default 127.0.0.1. */
  readonly remoteAddress?: string;
}

export interface ExplainStep {
  readonly plugin: string;
  /** The response phases stand for plugins that have none of the first three. */
  readonly phase: 'rewrite' | 'access' | 'before_proxy' | 'upstream_response' | 'header_filter' | 'body_filter' | 'log';
  /** Where it is configured: `global_rule`, `route`, `consumer`. */
  readonly from: 'global_rule' | 'route' | 'consumer';
  readonly priority: number;
  /** skipped: its `_meta.filter` does not match; on response: it has no part in the request. */
  readonly verdict: 'passed' | 'refused' | 'failed' | 'skipped' | 'not reached' | 'on response';
  /** `key-auth.unknown_key` */
  readonly reason: string | undefined;
  readonly detail: string | undefined;
}

export interface ExplainMiss {
  readonly id: string;
  readonly reason: string;
  readonly detail: string;
}

export interface ExplainUpstream {
  /** `upstreams/1`, `routes/1` */
  readonly key: string;
  /** `host:port`; undefined where none can take the request. */
  readonly node: string | undefined;
  readonly scheme: string;
  readonly method: string;
  /** The values of the query are masked. */
  readonly target: string;
  readonly host: string;
}

export interface ExplainReport {
  /** The path that rules see; undefined where the request is malformed. */
  readonly path: string | undefined;
  readonly route: { readonly id: string; readonly name: string | undefined; readonly uri: string } | undefined;
  /** The nearest routes that do not match, and why. */
  readonly misses: readonly ExplainMiss[];
  readonly steps: readonly ExplainStep[];
  readonly consumer:
    | { readonly username: string; readonly credentialId: string | undefined; readonly groupId: string | undefined }
    | undefined;
  /** What the request line and Host would be, and which node it would go to. */
  readonly upstream: ExplainUpstream | undefined;
  /** `status` undefined: the request goes upstream, and the answer is the upstream's. */
  readonly outcome: {
    readonly status: number | undefined;
    readonly reason: string | undefined;
    readonly detail: string | undefined;
  };
}
