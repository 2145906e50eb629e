/** The file of `ssl_trusted_certificate`: what nobody can read must stop the start, for without it every upstream would be doubted. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Why it cannot be used; undefined: it holds certificates alone, one at least. */
export function problemOfAuthorities(file: string): string | undefined {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return `${file} cannot be read: ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`;
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return `${file} holds no PEM certificate`;
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      return `${file}: its certificate number ${String(index + 1)} is damaged`;
    }
  }
  return undefined;
}
