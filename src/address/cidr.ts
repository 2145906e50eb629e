/**
 * A list of addresses and CIDR blocks, compiled once to a function asked per request ("is this peer in the list?").
 * Overlapping blocks are merged into sorted ranges, so a look-up is one binary search, whatever the list's length,
 * and allocates nothing.
 */
import { ConfigError } from '../errors/gateway-error.ts';
import { parseAddress } from './parse-address.ts';

interface Range {
  first: bigint;
  last: bigint;
}

interface Block extends Range {
  family: 4 | 6;
}

/** `ADDRESS` or `ADDRESS/PREFIX`; host bits set below the prefix are dropped, as APISIX does. */
function parseBlock(item: string): Block {
  const words = new Uint32Array(4);
  const slash = item.indexOf('/');
  const address = slash === -1 ? item : item.slice(0, slash);
  const family = address.includes('%') ? 0 : parseAddress(address, words);
  if (family === 0) throw new ConfigError(`invalid ip address: ${item}`);
  const value = words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
  const writtenBits = address.includes(':') ? 128 : 32;
  const prefix = slash === -1 ? String(writtenBits) : item.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > writtenBits) {
    throw new ConfigError(`invalid ip address: ${item}`);
  }
  const hostBits = BigInt(writtenBits - Number(prefix));
  // ::ffff:0:0/96 and narrower is a block of IPv4; a wider one (`::/0`) is IPv6 alone, as mapped addresses count as IPv4.
  if (family === 4 && hostBits <= 32n) {
    const ipv4 = (value & 0xffffffffn) >> hostBits;
    return { family, first: ipv4 << hostBits, last: ((ipv4 + 1n) << hostBits) - 1n };
  }
  const network = value >> hostBits;
  return { family: 6, first: network << hostBits, last: ((network + 1n) << hostBits) - 1n };
}

/** Sorted, disjoint, none touching the next. */
function mergeRanges(ranges: Range[]): Range[] {
  const merged: Range[] = [];
  for (const { first, last } of ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const previous = merged.at(-1);
    if (previous === undefined || first > previous.last + 1n) merged.push({ first, last });
    else if (last > previous.last) previous.last = last;
  }
  return merged;
}

/** The ranges' ends as rows of `width` 32-bit words. */
function toRows(values: bigint[], width: number): Uint32Array {
  const rows = new Uint32Array(values.length * width);
  values.forEach((value, row) => {
    for (let word = 0; word < width; word++) {
      rows[row * width + word] = Number((value >> BigInt(32 * (width - 1 - word))) & 0xffffffffn);
    }
  });
  return rows;
}

/** Is row `row` of `rows` ≤ the address in `words`? Both hold their words right-aligned. */
function rowNotAbove(rows: Uint32Array, row: number, width: number, words: Uint32Array): boolean {
  for (let i = 0; i < width; i++) {
    const a = rows[row * width + i] ?? 0;
    const b = words[4 - width + i] ?? 0;
    if (a !== b) return a < b;
  }
  return true;
}

function compileRanges(ranges: Range[], width: number): (words: Uint32Array) => boolean {
  const merged = mergeRanges(ranges);
  const count = merged.length;
  if (count === 0) return () => false;
  const firsts = toRows(
    merged.map((range) => range.first),
    width,
  );
  // One past each range's end would overflow at the top, so the last address is kept and compared from the other side.
  const lasts = toRows(
    merged.map((range) => range.last),
    width,
  );
  return (words) => {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (rowNotAbove(firsts, middle, width, words)) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return false;
    const row = low - 1;
    for (let i = 0; i < width; i++) {
      const last = lasts[row * width + i] ?? 0;
      const word = words[4 - width + i] ?? 0;
      if (word !== last) return word < last;
    }
    return true;
  };
}

/**
 * Compiles addresses and CIDR blocks (IPv4 and IPv6 mixed). An IPv4-mapped IPv6 address is the IPv4 address, in the
 * list and in the request. Throws ConfigError naming the first bad item.
 * The returned function never throws: text that is no address is in no list, and what that means is the caller's to
 * decide (a deny-list must not take it for innocence).
 */
export function compileAddressMatcher(list: readonly string[]): (address: string) => boolean {
  const blocks = list.map(parseBlock);
  const inIpv4 = compileRanges(
    blocks.filter((block) => block.family === 4),
    1,
  );
  const inIpv6 = compileRanges(
    blocks.filter((block) => block.family === 6),
    4,
  );
  const words = new Uint32Array(4);
  return (address) => {
    const family = parseAddress(address, words);
    return family === 4 ? inIpv4(words) : family === 6 && inIpv6(words);
  };
}
