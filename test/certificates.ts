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

/** A CA of tests, whose certificates are signed at run time. */
export interface Authority extends Certificate {
  /** Its certificate and those above it, without the root: what a server or client sends after its own. */
  readonly chain: string;
  issue(options?: IssueOptions): Promise<Certificate>;
  /** An authority below this one. */
  intermediate(name: string): Promise<Authority>;
}

export interface IssueOptions {
  /** Common name. */
  readonly name?: string;
  /** DNS names or addresses. */
  readonly names?: readonly string[];
  /** Was valid for a day, a year ago. */
  readonly expired?: boolean;
  /** The subject alternative name's DER, in hex: for what no text says, such as a NUL. */
  readonly namesDer?: string;
  /** `rsa`: 2048 bits, `rsa-1024`: too few for TLS; by default P-256. */
  readonly key?: 'ec' | 'rsa' | 'rsa-1024';
}

export async function createAuthority(name: string): Promise<Authority> {
  return authority(await sign({ name, ca: true }, undefined), '');
}

function authority(own: Certificate, chain: string): Authority {
  return {
    ...own,
    chain,
    issue: (options = {}) => sign({ ...options, ca: false }, own),
    intermediate: async (name) => {
      const below = await sign({ name, ca: true }, own);
      return authority(below, `${below.cert}${chain}`);
    },
  };
}

/** `issuer` undefined: signs itself. */
async function sign(options: IssueOptions & { ca: boolean }, issuer: Certificate | undefined): Promise<Certificate> {
  const directory = await mkdtemp(join(tmpdir(), 'gatewright-'));
  const file = (name: string): string => join(directory, name);
  try {
    const alternatives = (options.names ?? []).map((name) => `${/^[\d.]+$/.test(name) ? 'IP' : 'DNS'}:${name}`);
    const extensions = [`basicConstraints=critical,CA:${options.ca}`];
    if (options.ca) extensions.push('keyUsage=critical,keyCertSign');
    if (alternatives.length > 0) extensions.push(`subjectAltName=${alternatives.join(',')}`);
    if (options.namesDer !== undefined) extensions.push(`subjectAltName=DER:${options.namesDer}`);
    const [from, to] = options.expired === true ? [-366, -365] : [-1, 2];
    const day = (offset: number): string =>
      new Date(Date.now() + offset * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, '');
    await writeFile(file('database'), '');
    await writeFile(
      file('settings'),
      `[req]\nprompt=no\ndistinguished_name=name\n[name]\nCN=${options.name ?? 'test'}\n[extensions]\n${extensions.join('\n')}\n` +
        `[ca]\ndefault_ca=one\n[one]\ndatabase=${file('database')}\nnew_certs_dir=${directory}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n`,
    );
    const algorithm = {
      ec: ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
      rsa: ['rsa:2048'],
      'rsa-1024': ['rsa:1024'],
    };
    // prettier-ignore
    await run('openssl', ['req', '-new', '-newkey', ...algorithm[options.key ?? 'ec'], '-nodes', '-config', file('settings'), '-keyout', file('key'), '-out', file('request')]);
    if (issuer !== undefined) {
      await writeFile(file('ca'), issuer.cert);
      await writeFile(file('ca-key'), issuer.key);
    }
    const by =
      issuer === undefined ? ['-selfsign', '-keyfile', file('key')] : ['-cert', file('ca'), '-keyfile', file('ca-key')];
    // prettier-ignore
    await run('openssl', ['ca', '-batch', '-notext', '-config', file('settings'), '-in', file('request'), '-out', file('cert'), '-extensions', 'extensions', '-startdate', day(from), '-enddate', day(to), ...by]);
    return { cert: await readFile(file('cert'), 'utf8'), key: await readFile(file('key'), 'utf8') };
  } finally {
    await rm(directory, { recursive: true });
  }
}
