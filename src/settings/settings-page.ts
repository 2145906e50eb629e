/**
 * docs/settings.md, made from the table of keys. `node src/settings/settings-page.ts` writes it; a test fails when it is out of date.
 * Not on the request path, and not loaded by the gateway.
 */
import { writeFileSync } from 'node:fs';
import { keys, type Key, type KeyName } from './keys.ts';
import { notHonoured, notYetInEffect } from './not-honoured.ts';

const introduction = `# Settings

\`gatewright start --config FILE\` reads APISIX's \`config.yaml\`. \`gatewright check --config FILE\` says what is wrong with it.
This page is made from the code (\`node src/settings/settings-page.ts\`).

- A wrong value of a key below stops the start, with file, line, key and reason.
- A key that APISIX has and we do not honour, or that nobody knows, is one warning that names it.
- A key that is absent, or null, has its default.
- \`\${{NAME}}\` and \`\${{NAME:=default}}\` take a value from the environment.
- Times: \`60s\`, \`1m\`, \`1h30m\`, \`500ms\`; a bare number is seconds. Sizes: \`16m\`, \`8k\`; a bare number is bytes.
- Nothing listens beyond loopback until the file says so. A bare port in a listen list is on all interfaces, as in APISIX; give
  \`{ip: 127.0.0.1, port: 9080}\` to stay on loopback. Port 0 takes a free port.
- Relative paths are relative to the working directory. The data directory is \`--data-dir\`, by default \`./data\`.
`;

/** The whole page, ending in a newline. */
export function renderSettingsPage(): string {
  const rows = Object.entries(keys).map(
    ([name, key]) =>
      `| \`${name}\` | ${cell(key.kind.name)} | ${cell(showDefault(key))} | ${cell(key.meaning)}${pending(name)} |`,
  );
  const ignored = Object.entries(notHonoured).map(([name, { reason }]) => `| \`${name}\` | ${cell(reason)} |`);
  return [
    introduction,
    '## Honoured\n',
    '| key | value | default | meaning |',
    '|---|---|---|---|',
    ...rows,
    '\n## Known, without effect\n',
    '| key | why |',
    '|---|---|',
    ...ignored,
    '',
  ].join('\n');
}

function showDefault({ kind, initial, unset }: Key): string {
  if (unset !== undefined) return unset;
  if (kind.name === 'time' && typeof initial === 'number') return `${String(initial / 1000)}s`;
  if (Array.isArray(initial)) return initial.length === 0 ? 'none' : initial.join(', ');
  return typeof initial === 'string' ? `\`${initial}\`` : String(initial);
}

/** What the reader must know where the feature is not there yet. */
function pending(name: string): string {
  const entry = notYetInEffect[name as KeyName];
  return entry === undefined ? '' : ` **No effect yet**: ${cell(entry.reason)}.`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

if (import.meta.main) writeFileSync(new URL('../../docs/settings.md', import.meta.url), renderSettingsPage());
