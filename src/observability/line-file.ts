/**
 * A file that several threads append whole lines to. Lines are collected and written together: when `bufferBytes` have come together,
 * or a second after the first. Runs in the log phase, off a request's critical path.
 * Invariant: every write ends at a line end and is one appending system call, so that lines of different threads never mix.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

export interface LineFile {
  /** `line` ends in a newline. */
  append(line: string): void;
  flush(): void;
  /** Opens the name anew, after what was rotated away. Throws where the new file cannot be opened, and goes on with the old one. */
  reopen(): void;
  close(): void;
}

export interface LineFileOptions {
  /** A path; `/dev/stdout` and `/dev/stderr` mean the process's own. Directories are made. */
  readonly file: string;
  readonly bufferBytes: number;
  /** The caller's word that every line is ASCII; default false: UTF-8. */
  readonly ascii?: boolean;
  /** The log cannot be written; lines were lost. At most once a minute. */
  readonly onError: (error: Error, lostLines: number) => void;
}

const flushAfterMs = 1000;
const errorEveryMs = 60_000;
/** PIPE_BUF of Linux: a larger write to a pipe may be torn apart. */
const pipeBytes = 4096;

/** Throws where the file cannot be opened. */
export function createLineFile({ file, bufferBytes, ascii = false, onError }: LineFileOptions): LineFile {
  const sink = openSink(file);
  const encoding = ascii ? 'latin1' : 'utf8';
  /** Bytes that one code unit may become. */
  const widest = ascii ? 1 : 3;
  // Copying each line at once is far cheaper than one long string of all: V8 would keep that as a tree of pieces.
  const pending = Buffer.allocUnsafeSlow(Math.max(bufferBytes, 4096) * 2);
  let used = 0;
  let lines = 0;
  let lost = 0;
  let lastError = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const write = (bytes: Buffer, count: number): void => {
    try {
      sink.write(bytes);
    } catch (error) {
      lost += count;
      if (performance.now() - lastError < errorEveryMs) return;
      lastError = performance.now();
      onError(error as Error, lost);
      lost = 0;
    }
  };
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (used === 0) return;
    const bytes = pending.subarray(0, used);
    const count = lines;
    used = 0;
    lines = 0;
    write(bytes, count);
  };

  return {
    append(line) {
      if (closed) return;
      if (line.length * widest > pending.length - used) {
        flush();
        if (line.length * widest > pending.length) {
          write(Buffer.from(line, encoding), 1);
          return;
        }
      }
      used += pending.write(line, used, encoding);
      lines += 1;
      if (used >= bufferBytes) flush();
      else timer ??= setTimeout(flush, flushAfterMs).unref();
    },
    flush,
    reopen() {
      flush();
      sink.reopen();
    },
    close() {
      if (closed) return;
      flush();
      closed = true;
      sink.close();
    },
  };
}

interface Sink {
  /** The bytes are the caller's again afterwards. */
  write(bytes: Buffer): void;
  reopen(): void;
  close(): void;
}

function openSink(file: string): Sink {
  if (file === '/dev/stdout') return streamSink(process.stdout);
  if (file === '/dev/stderr') return streamSink(process.stderr);
  mkdirSync(dirname(file), { recursive: true });
  let descriptor = openForAppend(file);
  return {
    write(bytes) {
      if (fstatSync(descriptor).isFile()) writeAll(descriptor, bytes);
      else for (const piece of splitAtLines(bytes, pipeBytes)) writeAll(descriptor, piece);
    },
    reopen() {
      const next = openForAppend(file);
      closeSync(descriptor);
      descriptor = next;
    },
    close() {
      closeSync(descriptor);
    },
  };
}

/** Not blocking: for a pipe that nobody reads, an error is better than a gateway that waits. Addresses and paths are not for everyone: 0640. */
function openForAppend(file: string): number {
  return openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK, 0o640);
}

function streamSink(stream: NodeJS.WriteStream): Sink {
  return {
    write: (bytes) => void stream.write(Buffer.from(bytes)),
    reopen: () => undefined,
    close: () => undefined,
  };
}

function writeAll(descriptor: number, bytes: Buffer): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(descriptor, bytes, written);
}

/** Pieces of at most `limit` bytes that end at line ends; a longer line is a piece of its own. */
function* splitAtLines(bytes: Buffer, limit: number): Generator<Buffer> {
  let start = 0;
  while (start < bytes.length) {
    let end = bytes.length;
    if (end - start > limit) {
      const before = bytes.lastIndexOf(0x0a, start + limit - 1);
      end = (before >= start ? before : bytes.indexOf(0x0a, start)) + 1;
      if (end === 0) end = bytes.length;
    }
    yield bytes.subarray(start, end);
    start = end;
  }
}
