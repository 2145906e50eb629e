/** Every way a request can fail in the gateway: code → status, source, retry, public message. docs/errors.md is held to it by a test. */
import type { CatalogueEntry } from './gateway-error.ts';

export const catalogue = {
  REQUEST_MALFORMED: { status: 400, source: 'client', retry: 'never', message: '400 Bad Request' },
  REQUEST_PATH_REFUSED: { status: 400, source: 'client', retry: 'never', message: '400 Bad Request' },
  REQUEST_METHOD_REFUSED: { status: 405, source: 'client', retry: 'never', message: '405 Not Allowed' },
  REQUEST_TIMEOUT: { status: 408, source: 'client', retry: 'never', message: '408 Request Timeout' },
  REQUEST_BODY_TOO_LARGE: { status: 413, source: 'client', retry: 'never', message: '413 Request Entity Too Large' },
  REQUEST_TARGET_TOO_LONG: { status: 414, source: 'client', retry: 'never', message: '414 Request-URI Too Large' },
  REQUEST_EXPECTATION_FAILED: { status: 417, source: 'client', retry: 'never', message: '417 Expectation Failed' },
  REQUEST_HEADERS_TOO_LARGE: {
    status: 431,
    source: 'client',
    retry: 'never',
    message: '431 Request Header Fields Too Large',
  },
  REQUEST_METHOD_UNSUPPORTED: { status: 501, source: 'client', retry: 'never', message: '501 Not Implemented' },
  REQUEST_VERSION_UNSUPPORTED: {
    status: 505,
    source: 'client',
    retry: 'never',
    message: '505 HTTP Version Not Supported',
  },
  CLIENT_CERTIFICATE_REFUSED: { status: 400, source: 'client', retry: 'never', message: '400 Bad Request' },
  ROUTE_NOT_FOUND: { status: 404, source: 'client', retry: 'never', message: '404 Route Not Found' },
  CLIENT_CLOSED: { status: 499, source: 'client', retry: 'never', message: '499 Client Closed Request' },
  PLUGIN_FAILED: { status: 500, source: 'gateway', retry: 'never', message: '500 Internal Server Error' },
  PLUGIN_TIMEOUT: { status: 504, source: 'gateway', retry: 'never', message: '504 Gateway Time-out' },
  PLUGIN_UNAVAILABLE: {
    status: 503,
    source: 'gateway',
    retry: 'never',
    message: '503 Service Temporarily Unavailable',
  },
  UPSTREAM_MISSING: { status: 503, source: 'gateway', retry: 'never', message: '503 Service Temporarily Unavailable' },
  UPSTREAM_NO_NODE: { status: 503, source: 'gateway', retry: 'never', message: '503 Service Temporarily Unavailable' },
  UPSTREAM_CONNECT_FAILED: { status: 502, source: 'upstream', retry: 'safe', message: '502 Bad Gateway' },
  UPSTREAM_CONNECT_TIMEOUT: { status: 504, source: 'upstream', retry: 'safe', message: '504 Gateway Time-out' },
  UPSTREAM_RESOLVE_FAILED: { status: 502, source: 'upstream', retry: 'safe', message: '502 Bad Gateway' },
  UPSTREAM_TLS_FAILED: { status: 502, source: 'upstream', retry: 'safe', message: '502 Bad Gateway' },
  UPSTREAM_CLOSED: { status: 502, source: 'upstream', retry: 'reused-only', message: '502 Bad Gateway' },
  UPSTREAM_SEND_TIMEOUT: { status: 504, source: 'upstream', retry: 'never', message: '504 Gateway Time-out' },
  UPSTREAM_READ_TIMEOUT: { status: 504, source: 'upstream', retry: 'never', message: '504 Gateway Time-out' },
  UPSTREAM_MALFORMED: { status: 502, source: 'upstream', retry: 'never', message: '502 Bad Gateway' },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;
