/** A report as text for a terminal: one heading a line, what belongs to it beside it, at most 100 columns. */
import type { ExplainReport, ExplainStep } from './report.ts';

const width = 100;
const headingWidth = 10;

export function renderReport(report: ExplainReport): string {
  const lines: string[] = [];
  const put = (heading: string, texts: readonly string[]): void => {
    texts
      .flatMap((text) => wrap(clean(text), width - headingWidth))
      .forEach((text, index) => {
        lines.push(`${(index === 0 ? heading : '').padEnd(headingWidth)}${text}`.trimEnd());
      });
  };
  if (report.path !== undefined) {
    put('path', [report.path]);
    put('route', [routeText(report), ...report.misses.map((miss) => `not ${miss.id}: ${miss.detail}`)]);
    put('plugins', stepLines(report.steps));
    put('consumer', [consumerText(report)]);
  }
  if (report.upstream !== undefined) {
    const { key, node, scheme, method, target, host } = report.upstream;
    put('upstream', [`${method} ${target}`, `to ${scheme}://${node ?? '(no node)'}, Host ${host} (${key})`]);
  }
  put('outcome', outcomeTexts(report));
  return `${lines.join('\n')}\n`;
}

function routeText({ route }: ExplainReport): string {
  if (route === undefined) return 'none matches';
  return `${route.id}${route.name === undefined ? '' : ` "${route.name}"`}, uri ${route.uri}`;
}

function consumerText({ consumer }: ExplainReport): string {
  if (consumer === undefined) return 'none';
  const { username, credentialId, groupId } = consumer;
  const more = [
    ...(credentialId === undefined ? [] : [`credential ${credentialId}`]),
    ...(groupId === undefined ? [] : [`group ${groupId}`]),
  ];
  return more.length === 0 ? username : `${username} (${more.join(', ')})`;
}

function outcomeTexts({ outcome }: ExplainReport): string[] {
  const { status, reason, detail } = outcome;
  if (status === undefined) return ['goes upstream'];
  return [`${status}${reason === undefined ? '' : ` ${reason}`}`, ...(detail === undefined ? [] : [detail])];
}

/** One line a step, in columns; a detail follows on its own, indented. */
function stepLines(steps: readonly ExplainStep[]): string[] {
  if (steps.length === 0) return ['none'];
  const cells = steps.map((step) => [step.verdict, step.phase, String(step.priority), step.plugin, step.from]);
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return steps.flatMap((step, index) => {
    const row = (cells[index] ?? []).map((cell, column) =>
      column === 2 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    );
    const { reason, detail } = step;
    const line = `${row.join('  ')}  ${reason ?? ''}`;
    return detail === undefined ? [line] : [line, `    ${detail}`];
  });
}

/** Breaks at spaces where it can; what follows is indented as the first line, and two more. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  const indent = `${/^ */.exec(text)?.[0] ?? ''}  `;
  let rest = text.trimEnd();
  while (rest.length > columns) {
    const space = rest.lastIndexOf(' ', columns);
    const cut = space > indent.length ? space : columns;
    lines.push(rest.slice(0, cut).trimEnd());
    rest = `${indent}${rest.slice(cut).trimStart()}`;
  }
  return [...lines, rest];
}

/** Paths come from requests: what a terminal would obey is shown as a mark. */
function clean(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd');
}
