import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, type Logger } from './error-log.ts';
import type { LogLevel } from '../settings/settings.ts';

interface Recorded {
  readonly log: Logger;
  /** Without the time. */
  readonly lines: string[];
  readonly clock: { now: number };
}

function record(level: LogLevel = 'info'): Recorded {
  const lines: string[] = [];
  const clock = { now: Date.parse('2025-11-21T06:52:00Z') };
  const write = (line: string): void => {
    assert.match(line, /^\d{4}-\d\d-\d\dT[\d:.]{12}Z /);
    lines.push(line.slice(25));
  };
  return { log: createLogger({ level, write, now: () => clock.now }), lines, clock };
}

test('a line is time, level, message and fields', () => {
  let line = '';
  const log = createLogger({ level: 'info', write: (text) => (line = text), now: () => 1_763_707_920_000 });
  log.warn('request refused', { reason: 'key-auth.unknown_key', status: 401, consumer: undefined, path: '/a b' });
  assert.equal(
    line,
    '2025-11-21T06:52:00.000Z warn  request refused reason=key-auth.unknown_key status=401 path="/a b"\n',
  );
});

test('levels below the least are not written', () => {
  const { log, lines } = record('notice');
  log.debug('d');
  log.info('i');
  log.warn('w');
  log.error('e');
  assert.deepEqual(lines, ['warn  w\n', 'error e\n']);
  const quiet = record('crit');
  quiet.log.error('e');
  assert.deepEqual(quiet.lines, []);
});

test('a child carries its fields on every line', () => {
  const { log, lines } = record();
  log.child({ plugin: 'key-auth' }).child({ scope: 'route#1' }).info('m', { x: 1 });
  assert.deepEqual(lines, ['info  m plugin=key-auth scope=route#1 x=1\n']);
});

test('whatever a value holds, it is one line', () => {
  const { log, lines } = record();
  const evil = 'a\r\n2025 error forged\u2028\u0085\u001b[31m"\\';
  log.warn(evil, { evil, list: [evil], error: new Error(evil) });
  assert.equal(lines.length, 1);
  // eslint-disable-next-line no-control-regex -- none of them may be left
  assert.doesNotMatch(lines[0]?.slice(0, -1) ?? '', /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
});

test('a value that JSON cannot show does not break the line', () => {
  const { log, lines } = record();
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  log.info('m', { circular, call: () => undefined, big: 1n, nothing: null });
  assert.deepEqual(lines, ['info  m circular="[cannot be shown]" call="[cannot be shown]" big=1 nothing=null\n']);
});

test('identical lines are written three times in a second, then told once with their number', () => {
  const { log, lines, clock } = record();
  for (let i = 0; i < 10; i += 1) log.warn('same', { x: 1 });
  assert.equal(lines.length, 3);
  clock.now += 1000;
  log.warn('same', { x: 1 });
  assert.deepEqual(lines.slice(3), ['warn  same x=1 repeated=7\n', 'warn  same x=1\n']);
});

test('a flood of one message is held back, and the others go on', () => {
  const { log, lines } = record();
  for (let i = 0; i < 500; i += 1) log.warn('request refused', { client: `10.0.0.${String(i)}` });
  log.error('worker failed');
  assert.equal(lines.length, 101);
  assert.equal(lines.at(-1), 'error worker failed\n');
  log.flush();
  assert.equal(lines.at(-1), 'warn  log lines held back message="request refused" count=400\n');
});
