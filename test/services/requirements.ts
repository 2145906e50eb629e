/**
 * What the tests need beyond npm: programs of the machine, with the Debian package that brings each.
 * Installed by `npm test` where it may (root, or sudo without a password); a new service is one more row.
 * Invariant: with CI=true nothing is skipped for want of a program; it is installed, or the run fails.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

export interface Requirement {
  /** Program looked up in PATH and in the sbin folders; an absolute path is a file that has to be there. */
  readonly command: string;
  /** Debian package that holds it. */
  readonly package: string;
}

/** Needed by `npm test`. */
export const TEST_REQUIREMENTS: readonly Requirement[] = [
  { command: 'curl', package: 'curl' },
  { command: 'openssl', package: 'openssl' },
  { command: 'jq', package: 'jq' },
  { command: 'redis-server', package: 'redis-server' },
  { command: 'redis-cli', package: 'redis-tools' },
  { command: 'python3', package: 'python3' },
  { command: 'go', package: 'golang-go' },
  { command: 'javac', package: 'default-jdk-headless' },
  { command: 'mvn', package: 'maven' },
];

/** Absolute path of a program, or undefined; sbin counts although a user's PATH may leave it out. */
export function findCommand(command: string): string | undefined {
  if (path.isAbsolute(command)) return existsSync(command) ? command : undefined;
  const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const candidate = path.join(folder, command);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/**
 * The `skip` option of a test that needs a program: false when it is there, else the reason.
 * In CI the runner has already failed, so a skip there cannot hide anything.
 */
export function skipUnless(command: string): string | false {
  return findCommand(command) === undefined ? `${command} is not installed` : false;
}

/**
 * Installs what is missing with apt-get, if it may, telling on stderr what it does.
 * Returns what is still missing afterwards. Blocks while apt-get runs, 5 minutes at most for each of its steps.
 */
export function installRequirements(requirements: readonly Requirement[]): Requirement[] {
  const missing = stillMissing(requirements);
  if (missing.length === 0) return missing;
  const packages = [...new Set(missing.map((requirement) => requirement.package))];
  const become = rootPrefix();
  if (become === undefined || findCommand('apt-get') === undefined) return missing;
  process.stderr.write(`installing ${packages.join(' ')} (Debian packages)\n`);
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...packages];
  if (!runAsRoot(become, install)) {
    // The package lists of a bare image are empty.
    runAsRoot(become, ['apt-get', 'update', '-qq']);
    runAsRoot(become, install);
  }
  return stillMissing(requirements);
}

function stillMissing(requirements: readonly Requirement[]): Requirement[] {
  return requirements.filter((requirement) => findCommand(requirement.command) === undefined);
}

/** What to put before a command to run it as root; undefined when we may not. */
function rootPrefix(): string[] | undefined {
  if (process.getuid?.() === 0) return [];
  const sudo = findCommand('sudo');
  if (sudo === undefined || spawnSync(sudo, ['-n', 'true']).status !== 0) return undefined;
  return [sudo, '-n'];
}

function runAsRoot(become: readonly string[], command: readonly string[]): boolean {
  const [program, ...rest] = [...become, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command];
  if (program === undefined) return false;
  return spawnSync(program, rest, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 }).status === 0;
}
