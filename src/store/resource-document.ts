/**
 * YAML or JSON text → plain values, which may say at what line an item stands. Knows nothing of resources.
 * No message repeats the text itself: the file holds secrets.
 */
import { isMap, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml';
import type { Json } from '../resources/resource.ts';
import { StoreError } from './store.ts';

export interface ResourceDocument {
  readonly root: Json;
  /** The line (from 1) of the item at `index` of the list `section`, where that is known. */
  lineOf(section: string, index: number): number | undefined;
}

/** Enough for every resource to use an anchor, few enough to stop a document whose aliases multiply. */
const MAX_ALIASES = 100_000;

/** Throws StoreError: bad YAML, with the line, or no `#END` at the end. */
export function parseYamlText(file: string, text: string): ResourceDocument {
  // Shows that whoever writes the file is done with it (APISIX: deployment-modes, Standalone).
  if (!/#END\s*$/.test(text)) {
    throw new StoreError(`${file}: the last line must be #END; without it the file counts as not yet fully written`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false });
  const [failure] = document.errors;
  if (failure !== undefined) {
    throw new StoreError(`${file}:${lines.linePos(failure.pos[0]).line}: not valid YAML: ${failure.message}`);
  }
  keepInexactNumbers(document);
  return { root: toValue(document, file), lineOf: (section, index) => lineOfItem(document, lines, section, index) };
}

/** Throws StoreError. JSON needs no `#END`: its text ends with its last brace. */
export function parseJsonText(file: string, text: string): ResourceDocument {
  try {
    return { root: JSON.parse(text) as Json, lineOf: () => undefined };
  } catch (error) {
    // V8's message quotes the text; only the position is taken from it.
    const position = /\(line (\d+) column (\d+)\)$/.exec(error instanceof Error ? error.message : '');
    const where = position === null ? '' : `:${position[1] ?? ''}:${position[2] ?? ''}`;
    throw new StoreError(`${file}${where}: not valid JSON`);
  }
}

function toValue(document: Document, file: string): Json {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES }) as Json;
  } catch (error) {
    throw new StoreError(`${file}: not valid YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** `id: 00000000000000000070` and numbers beyond 2^53 are rather names than amounts: their text stands. */
function keepInexactNumbers(document: Document): void {
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value !== 'number' || node.source === undefined) return;
      if (/^0\d+$/.test(node.source) || (/^\d+$/.test(node.source) && !Number.isSafeInteger(node.value))) {
        node.value = node.source;
      }
    },
  });
}

function lineOfItem(document: Document, lines: LineCounter, section: string, index: number): number | undefined {
  const list = isMap(document.contents) ? document.contents.get(section, true) : undefined;
  const item = isSeq(list) ? (list.items[index] as Node | undefined) : undefined;
  return item?.range ? lines.linePos(item.range[0]).line : undefined;
}
