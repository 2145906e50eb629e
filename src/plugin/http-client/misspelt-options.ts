/** Option names as other software calls them, or as a hand slips, and what they are called here. */
import { httpClientSchema } from './schema.ts';

/** lua-resty-http upstream, nginx, curl, Node, Python and Go users look for these (case and separators ignored). */
const elsewhere = new Map(
  Object.entries({
    ssl_cert:
      'ssl_client_cert client_cert ssl_client_certificate client_certificate ssl_certificate certificate cert tls_cert certfile cert_file crt client_crt ssl_crt proxy_ssl_certificate ssl_cert_path ssl_cert_file',
    ssl_key:
      'ssl_client_priv_key ssl_client_key client_priv_key client_key client_private_key ssl_priv_key ssl_private_key private_key priv_key ssl_certificate_key ssl_cert_key key_file keyfile tls_key proxy_ssl_certificate_key ssl_key_path ssl_key_file ssl_client_private_key',
    ssl_ca:
      'ca ca_cert cacert ca_certs ca_file cafile ca_certificate ssl_ca_cert ssl_ca_certs ssl_cacert ssl_ca_file ssl_trusted_certificate trusted_certificate root_ca root_cas ssl_ca_certificate tls_ca proxy_ssl_trusted_certificate',
    ssl_verify:
      'verify tls_verify verify_ssl ssl_verify_peer ssl_verify_host verify_peer insecure insecure_skip_verify skip_verify reject_unauthorized proxy_ssl_verify verify_certificate',
    ssl_server_name: 'sni server_name servername tls_server_name ssl_servername ssl_sni ssl_name proxy_ssl_name',
    ssl_protocols: 'ssl_protocol tls_version tls_versions tls_protocols ssl_version min_version',
    connect_timeout: 'connection_timeout connect_timeout_ms connecttimeout',
    timeout: 'timeout_ms request_timeout read_timeout',
    keepalive: 'keep_alive',
    keepalive_timeout: 'keep_alive_timeout keepalive_idle_timeout',
    keepalive_pool: 'keepalive_pool_size keep_alive_pool pool_size',
    retries: 'retry max_retries retry_count',
    max_response_body: 'max_response_size max_body max_body_size max_resp_body max_response_bytes',
  }).flatMap(([name, others]) => others.split(' ').map((other) => [bare(other), name] as const)),
);

/** `the … is ssl_cert`, for an unknown name; undefined where nothing comes near. */
export function suggestOption(name: string): string | undefined {
  const known = elsewhere.get(bare(name)) ?? nearest(name);
  return known === undefined ? undefined : `${subjects[known] ?? 'did you mean'} ${known}`;
}

const subjects: Readonly<Record<string, string>> = {
  ssl_cert: 'the client certificate is',
  ssl_key: 'the private key of the client certificate is',
  ssl_ca: 'the authorities to verify the server with are',
  ssl_verify: 'verification of the server is switched by',
  ssl_server_name: 'the name for SNI is',
};

function bare(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '');
}

/** Two slips away at most, of names that are long enough to tell. */
function nearest(name: string): string | undefined {
  let best: string | undefined;
  let least = 3;
  for (const known of Object.keys(httpClientSchema)) {
    const slips = distance(bare(name), bare(known));
    if (slips < least && slips * 3 < known.length) [best, least] = [known, slips];
  }
  return best;
}

/** Levenshtein's. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substituted));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
