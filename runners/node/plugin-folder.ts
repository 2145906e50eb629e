/**
 * The folder of plugins, in the supervisor: which files there are, and the last good version of each. Files are run only in a
 * thread made for checking them, and in the processes. A name that two files claim belongs to neither.
 */
import type { PluginBundle } from '../../src/plugin-files/bundle.ts';
import { checkFiles } from '../../src/plugin-files/check-files.ts';
import { findPluginFiles } from '../../src/plugin-files/find-files.ts';
import { directoriesOf, watchDirectories, type DirectoryWatch } from '../../src/plugin-files/watch-directories.ts';
import * as log from './log.ts';

interface Good {
  readonly name: string;
  readonly bundle: PluginBundle;
}

export class PluginFolder {
  readonly #folder: string;
  readonly #onChange: (bundles: readonly PluginBundle[]) => void;
  #good = new Map<string, Good>();
  /** Of each file that failed, what was said: not again for the same. */
  readonly #problems = new Map<string, string>();
  #watch: DirectoryWatch | undefined;
  #refreshing: Promise<void> = Promise.resolve();

  constructor(folder: string, onChange: (bundles: readonly PluginBundle[]) => void) {
    this.#folder = folder;
    this.#onChange = onChange;
  }

  /** Resolves once the files that there are now are checked. Rejects where the folder cannot be read. */
  async open(): Promise<void> {
    await this.#refresh();
    const changed = (): void => {
      this.#refreshing = this.#refreshing
        .then(() => this.#refresh())
        .catch((error: unknown) => {
          log.failure('the folder of plugins', error);
        });
    };
    this.#watch = watchDirectories(changed, (error) => log.failure('the folder of plugins is not watched', error));
    this.#watchAgain();
    // What changed between the reading and the watching.
    changed();
  }

  close(): void {
    this.#watch?.close();
  }

  /** Of the plugins that serve. */
  bundles(): PluginBundle[] {
    const owners = Map.groupBy(this.#good.values(), (good) => good.name);
    return [...owners.values()]
      .filter((claims) => claims.length === 1)
      .flatMap(([good]) => (good ? [good.bundle] : []));
  }

  async #refresh(): Promise<void> {
    const files = findPluginFiles([this.#folder]);
    const checked = await checkFiles(files);
    const before = this.#good;
    const good = new Map<string, Good>();
    for (const { file, outcome } of checked) {
      const last = before.get(file);
      if ('problem' in outcome) {
        this.#complain(file, outcome.problem, last !== undefined);
        if (last !== undefined) good.set(file, last);
        continue;
      }
      this.#problems.delete(file);
      good.set(file, last?.bundle.hash === outcome.bundle.hash ? last : outcome);
    }
    this.#good = good;
    const news = [...good].filter(([file, one]) => before.get(file) !== one);
    this.#watchAgain();
    if (news.length === 0 && good.size === before.size) return;
    for (const [name, claims] of Map.groupBy(good, ([, one]) => one.name))
      if (claims.length > 1)
        log.line('error', `plugin ${name} is in ${claims.map(([file]) => file).join(' and ')}: none of them is used`);
    this.#onChange(this.bundles());
    for (const [file, { name }] of news) log.line('info', `loaded ${file}: ${name}`);
  }

  #complain(file: string, problem: { message: string; position?: { line: number } | undefined }, kept: boolean): void {
    const at = problem.position === undefined ? '' : `:${problem.position.line}`;
    const said = `${file}${at} does not load${kept ? ', the version before it stays' : ''}: ${problem.message}`;
    if (this.#problems.get(file) !== said) log.line('error', said);
    this.#problems.set(file, said);
  }

  #watchAgain(): void {
    const modules = [...this.#good.values()].flatMap(({ bundle }) =>
      bundle.modules.map(({ url }) => new URL(url).pathname),
    );
    this.#watch?.set(directoriesOf([this.#folder], modules.map(decodeURIComponent)));
  }
}
