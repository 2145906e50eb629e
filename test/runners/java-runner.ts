/**
 * Apache's Java plugin runner (org.apache.apisix:apisix-runner-starter 0.4.0, fetched by Maven) with the plugins of
 * `test/runners/java`, compiled once and kept.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { builtOnce } from '../services/built-once.ts';

const version = '0.4.0';
const starter = `apisix-runner-starter-${version}.jar`;
const source = path.join(import.meta.dirname, 'java/org/apache/apisix/plugin/runner/filter');
const stepLimitMs = 120_000;

/** Program and arguments that start it. Throws where it cannot be fetched or compiled. */
export function javaRunner(): string[] {
  const files = readdirSync(source).map((file) => path.join(source, file));
  const digest = createHash('sha256');
  for (const file of files) digest.update(readFileSync(file));
  const name = `java-runner-${version}-${digest.digest('hex').slice(0, 16)}`;
  const directory = builtOnce(name, (folder) => {
    build(folder, files);
  });
  return [
    'java',
    '-XX:TieredStopAtLevel=1',
    '-Xmx128m',
    '-cp',
    path.join(directory, starter),
    `-Dloader.path=${path.join(directory, 'classes')}`,
    'org.springframework.boot.loader.PropertiesLauncher',
  ];
}

function build(folder: string, files: readonly string[]): void {
  run('mvn', [
    '-B',
    '-q',
    'dependency:copy',
    `-Dartifact=org.apache.apisix:apisix-runner-starter:${version}`,
    `-DoutputDirectory=${folder}`,
  ]);
  run('jar', ['xf', starter, 'BOOT-INF/lib'], folder);
  const libraries = path.join(folder, 'BOOT-INF/lib');
  const classPath = readdirSync(libraries).map((jar) => path.join(libraries, jar));
  // Lombok is among the libraries, and would process annotations.
  run('javac', ['-proc:none', '-d', path.join(folder, 'classes'), '-cp', classPath.join(path.delimiter), ...files]);
  rmSync(path.join(folder, 'BOOT-INF'), { recursive: true });
}

function run(program: string, args: readonly string[], cwd?: string): void {
  const done = spawnSync(program, args, { cwd, encoding: 'utf8', timeout: stepLimitMs });
  if (done.status !== 0) throw new Error(`${program} failed: ${done.stderr || done.stdout || String(done.error)}`);
}
