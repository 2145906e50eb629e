/**
 * config.yaml as a tree of plain values that still knows its lines: YAML text → substituted values + `lineOf(path)`.
 * Knows nothing of what the keys mean. Every error it raises is a SettingsError with the line.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml';
import { substituteEnvironment, UnsetVariableError, type Environment } from './environment.ts';
import { SettingsError } from './settings.ts';

export type Path = readonly (string | number)[];

export interface SettingsDocument {
  readonly file: string;
  /** The top-level mapping; `{}` for an empty file. */
  readonly root: Readonly<Record<string, unknown>>;
  /** The line (from 1) of the key, or of its nearest ancestor that the file holds. */
  lineOf(path: Path): number | undefined;
}

/** `file` is only named in errors. Throws SettingsError on bad YAML, a duplicate key, or an unset variable. */
export function parseSettingsDocument(file: string, text: string, env: Environment): SettingsDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false });
  const [failure] = document.errors;
  if (failure !== undefined) {
    throw new SettingsError(file, lines.linePos(failure.pos[0]).line, '', `not valid YAML: ${failure.message}`);
  }
  substituteScalars(document, file, lines, env);
  const lineOf = (path: Path): number | undefined => lineOfPath(document, lines, path);
  let root: unknown;
  try {
    root = document.toJS();
  } catch (error) {
    throw new SettingsError(file, undefined, '', `not valid YAML: ${(error as Error).message}`);
  }
  if (root === null || root === undefined) return { file, root: {}, lineOf };
  if (typeof root !== 'object' || Array.isArray(root)) {
    throw new SettingsError(file, 1, '', 'expected a mapping of settings');
  }
  return { file, root: root as Record<string, unknown>, lineOf };
}

/** `apisix.node_listen[0].port` */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${String(step)}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

function substituteScalars(document: Document, file: string, lines: LineCounter, env: Environment): void {
  visit(document, {
    Scalar(key, node) {
      if (key === 'key') return;
      if (typeof node.value === 'string') {
        try {
          node.value = substituteEnvironment(node.value, env);
        } catch (error) {
          if (!(error instanceof UnsetVariableError)) throw error;
          const line = node.range ? lines.linePos(node.range[0]).line : undefined;
          throw new SettingsError(file, line, '', error.message);
        }
      } else if (typeof node.value === 'number' && node.source !== undefined && /^0\d/.test(node.source)) {
        // A plain 0123 is rather a key or a code than octal or 123: YAML 1.1 and 1.2 disagree, so its text stands.
        node.value = node.source;
      }
    },
  });
}

function lineOfPath(document: Document, lines: LineCounter, path: Path): number | undefined {
  let node: unknown = document.contents;
  let offset = (node as Node | null)?.range?.[0];
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as Node | undefined;
      if (item === undefined) break;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return offset === undefined ? undefined : lines.linePos(offset).line;
}
