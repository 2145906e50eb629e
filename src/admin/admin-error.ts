/** What an Admin API call answers when it cannot do what it was asked; caught by the server's error handler. */
export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;

  /** `more`: further fields of the JSON answer, beside `error_msg`. */
  constructor(status: number, message: string, more: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.status = status;
    this.body = { error_msg: message, ...more };
  }
}

/** APISIX answers a missing key in etcd's words. */
export class KeyNotFound extends AdminError {
  constructor() {
    super(404, 'Key not found');
  }
  override readonly body = { message: 'Key not found' };
}
