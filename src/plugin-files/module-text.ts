/**
 * One module of a plugin: ES module source → the body of a function that does the same, so that nothing of Node's module map
 * holds it and an old version is collected when its last request is over (docs/decisions/0007-plugin-files.md).
 * Invariant: what is replaced is replaced in place by text of the same length; every other token keeps its line and column.
 */
import {
  parse,
  type ExportDefaultDeclaration,
  type ImportDeclaration,
  type ImportExpression,
  type ModuleDeclaration,
  type Node,
  type Pattern,
  type Statement,
} from 'acorn';

/** Names that stand in for `import(` and `import.meta`, as long as what they replace. */
export const dynamicImport = '$gwImp';
export const importMeta = '$gwImpMeta_';
/** The module's exports, and what takes the getters of its named ones. */
export const exportsObject = '$gwE';
export const declareExports = '$gwX';

/** A local name and what it is bound to; `*`: the whole namespace. */
export interface ImportBinding {
  readonly local: string;
  /** Index into `requests`. */
  readonly request: number;
  readonly imported: string;
  readonly line: number;
}

export interface ModuleRequest {
  readonly specifier: string;
  readonly line: number;
  readonly column: number;
  /** Of `import('./x.ts')`: loaded when it is asked for, not before. */
  readonly dynamic: boolean;
}

/** Structured-cloneable. */
export interface ModuleText {
  /** A function's body whose first line is not the file's. */
  readonly body: string;
  readonly requests: readonly ModuleRequest[];
  readonly imports: readonly ImportBinding[];
  readonly reexports: readonly { readonly request: number; readonly imported: string; readonly exported: string }[];
  readonly starExports: readonly number[];
  /** Own names that change after they were exported: to be imported through the namespace alone. */
  readonly changing: readonly string[];
}

/** `line` from 1, `column` from 0, as acorn counts. */
export interface SourceSyntaxError extends SyntaxError {
  readonly loc: { readonly line: number; readonly column: number };
}

/** `source`: JavaScript. Throws SourceSyntaxError. */
export function transformModule(source: string): ModuleText {
  const assigned = new Set<string>();
  const edits: { readonly start: number; readonly end: number; readonly text: string }[] = [];
  const requests: ModuleRequest[] = [];
  const program = parse(source, {
    ecmaVersion: 'latest',
    sourceType: 'module',
    locations: true,
    allowHashBang: true,
  });
  const requestOf = (node: Node, specifier: string, dynamic: boolean): number => {
    const { line = 1, column = 0 } = node.loc?.start ?? {};
    return requests.push({ specifier, line, column, dynamic }) - 1;
  };
  visit(program, (node) => {
    if (node.type === 'MetaProperty' && source.startsWith('import', node.start))
      edits.push({ start: node.start, end: node.end, text: importMeta });
    else if (node.type === 'ImportExpression') {
      edits.push({ start: node.start, end: node.start + 'import'.length, text: dynamicImport });
      const { source: asked } = node as ImportExpression;
      if (asked.type === 'Literal' && typeof asked.value === 'string') requestOf(node, asked.value, true);
    } else if (node.type === 'AssignmentExpression' || node.type === 'UpdateExpression')
      for (const name of namesOf(
        (node as { left?: Pattern; argument?: Pattern }).left ?? (node as unknown as { argument: Pattern }).argument,
      ))
        assigned.add(name);
  });

  const imports: ImportBinding[] = [];
  const reexports: { request: number; imported: string; exported: string }[] = [];
  const starExports: number[] = [];
  /** Exported name → local name. */
  const own = new Map<string, string>();
  const drop = (start: number, end: number, text = ''): void => void edits.push({ start, end, text });
  if (source.startsWith('#!')) drop(0, 2, '//');
  for (const node of program.body as readonly (Statement | ModuleDeclaration)[]) {
    switch (node.type) {
      case 'ImportDeclaration':
        readImports(node, requestOf(node, textOf(node.source), false), imports);
        drop(node.start, node.end, ';');
        break;
      case 'ExportAllDeclaration': {
        const request = requestOf(node, textOf(node.source), false);
        if (!node.exported) starExports.push(request);
        else reexports.push({ request, imported: '*', exported: nameOf(node.exported) });
        drop(node.start, node.end, ';');
        break;
      }
      case 'ExportNamedDeclaration':
        if (node.declaration) {
          drop(node.start, node.declaration.start);
          const { declaration } = node;
          const names =
            declaration.type === 'VariableDeclaration'
              ? declaration.declarations.flatMap(({ id }) => namesOf(id))
              : [declaration.id.name];
          for (const name of names) own.set(name, name);
        } else {
          const request = !node.source ? undefined : requestOf(node, textOf(node.source), false);
          for (const { local, exported } of node.specifiers)
            if (request === undefined) own.set(nameOf(exported), nameOf(local));
            else reexports.push({ request, imported: nameOf(local), exported: nameOf(exported) });
          drop(node.start, node.end, ';');
        }
        break;
      case 'ExportDefaultDeclaration': {
        const name = declaredName(node);
        if (name === undefined) {
          drop(node.start, node.declaration.start, `${exportsObject}.default =`);
          if (node.declaration.type.endsWith('Declaration')) drop(node.end, node.end, ';');
        } else {
          drop(node.start, node.declaration.start);
          own.set('default', name);
        }
        break;
      }
      default:
    }
  }
  // What was imported and is exported again under its local name stays as it was bound.
  const getters = [...own].map(([exported, local]) => `${JSON.stringify(exported)}:()=>${local}`).join(',');
  return {
    body: `"use strict";return(async()=>{${declareExports}({${getters}});\n${applyEdits(source, edits)}\n})()`,
    requests,
    imports,
    reexports,
    starExports,
    changing: [...own].filter(([, local]) => assigned.has(local)).map(([exported]) => exported),
  };
}

function readImports(node: ImportDeclaration, request: number, into: ImportBinding[]): void {
  for (const specifier of node.specifiers) {
    const line = specifier.loc?.start.line ?? 1;
    const imported =
      specifier.type === 'ImportSpecifier'
        ? nameOf(specifier.imported)
        : specifier.type === 'ImportDefaultSpecifier'
          ? 'default'
          : '*';
    into.push({ local: specifier.local.name, request, imported, line });
  }
}

function declaredName({ declaration }: ExportDefaultDeclaration): string | undefined {
  if (declaration.type !== 'FunctionDeclaration' && declaration.type !== 'ClassDeclaration') return undefined;
  return (declaration.id as { name: string } | null)?.name;
}

/** The names that a pattern binds or assigns. */
function namesOf(pattern: Pattern | null): string[] {
  switch (pattern?.type) {
    case 'Identifier':
      return [pattern.name];
    case 'ObjectPattern':
      return pattern.properties.flatMap((property) =>
        namesOf(property.type === 'RestElement' ? property.argument : property.value),
      );
    case 'ArrayPattern':
      return pattern.elements.flatMap(namesOf);
    case 'AssignmentPattern':
      return namesOf(pattern.left);
    case 'RestElement':
      return namesOf(pattern.argument);
    default:
      return [];
  }
}

function nameOf(node: { readonly type: string }): string {
  const { name, value } = node as { name?: string; value?: unknown };
  return name ?? String(value);
}

function textOf(literal: { readonly value?: unknown }): string {
  return String(literal.value);
}

/** Every node below `node`, itself too. */
function visit(node: Node, enter: (node: Node) => void): void {
  enter(node);
  for (const value of Object.values(node) as unknown[]) {
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) visit(item, enter);
    } else if (isNode(value)) visit(value, enter);
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

/** Blanks each range but for its line ends, and writes its text over the beginning. Ranges do not overlap. */
function applyEdits(
  source: string,
  edits: { readonly start: number; readonly end: number; readonly text: string }[],
): string {
  let result = '';
  let at = 0;
  for (const { start, end, text } of edits.sort((a, b) => a.start - b.start)) {
    const blank = source.slice(start, end).replace(/[^\r\n\u2028\u2029]/g, ' ');
    const room = /^ */.exec(blank)?.[0].length ?? 0;
    result += source.slice(at, start) + text + blank.slice(Math.min(text.length, room));
    at = end;
  }
  return result + source.slice(at);
}
