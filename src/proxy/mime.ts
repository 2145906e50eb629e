/**
 * Content-Type of an answer that the gateway itself makes: by the extension of the path, as nginx does, so that
 * `/index.html` refused is `text/html; charset=utf-8` and everything else `text/plain; charset=utf-8`.
 */
const byExtension = new Map<string, string>([
  ['html', 'text/html; charset=utf-8'],
  ['htm', 'text/html; charset=utf-8'],
  ['shtml', 'text/html; charset=utf-8'],
  ['css', 'text/css'],
  ['xml', 'text/xml; charset=utf-8'],
  ['js', 'application/javascript; charset=utf-8'],
  ['json', 'application/json'],
]);

export function defaultContentType(path: string): string {
  const dot = path.lastIndexOf('.');
  const type = dot > path.lastIndexOf('/') ? byExtension.get(path.slice(dot + 1).toLowerCase()) : undefined;
  return type ?? 'text/plain; charset=utf-8';
}
