/** The log's clock: the current second as text, made once a second, and durations as nginx writes them. Read once a request or less. */

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const thousandths = Array.from({ length: 1000 }, (_, n) => `.${String(n).padStart(3, '0')}`);

/** Milliseconds since 1970 at which the second that the texts show began. */
let second = Infinity;
let local = '';
let iso = '';

/** nginx's `$time_local`: `21/Nov/2025:06:52:00 +0000`. */
export function timeLocal(): string {
  refresh();
  return local;
}

/** nginx's `$time_iso8601`: `2025-11-21T06:52:00+00:00`. */
export function timeIso8601(): string {
  refresh();
  return iso;
}

/** Milliseconds → seconds with three decimals; a clock that went back counts as 0. */
export function formatSeconds(milliseconds: number): string {
  const whole = Math.max(0, Math.round(milliseconds));
  return String(Math.floor(whole / 1000)) + (thousandths[whole % 1000] ?? '');
}

function refresh(): void {
  const now = Date.now();
  const past = now - second;
  if (past >= 0 && past < 1000) return;
  second = now - (now % 1000);
  ({ local, iso } = formatInstant(new Date(now)));
}

/** In the machine's time zone. */
function formatInstant(date: Date): { local: string; iso: string } {
  const two = (n: number): string => String(n).padStart(2, '0');
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  const hours = two(Math.floor(Math.abs(offset) / 60));
  const minutes = two(Math.abs(offset) % 60);
  const year = String(date.getFullYear()).padStart(4, '0');
  const day = two(date.getDate());
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return {
    local: `${day}/${months[date.getMonth()] ?? ''}/${year}:${time} ${sign}${hours}${minutes}`,
    iso: `${year}-${two(date.getMonth() + 1)}-${day}T${time}${sign}${hours}:${minutes}`,
  };
}
