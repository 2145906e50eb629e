/**
 * Reads an IPv4 or IPv6 address from text into words, allocating nothing.
 * Runs per request for address matching and once per configured address; its one invariant: an IPv4-mapped IPv6
 * address (RFC 4291 §2.5.5.2) reads as the IPv4 address it holds, so that both spellings are one address.
 */

/** Four 32-bit words, most significant first. An IPv4 address is in `words[3]` alone. */
export type AddressWords = Uint32Array;

const colon = 0x3a;
const dot = 0x2e;
const percent = 0x25;

/**
 * Reads dotted decimal from `text[from, to)`: four parts, no leading zero (which some readers take as octal).
 * Returns the 32-bit value, or -1.
 */
function parseIpv4(text: string, from: number, to: number): number {
  let value = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let i = from; i < to; i++) {
    const c = text.charCodeAt(i);
    if (c === dot) {
      if (digits === 0 || ++dots > 3) return -1;
      value = value * 256 + part;
      part = 0;
      digits = 0;
    } else {
      if (c < 0x30 || c > 0x39 || (digits > 0 && part === 0)) return -1;
      part = part * 10 + c - 0x30;
      if (part > 255) return -1;
      digits++;
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + part : -1;
}

function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function setGroup(words: AddressWords, index: number, value: number): void {
  const word = index >> 1;
  words[word] = (words[word] ?? 0) | (index % 2 === 0 ? value << 16 : value);
}

/** Moves the groups after `::` (from `gap` to `count`) to the end; what they leave behind is zero. */
function openGap(words: AddressWords, gap: number, count: number): void {
  for (let i = count - 1, to = 7; i >= gap; i--, to--) {
    const word = words[i >> 1] ?? 0;
    const value = i % 2 === 0 ? word >>> 16 : word & 0xffff;
    words[i >> 1] = i % 2 === 0 ? word & 0xffff : word & 0xffff0000;
    setGroup(words, to, value);
  }
}

/** RFC 4291 §2.2, with its three forms. A zone (`%eth0`, RFC 4007 §11) is read past. */
function parseIpv6(text: string, words: AddressWords): boolean {
  const zone = text.indexOf('%');
  const end = zone === -1 ? text.length : zone;
  words.fill(0);
  let count = 0;
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === colon) {
    if (text.charCodeAt(1) !== colon) return false;
    gap = 0;
    i = 2;
  }
  while (i < end) {
    if (count === 8) return false;
    const start = i;
    let value = 0;
    let c = text.charCodeAt(i);
    for (let digit = hexDigit(c); i < end && digit !== -1 && i - start < 5; digit = hexDigit(c)) {
      value = value * 16 + digit;
      c = text.charCodeAt(++i);
    }
    if (i < end && c === dot) {
      const ipv4 = parseIpv4(text, start, end);
      if (ipv4 === -1 || count > 6) return false;
      setGroup(words, count++, ipv4 >>> 16);
      setGroup(words, count++, ipv4 & 0xffff);
      break;
    }
    if (i === start || i - start > 4) return false;
    setGroup(words, count++, value);
    if (i === end) break;
    if (c !== colon || ++i === end) return false;
    if (text.charCodeAt(i) === colon) {
      if (gap !== -1) return false;
      gap = count;
      i++;
    }
  }
  if (gap === -1) return count === 8;
  if (count === 8) return false;
  openGap(words, gap, count);
  return true;
}

/**
 * Reads `text` into `words` (which the caller owns and reuses).
 * Returns 4 or 6, the family; 0 where `text` is no address, and then `words` means nothing. Never throws.
 */
export function parseAddress(text: string, words: AddressWords): 0 | 4 | 6 {
  const ipv4 = parseIpv4(text, 0, text.length);
  if (ipv4 !== -1) {
    words[3] = ipv4;
    return 4;
  }
  if (text.charCodeAt(0) === percent || !parseIpv6(text, words)) return 0;
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? 4 : 6;
}
