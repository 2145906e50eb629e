/** `Authorization: Signature keyId="…",algorithm="…",headers="…",signature="…"` → its parameters, or what is wrong with it. */

export interface SignatureParameters {
  readonly keyId: string;
  readonly algorithm: string;
  /** As the client spells and orders them; `@request-target` among them. */
  readonly headers: readonly string[];
  readonly signature: Buffer;
}

const parameter = /\s*([A-Za-z]+)="([^"]*)"\s*(?:,|$)/y;

/** A string: why the field is none. Unknown parameters are left alone; a known one given twice is refused. */
export function parseAuthorization(fields: readonly string[]): SignatureParameters | string {
  const [field] = fields;
  if (field === undefined) return 'missing Authorization header';
  if (fields.length > 1) return 'more than one Authorization header';
  if (!/^signature /i.test(field)) return "Authorization header does not start with 'Signature'";
  const values = new Map<string, string>();
  const text = field.slice('signature '.length);
  for (let at = 0; at < text.length; at = parameter.lastIndex) {
    parameter.lastIndex = at;
    const match = parameter.exec(text);
    if (match === null) return 'malformed Authorization header';
    const [, name = '', value = ''] = match;
    if (values.has(name)) return `parameter ${name} given twice`;
    values.set(name, value);
  }
  const keyId = values.get('keyId');
  const signature = values.get('signature');
  if (keyId === undefined || keyId === '' || signature === undefined || signature === '') {
    return 'keyId or signature missing';
  }
  const algorithm = values.get('algorithm');
  if (algorithm === undefined) return 'algorithm missing';
  const bytes = Buffer.from(signature, 'base64');
  // One text for one signature: no second spelling of the same bytes.
  if (bytes.toString('base64') !== signature) return 'the signature is not base64';
  const headers = (values.get('headers') ?? '').split(' ').filter((name) => name !== '');
  return { keyId, algorithm, headers, signature: bytes };
}
