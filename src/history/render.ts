/** What the Admin API says of the history, for a terminal. Nothing of a resource reaches it as a control character. */
import type { ShownChange, ShownCommit, ShownHistory, ShownRollback } from '../admin/history-routes.ts';
import type { Json } from '../resources/resource.ts';
import { mask } from '../resources/secret-fields.ts';

type Field = ShownChange['fields'][number];

/** A line a change, the newest first. */
export function renderHistory(list: readonly ShownHistory[], total: number): string {
  if (list.length === 0) return 'nothing is recorded\n';
  const rows = [
    ['REVISION', 'TIME', 'WHO', 'ACTION', 'RESOURCE', 'CHANGE'],
    ...list.map((one) => [
      String(one.revision),
      one.time.replace(/\.\d+Z$/, 'Z'),
      one.who,
      one.action,
      one.resource,
      summary(one),
    ]),
  ].map((row) => row.map(printable));
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  if (list.length < total) lines.push(`(${String(list.length)} of ${String(total)}; --limit shows more)`);
  return `${lines.join('\n')}\n`;
}

/** Every field of every resource that one revision changed. */
export function renderCommit(commit: ShownCommit): string {
  const from = commit.address === undefined ? '' : ` from ${commit.address}`;
  const lines = [`revision ${String(commit.revision)}  ${commit.time}  ${commit.who}${from}  ${commit.action}`];
  for (const one of commit.list) {
    lines.push('', `${one.resource} ${one.change}`);
    if (one.change === 'created') lines.push(...signed('+', one.after));
    else if (one.change === 'deleted') lines.push(...signed('-', one.before));
    else for (const field of one.fields) lines.push(...wholeField(field));
  }
  return `${lines.map(printable).join('\n')}\n`;
}

export function renderRollback(done: ShownRollback, to: number): string {
  const count = done.list.length === 1 ? '1 resource' : `${String(done.list.length)} resources`;
  const lines = done.list.map((one) => printable(`${one.resource}  ${summary(one)}`));
  if (done.list.length === 0) lines.push(`nothing differs from revision ${String(to)}; nothing was changed`);
  else if (done.dry_run)
    lines.push(
      `${count} would go back to revision ${String(to)}; nothing was changed ` +
        `(the store is at revision ${String(done.revision)}: --if-revision ${String(done.revision)} does just this or nothing)`,
    );
  else lines.push(`${count} went back to revision ${String(to)}, as revision ${String(done.revision)}`);
  return `${lines.join('\n')}\n`;
}

const shownFields = 3;
const shownCharacters = 40;

function summary({ change, fields }: ShownChange): string {
  if (change !== 'updated') return change;
  if (fields.length === 0) return 'written again as it was';
  const shown = fields.slice(0, shownFields).map(({ path, from, to }) => {
    if (from === mask && to === mask) return `${path}: another secret`;
    return `${path}: ${brief(from)} → ${brief(to)}`;
  });
  const more = fields.length - shown.length;
  return shown.join('; ') + (more > 0 ? `; and ${String(more)} more` : '');
}

/** JSON.stringify is undefined for undefined, which its type does not say: a field that is not there comes as undefined. */
function brief(value: Json | undefined): string {
  if (value === undefined) return '(none)';
  const text = JSON.stringify(value);
  return text.length <= shownCharacters ? text : `${text.slice(0, shownCharacters - 1)}…`;
}

function wholeField({ path, from, to }: Field): string[] {
  if (from === mask && to === mask) return [`  ${path}: another secret`];
  return [`  ${path}`, ...(from === undefined ? [] : signed('-', from)), ...(to === undefined ? [] : signed('+', to))];
}

function signed(sign: '+' | '-', value: Json): string[] {
  return JSON.stringify(value, null, 2)
    .split('\n')
    .map((line) => `  ${sign} ${line}`);
}

/** Control characters, and those that change the direction of writing, by their number. */
function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}
