/**
 * The operator's log: one readable line an event, `time level message key=value …`. Levels, by who has to do something:
 *   error  the gateway or its configuration failed, and somebody must act
 *   warn   one request, node or setting went wrong, and traffic goes on: refusals, failed attempts, ignored settings
 *   info   what is expected and worth a trace: start, stop, reload, a client's malformed request
 *   debug  for whoever works on the gateway itself; never on in production
 *   Nothing is logged for a request that went well (the access log has it), and no secret, header value or body at any level.
 * Invariant: whatever the values hold, an event is one line; and a flood of one message cannot drown the others.
 */
import type { LogLevel } from '../settings/settings.ts';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** The same log, with these fields on every line. */
  child(fields: LogFields): Logger;
  /** Writes what was held back of repeated lines. Happens by itself once a second. */
  flush(): void;
}

export interface LoggerOptions {
  /** The least level that is written. */
  readonly level: LogLevel;
  /** Takes one line with its newline; must not block. */
  readonly write: (line: string) => void;
  /** Milliseconds since 1970; default Date.now. */
  readonly now?: () => number;
}

type Severity = 'error' | 'warn' | 'info' | 'debug';

/** Ascending; syslog's order, of which we write four. */
const order: Readonly<Record<LogLevel, number>> = {
  debug: 0,
  info: 1,
  notice: 2,
  warn: 3,
  error: 4,
  crit: 5,
  alert: 6,
  emerg: 7,
};

const windowMs = 1000;
/** Of one identical line in a window; more are counted and told once. */
const mostIdentical = 3;
/** Lines that begin with the same message in a window, whatever their fields: a client that is refused 10,000 times a second. */
const mostOfMessage = 100;

export function createLogger({ level, write, now = Date.now }: LoggerOptions): Logger {
  const throttle = createThrottle(write, now);
  const least = order[level];
  const build = (context: string): Logger => {
    const at = (severity: Severity): Logger['error'] => {
      if (order[severity] < least) return () => undefined;
      const label = severity.padEnd(5);
      return (message, fields) => {
        if (throttle.isFull(message)) return;
        throttle.write(message, `${label} ${inOneLine(message)}${context}${formatFields(fields)}`);
      };
    };
    return {
      error: at('error'),
      warn: at('warn'),
      info: at('info'),
      debug: at('debug'),
      child: (fields) => build(context + formatFields(fields)),
      flush() {
        throttle.flush();
      },
    };
  };
  return build('');
}

interface Throttle {
  /** Counts the message as held back when it is. */
  isFull(message: string): boolean;
  write(message: string, text: string): void;
  flush(): void;
}

/**
 * One window at a time, for all levels together. When it ends, each line that was held back is told with how often.
 * The maps are bounded: at most `mostOfMessage` texts for each message, and messages are the program's own words.
 */
function createThrottle(write: (line: string) => void, now: () => number): Throttle {
  let windowStart = 0;
  let timer: NodeJS.Timeout | undefined;
  const byMessage = new Map<string, number>();
  const byText = new Map<string, number>();

  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const time = new Date(now()).toISOString();
    for (const [text, count] of byText) {
      if (count > mostIdentical) write(`${time} ${text} repeated=${String(count - mostIdentical)}\n`);
    }
    for (const [message, count] of byMessage) {
      if (count > mostOfMessage) {
        write(`${time} warn  log lines held back message=${quote(message)} count=${String(count - mostOfMessage)}\n`);
      }
    }
    byMessage.clear();
    byText.clear();
  };
  const holdBack = (): void => {
    timer ??= setTimeout(flush, windowMs).unref();
  };

  return {
    flush,
    isFull(message) {
      const time = now();
      if (time - windowStart >= windowMs || time < windowStart) {
        flush();
        windowStart = time;
      }
      const count = (byMessage.get(message) ?? 0) + 1;
      byMessage.set(message, count);
      if (count <= mostOfMessage) return false;
      holdBack();
      return true;
    },
    write(_message, text) {
      const count = (byText.get(text) ?? 0) + 1;
      byText.set(text, count);
      if (count <= mostIdentical) write(`${new Date(now()).toISOString()} ${text}\n`);
      else holdBack();
    },
  };
}

function formatFields(fields: LogFields | undefined): string {
  if (fields === undefined) return '';
  let text = '';
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) text += ` ${key}=${formatValue(value)}`;
  }
  return text;
}

function formatValue(value: unknown): string {
  if (typeof value === 'string') return /^[\w.:/@*?&%+#,;~-]+$/.test(value) ? value : quote(value);
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') {
    return String(value);
  }
  if (value instanceof Error) return quote(value.stack ?? value.message);
  try {
    const text: unknown = JSON.stringify(value);
    return typeof text === 'string' ? inOneLine(text) : '"[cannot be shown]"';
  } catch {
    return '"[cannot be shown]"';
  }
}

const quote = (text: string): string => inOneLine(JSON.stringify(text));

/** Control characters, C1 and the Unicode line ends too, as escapes: a terminal or a log reader obeys none. */
function inOneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- they are what it is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
