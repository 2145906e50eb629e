/**
 * What the control plane sends to every worker of one plugin file: all of its own modules, ready to run. Structured-cloneable.
 */
import type { ModuleText } from './module-text.ts';

export interface BundledModule {
  /** `file:` URL: what stack traces, breakpoints and `import.meta.url` say. */
  readonly url: string;
  /** undefined: JSON, whose text is `json`. */
  readonly text: ModuleText | undefined;
  readonly json: string | undefined;
  /** For each request of the text: index of the bundled module; undefined: a package, or a module of Node.js. */
  readonly targets: readonly (number | undefined)[];
}

export interface PluginBundle {
  /** Absolute path of the plugin's file. */
  readonly file: string;
  /** Of all its own modules' content. */
  readonly hash: string;
  /** The first is the plugin's file. */
  readonly modules: readonly BundledModule[];
}

/** Where in a file something is wrong. `line` and `column` from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number | undefined;
  /** The line itself. */
  readonly source: string | undefined;
}

/** Why a file is no plugin, for its author. Structured-cloneable. */
export interface PluginProblem {
  readonly message: string;
  readonly position: SourcePosition | undefined;
}

export class PluginFileError extends Error {
  override readonly name = 'PluginFileError';
  readonly position: SourcePosition | undefined;

  constructor(message: string, position?: SourcePosition, options?: ErrorOptions) {
    super(message, options);
    this.position = position;
  }
}
