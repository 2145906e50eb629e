/**
 * The runners that the settings name, as one worker uses them: hands plugins a session for each configuration, and carries
 * what they say to the wire and back. Connects to nothing before the first call.
 */
import { isIPv4, isIPv6 } from 'node:net';
import {
  RunnerError,
  type RequestVerdict,
  type ResponseVerdict,
  type RunnerInformation,
  type RunnerRequest,
  type RunnerResponse,
  type Runners,
  type RunnerSession,
} from '../plugin/runners/runners.ts';
import type { RunnersSettings } from '../settings/settings.ts';
import { createConf, RunnerClient, type Conf } from './client.ts';
import { findRunner } from './find-runner.ts';
import {
  decodeHttpReqCall,
  decodeHttpRespCall,
  encodeHttpReqCall,
  encodeHttpRespCall,
  methodCode,
} from './wire/messages.ts';

export interface WorkerRunners extends Runners {
  /** The runner of that name listens at `path` from now on; undefined: it is gone. Resolves when no call is with the former one. */
  moved(name: string, path: string | undefined): Promise<void>;
  close(): void;
}

/** `paths`: name → socket, of those that the control plane has started. `onSilent`: one did not answer, or not sensibly. */
export function createRunners(
  settings: RunnersSettings,
  paths: ReadonlyMap<string, string>,
  onSilent: (name: string) => void,
): WorkerRunners {
  const clients = new Map(
    settings.runners.map((runner) => [
      runner.name,
      new RunnerClient(runner.name, runner.socket ?? paths.get(runner.name), settings, onSilent),
    ]),
  );
  return {
    maxBodyBytes: settings.maxBodyBytes,
    session(name, entries) {
      const runner = findRunner(settings.runners, name, entries);
      // It stands in the settings, and so among the clients.
      const client = clients.get(runner.name) as RunnerClient;
      return new Session(client, createConf(entries));
    },
    moved(name, path) {
      return clients.get(name)?.setPath(path) ?? Promise.resolve();
    },
    close() {
      for (const client of clients.values()) client.close();
    },
  };
}

class Session implements RunnerSession {
  readonly #client: RunnerClient;
  readonly #conf: Conf;

  constructor(client: RunnerClient, conf: Conf) {
    this.#client = client;
    this.#conf = conf;
  }

  async request(call: RunnerRequest, information: RunnerInformation): Promise<RequestVerdict> {
    const method = methodCode(call.method);
    if (method === undefined)
      throw new RunnerError('runner_unsupported', `the protocol has no word for the method ${call.method}`);
    const sourceAddress = addressBytes(call.sourceAddress);
    const { path, args, headers } = call;
    return this.#client.call(
      this.#conf,
      (writer, confToken, id) =>
        encodeHttpReqCall(writer, { id, sourceAddress, method, path, args, headers, confToken }),
      decodeHttpReqCall,
      information,
    );
  }

  response(call: RunnerResponse, information: RunnerInformation): Promise<ResponseVerdict> {
    const { status, headers } = call;
    return this.#client.call(
      this.#conf,
      (writer, confToken, id) => encodeHttpRespCall(writer, { id, status, headers, confToken }),
      decodeHttpRespCall,
      information,
    );
  }
}

/** As nginx's $binary_remote_addr: 4 bytes or 16, an IPv4-mapped address in its own 4. */
export function addressBytes(address: string): Uint8Array {
  const mapped = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (isIPv4(mapped)) return Uint8Array.from(mapped.split('.'), Number);
  if (!isIPv6(address)) return new Uint8Array(0);
  const [before = '', after] = address.replace(/%.*$/, '').split('::');
  const head = groups(before);
  const tail = after === undefined ? [] : groups(after);
  const words = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
