/** Certificates for TLS tests, made by openssl at run time: nothing secret is kept in the repository. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Self-signed, so that it is its own authority. `names`: DNS names, `*.` included, or addresses. */
export async function createCertificate(...names: readonly string[]): Promise<Certificate> {
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  try {
    const alternatives = names.map((name) => `${/^[\d.]+$/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',');
    const settings = join(directory, 'settings');
    await writeFile(
      settings,
      `[req]\nprompt=no\ndistinguished_name=name\nx509_extensions=extensions\n[name]\nCN=test\n[extensions]\nsubjectAltName=${alternatives}\nbasicConstraints=CA:true\n`,
    );
    const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    // prettier-ignore
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-config', settings, '-keyout', key, '-out', cert]);
    return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
  } finally {
    await rm(directory, { recursive: true });
  }
}
