/**
 * A certificate's name as nginx writes it (`$ssl_client_s_dn`): RFC 2253, the last part first, every byte outside printable ASCII
 * escaped (`\0D\0A`, `\C3\A9`), so that no field of a certificate breaks a header or a line of a log (CVE-2023-27493).
 */

/**
 * `name`: as `X509Certificate.subject` has it, one part a line in the certificate's order, special characters escaped already.
 * undefined, for a certificate without a name, is ''.
 */
export function formatDistinguishedName(name: string | undefined): string {
  const parts = (name ?? '').split('\n').reverse();
  // Several attributes in one part are a set; the reversed order is OpenSSL's. An escaped plus is part of a value.
  return escapeBytes(parts.map((part) => part.split(' + ').reverse().join('+')).join(','));
}

/** Everything outside printable ASCII, as UTF-8, each byte as a backslash and two hex digits (RFC 2253 §2.4). */
function escapeBytes(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, (piece) =>
    Buffer.from(piece, 'utf8')
      .toString('hex')
      .toUpperCase()
      .replaceAll(/../g, (byte) => `\\${byte}`),
  );
}
