/**
 * A file that lines are appended to without waiting for the disk. Several workers may have the same one: every write ends at a
 * line end and is one appending call. What the disk cannot take is dropped and told, once a minute at most.
 */
import { createWriteStream, type WriteStream } from 'node:fs';

export interface AppendFile {
  /** `line` without its newline. */
  append(line: string): void;
  /** Opens the name anew, after the file was rotated away. */
  reopen(): void;
  /** Resolves when all is written, or failed. */
  close(): Promise<void>;
}

/** Bytes that may wait for the disk. */
const maxWaitingBytes = 16 * 1_048_576;
const errorEveryMs = 60_000;

export function openAppendFile(path: string, onError: (message: string, lostLines: number) => void): AppendFile {
  let lost = 0;
  let lastError = -Infinity;
  const fail = (message: string, lines: number): void => {
    lost += lines;
    if (performance.now() - lastError < errorEveryMs) return;
    lastError = performance.now();
    onError(message, lost);
    lost = 0;
  };
  /** undefined: it could not be opened, or failed; the next line tries again. */
  let stream: WriteStream | undefined;
  const open = (): WriteStream => {
    const opened = createWriteStream(path, { flags: 'a', mode: 0o640 });
    opened.on('error', (error) => {
      if (stream === opened) stream = undefined;
      fail(error.message, 0);
    });
    return opened;
  };
  const end = (closing: WriteStream | undefined): Promise<void> =>
    new Promise((resolve) => {
      if (closing === undefined || closing.destroyed) resolve();
      else {
        closing.once('close', resolve);
        closing.end();
      }
    });
  return {
    append(line) {
      stream ??= open();
      if (stream.writableLength > maxWaitingBytes) fail('the disk is too slow', 1);
      else
        stream.write(`${line}\n`, (error) => {
          if (error) fail(error.message, 1);
        });
    },
    reopen() {
      const old = stream;
      stream = undefined;
      void end(old);
    },
    close() {
      const old = stream;
      stream = undefined;
      return end(old);
    },
  };
}
