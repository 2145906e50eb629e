/**
 * Consistent hashing on a ring of points, in the manner of ketama: an endpoint owns points in proportion to its weight, a
 * key belongs to the first point at or after its hash. A joining or leaving endpoint moves only the keys that it owns.
 * Points depend on nothing but the endpoint, so every worker and every restart agrees. A retry walks on along the ring.
 *
 *   0 ──•A────•B──•C───────•A──•C────•B── 2³²
 *            ↑ hash(key)      → C, then A, then B
 */
import type { BalancedEndpoint, Balancer, BalancerDeps } from './balancer.ts';

/** Points of the endpoint with the least weight; as many as ketama's servers have. */
const pointsPerWeight = 160;
/** Bound on a ring's points (6 bytes each); beyond it all endpoints get proportionally fewer. */
const maxPoints = 65_536;
/** An owner's index sits in the low 16 bits of a sort key. */
const ownerLimit = 65_536;

export function createChash(endpoints: readonly BalancedEndpoint[], { hashKey }: BalancerDeps): Balancer {
  const { points, owners } = buildRing(endpoints);
  const last = points.length - 1;
  return {
    pick(exchange, tried) {
      let index = firstAtOrAfter(points, hashText(hashKey(exchange)));
      if (tried.length === 0) return endpoints[owners[index] ?? 0];
      for (let steps = points.length; steps > 0; steps--) {
        const endpoint = endpoints[owners[index] ?? 0];
        if (endpoint !== undefined && !tried.includes(endpoint)) return endpoint;
        index = index === last ? 0 : index + 1;
      }
      return undefined;
    },
  };
}

/** Points in ascending order and, beside each, the index of the endpoint that owns it. */
function buildRing(endpoints: readonly BalancedEndpoint[]): { points: Uint32Array; owners: Uint16Array } {
  const usable = endpoints.slice(0, ownerLimit);
  const least = usable.reduce((least, { weight }) => Math.min(least, weight), Infinity);
  const total = usable.reduce((sum, { weight }) => sum + weight, 0);
  const density = Math.min(pointsPerWeight / least, maxPoints / total);
  const keys: number[] = [];
  usable.forEach((endpoint, owner) => {
    const seed = hashText(`${endpoint.label}/${endpoint.address}`);
    const count = Math.max(1, Math.round(endpoint.weight * density));
    for (let i = 1; i <= count; i++) keys.push(mix(seed ^ mix(Math.imul(i, 0x9e3779b1))) * ownerLimit + owner);
  });
  const sorted = Float64Array.from(keys).sort();
  return {
    points: Uint32Array.from(sorted, (key) => Math.floor(key / ownerLimit)),
    owners: Uint16Array.from(sorted, (key) => key % ownerLimit),
  };
}

/** Index of the first point that is not below `hash`; the ring's first one past the end. */
function firstAtOrAfter(points: Uint32Array, hash: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((points[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return low === points.length ? 0 : low;
}

/** FNV-1a over the UTF-16 units, then `mix`: 32 bits, unsigned. Spreads; protects against nothing. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** MurmurHash3's finalizer: every input bit reaches every output bit. */
function mix(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
