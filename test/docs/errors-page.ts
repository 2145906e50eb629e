/** docs/errors.md, made from the catalogue: `node test/docs/errors-page.ts` writes it, errors.test.ts compares. */
import { writeFileSync } from 'node:fs';
import { catalogue } from '../../src/errors/catalogue.ts';

export const errorsPage = new URL('../../docs/errors.md', import.meta.url);

/** What an operator can do, or what it means; beside the catalogue because clients never see it. */
const meanings: Readonly<Record<keyof typeof catalogue, string>> = {
  REQUEST_MALFORMED: 'The bytes are no HTTP/1.1 request, or one that two readers could understand differently.',
  REQUEST_PATH_REFUSED:
    'The path holds a control byte, a backslash, broken percent-encoding, `..` above the root, or, once rewritten, dot segments.',
  REQUEST_METHOD_REFUSED: 'CONNECT or TRACE.',
  REQUEST_TIMEOUT: 'The client did not send its head or body in time (`client_header_timeout`, `client_body_timeout`).',
  REQUEST_BODY_TOO_LARGE: 'Larger than `client_max_body_size`, or than what a plugin may read.',
  REQUEST_TARGET_TOO_LONG: 'The request-target alone is longer than `gatewright.limits.header_size`.',
  REQUEST_EXPECTATION_FAILED: '`Expect` asks for something else than `100-continue`.',
  REQUEST_HEADERS_TOO_LARGE: 'More than `gatewright.limits.header_size` or `header_count` allows.',
  REQUEST_METHOD_UNSUPPORTED: 'A method that HTTP does not know.',
  REQUEST_VERSION_UNSUPPORTED: 'Neither HTTP/1.0 nor HTTP/1.1.',
  CLIENT_CERTIFICATE_REFUSED:
    "The server name's `ssl` resource asks for a client certificate (`client.ca`), and the connection showed none that is good for this Host. The log says why; docs/client-certificates.md.",
  ROUTE_NOT_FOUND: 'No route matches. `gatewright explain` tells why the nearest ones do not.',
  CLIENT_CLOSED: 'The client went away before it had its answer. It sees nothing; the log has the code.',
  PLUGIN_FAILED: 'A plugin threw. The error log names it; the request was refused.',
  PLUGIN_TIMEOUT: 'A plugin did not end a phase within its `timeoutMs`. The error log names it.',
  PLUGIN_UNAVAILABLE: 'The route, or what it refers to, cannot be used as it is configured. The error log says why.',
  UPSTREAM_MISSING: 'The route has no upstream, and no plugin answered.',
  UPSTREAM_NO_NODE: 'The upstream has no node that may take traffic.',
  UPSTREAM_CONNECT_FAILED: 'The node refused the connection, or no node was left to try.',
  UPSTREAM_CONNECT_TIMEOUT: 'No connection within `timeout.connect`.',
  UPSTREAM_RESOLVE_FAILED: "The node's name has no address.",
  UPSTREAM_TLS_FAILED: 'The TLS handshake with the node failed; with `tls.verify`, perhaps its certificate.',
  UPSTREAM_CLOSED: 'The node closed the connection before or inside its response.',
  UPSTREAM_SEND_TIMEOUT: 'The node took nothing of the request within `timeout.send`.',
  UPSTREAM_READ_TIMEOUT: 'The node sent nothing within `timeout.read`.',
  UPSTREAM_MALFORMED: 'What the node sent is no HTTP response that can be trusted.',
};

const retries = {
  never: 'no',
  'reused-only': 'only on a stale pooled connection',
  safe: 'on the next node',
} as const;

export function renderErrorsPage(): string {
  const rows = Object.entries(catalogue).map(
    ([code, { status, source, retry, message }]) =>
      `| \`${code}\` | ${status} | ${source} | ${retries[retry]} | ${message} | ${meanings[code as keyof typeof catalogue]} |`,
  );
  return `# Errors

Every way a request can fail in the gateway itself. The client reads the message, as JSON: \`{"error_msg":"404 Route Not Found"}\`.
The code is for operators: it is the \`reason\` in the error log and in \`gatewright explain\`. A plugin's refusals have codes
of their own (\`key-auth.unknown_key\`), on the plugin's page.

Source: who has to do something. Tried again: whether the gateway may send the request once more, within \`retries\`; a
request without a body whose method is idempotent is also tried again after \`UPSTREAM_CLOSED\` and the upstream time-outs.

| code | status | source | tried again | message | meaning |
|---|---|---|---|---|---|
${rows.join('\n')}
`;
}

if (import.meta.main) writeFileSync(errorsPage, renderErrorsPage());
