/** Two readings of the same bytes: whether ours is the same, or stricter, or a danger. */
import type { SeenRequest } from '../wire/harness.ts';
import type { Reading } from './readings.ts';

/** A sentence where ours accepts what node:http does not, or frames it in another way; undefined where all is well. */
export function compareReadings(ours: Reading, node: Reading): string | undefined {
  for (const [index, request] of ours.requests.entries()) {
    const other = node.requests[index];
    const what = `request ${index} (${request.method} ${request.target})`;
    // What follows an offer to upgrade is no HTTP to node:http, whether the offer is taken or not.
    if (other === undefined && index > 0 && offersUpgrade(node.requests[index - 1])) return undefined;
    if (other === undefined) return `${what} is accepted, node:http does not see it`;
    const difference = compareHeads(request, other) ?? compareBodies(request, other, ours.refused);
    if (difference !== undefined) return `${what}: ${difference}`;
  }
  const last = ours.requests.at(-1);
  const stopped = ours.refused || last?.keepAlive === false || last?.method === 'CONNECT';
  if (node.requests.length > ours.requests.length && !stopped)
    return `node:http sees ${node.requests.length} requests, we see ${ours.requests.length} and refuse nothing`;
  return undefined;
}

function offersUpgrade(request: SeenRequest | undefined): boolean {
  return request?.fields.some(([name]) => name.toLowerCase() === 'upgrade') ?? false;
}

function compareHeads(ours: SeenRequest, node: SeenRequest): string | undefined {
  if (ours.method !== node.method) return `the method is ${node.method} to node:http`;
  if (ours.target !== node.target) return `the target is ${node.target} to node:http`;
  if (ours.minor !== node.minor) return `the version is 1.${node.minor} to node:http`;
  const a = JSON.stringify(ours.fields);
  const b = JSON.stringify(withoutListed(node.fields));
  return a === b ? undefined : `the fields are ${b} to node:http, ${a} to us`;
}

function compareBodies(ours: SeenRequest, node: SeenRequest, refused: boolean): string | undefined {
  if (ours.complete && !node.complete) return 'it is complete to us and not to node:http';
  if (!ours.complete && node.complete && !refused) return 'it is complete to node:http and not to us';
  const length = ours.complete
    ? Math.max(ours.body.length, node.body.length)
    : Math.min(ours.body.length, node.body.length);
  if (!ours.body.subarray(0, length).equals(node.body.subarray(0, length)))
    return `the body is ${JSON.stringify(node.body.toString('latin1'))} to node:http, ${JSON.stringify(ours.body.toString('latin1'))} to us`;
  if (!ours.complete) return undefined;
  const a = JSON.stringify(ours.trailers);
  const b = JSON.stringify(node.trailers);
  return a === b ? undefined : `the trailers are ${b} to node:http, ${a} to us`;
}

/** Our parser drops the fields that Connection names (RFC 9110 §7.6.1); node:http leaves that to its user. */
function withoutListed(fields: SeenRequest['fields']): SeenRequest['fields'] {
  const listed = new Set<string>();
  for (const [name, value] of fields) {
    if (name.toLowerCase() !== 'connection') continue;
    for (const option of value.split(',')) listed.add(option.trim().toLowerCase());
  }
  for (const known of ['close', 'keep-alive', 'upgrade', '']) listed.delete(known);
  return fields.filter(([name]) => !listed.has(name.toLowerCase()));
}
