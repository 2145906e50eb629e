/**
 * The access log: one line a request in nginx's format language, escaped as nginx does. Written in the log phase, after the response.
 * The format is compiled once to a list of closures; a request costs their calls and one string.
 */
import type { Exchange } from '../plugin/exchange.ts';
import { compileVariable } from '../plugin/variables.ts';
import { createLineFile } from './line-file.ts';
import { escapers, type LogEscape } from './log-escape.ts';

export interface AccessLog {
  write(exchange: Exchange): void;
  /** After the file was rotated away. */
  reopen(): void;
  flush(): void;
  close(): void;
}

export interface AccessLogOptions {
  readonly file: string;
  /** Text with `$name` and `${name}`. */
  readonly format: string;
  readonly escape: LogEscape;
  /** Bytes (of text) collected before a write; a second's lines at most wait. */
  readonly bufferBytes: number;
  /** Lines were lost; default: a line on stderr. */
  readonly onError?: (error: Error, lostLines: number) => void;
}

/** Throws where the file cannot be opened. */
export function createAccessLog(options: AccessLogOptions): AccessLog {
  const { file, bufferBytes } = options;
  const onError = options.onError ?? ((error, lost) => void process.stderr.write(lostMessage(file, error, lost)));
  const format = compileLogFormat(options.format, options.escape);
  // The default escape leaves only ASCII, so that the bytes are the characters.
  // eslint-disable-next-line no-control-regex -- NUL is where ASCII begins
  const ascii = options.escape === 'default' && /^[\u0000-\u007f]*$/.test(options.format);
  const lines = createLineFile({ file, bufferBytes, ascii, onError });
  return {
    write(exchange) {
      lines.append(format(exchange));
    },
    reopen() {
      lines.reopen();
    },
    flush() {
      lines.flush();
    },
    close() {
      lines.close();
    },
  };
}

function lostMessage(file: string, error: Error, lost: number): string {
  return `${new Date().toISOString()} error access log cannot be written file=${JSON.stringify(file)} lost=${String(lost)} error=${JSON.stringify(error.message)}\n`;
}

/** What these hold is made here, of digits and fixed words: escaping would find nothing. */
const plain = new Set([
  'status',
  'body_bytes_sent',
  'bytes_sent',
  'request_length',
  'request_time',
  'msec',
  'time_local',
  'time_iso8601',
  'remote_addr',
  'remote_port',
  'server_addr',
  'server_port',
  'server_protocol',
  'scheme',
  'pid',
  'request_id',
  'upstream_addr',
  'upstream_status',
  'upstream_response_time',
  'upstream_connect_time',
  'upstream_header_time',
  'upstream_scheme',
]);

/** The line of an exchange, with its newline. Line ends in the format itself become spaces. */
export function compileLogFormat(format: string, escape: LogEscape): (exchange: Exchange) => string {
  const escaper = escapers[escape];
  const nothing = escaper(undefined);
  /** Literal text before each value, then the value; `tail` after the last. */
  const literals: string[] = [];
  const values: ((exchange: Exchange) => string)[] = [];
  let position = 0;
  const text = format.trim().replace(/\s*[\r\n]+\s*/g, ' ');
  for (const match of text.matchAll(/\$(?:\{(\w+)\}|(\w+))/g)) {
    literals.push(text.slice(position, match.index));
    position = match.index + match[0].length;
    const name = match[1] ?? match[2] ?? '';
    const variable = compileVariable(name);
    if (plain.has(name)) values.push((exchange) => variable(exchange) ?? nothing);
    else if (name === 'request') {
      // The method is a token and the version ours: only the target can hold what is to be escaped.
      values.push(({ method, target, httpVersion }) => `${method} ${escaper(target)} HTTP/${httpVersion}`);
    } else values.push((exchange) => escaper(variable(exchange)));
  }
  const tail = `${text.slice(position)}\n`;
  return (exchange) => {
    let line = '';
    for (let i = 0; i < values.length; i += 1)
      line += (literals[i] as string) + (values[i] as (typeof values)[0])(exchange);
    return line + tail;
  };
}
