// How times, durations, money and numbers are written, in the language of the page.
import i18n from '../i18n';

const locale = () => (i18n.language === 'en' ? 'en-GB' : 'fr-FR');

/** Formatters are dear to make (a fifth of a table's drawing, when each cell made its own): they are kept by language and options. */
const made = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>();
function kept<F extends Intl.DateTimeFormat | Intl.NumberFormat>(kind: string, options: object, make: (language: string) => F): F {
  const key = `${locale()} ${kind} ${JSON.stringify(options)}`;
  const known = made.get(key) as F | undefined;
  if (known) return known;
  const formatter = make(locale());
  made.set(key, formatter);
  return formatter;
}
const dates = (options: Intl.DateTimeFormatOptions) => kept('date', options, (language) => new Intl.DateTimeFormat(language, options));
const numbers = (options: Intl.NumberFormatOptions) => kept('number', options, (language) => new Intl.NumberFormat(language, options));

export function time(iso: string | null | undefined, timeZone?: string): string {
  if (!iso) return '–';
  return dates({ hour: '2-digit', minute: '2-digit', timeZone }).format(new Date(iso));
}

export function dateTime(iso: string | null | undefined, timeZone?: string): string {
  if (!iso) return '–';
  const date = new Date(iso);
  const now = new Date();
  const today = now.toDateString() === date.toDateString();
  const options: Intl.DateTimeFormatOptions = today
    ? { hour: '2-digit', minute: '2-digit', second: '2-digit' }
    : { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', year: date.getFullYear() === now.getFullYear() ? undefined : 'numeric' };
  return dates({ ...options, timeZone }).format(date);
}

export function fullDateTime(iso: string | null | undefined): string {
  if (!iso) return '–';
  return dates({ dateStyle: 'full', timeStyle: 'medium' }).format(new Date(iso));
}

export function day(date: Date | string, options: Intl.DateTimeFormatOptions = { weekday: 'long', day: 'numeric', month: 'long' }): string {
  return dates(options).format(typeof date === 'string' ? new Date(date) : date);
}

/** `2026-11-29`, of the reader's own day. */
export function isoDay(date: Date): string {
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')}`;
}

/** `4 s`, `2 min 05`, `3 h 12`, `5 j`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–';
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)}`;
  if (whole < 48 * 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))}`;
  return `${Math.floor(whole / 86400)} ${i18n.t('common.dayShort')}`;
}

/** `1:05`, for positions in a recording. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  return ms < 1000 ? `${Math.round(ms)} ms` : `${numbers({ maximumFractionDigits: 2 }).format(ms / 1000)} s`;
}

/** Small sums (a call costs cents) keep four decimals. */
export function money(amount: number | null | undefined, currency: string | null | undefined, digits?: number): string {
  if (amount === null || amount === undefined) return '–';
  const most = digits ?? (Math.abs(amount) < 1 && amount !== 0 ? 4 : 2);
  try {
    return numbers({ style: 'currency', currency: currency ?? 'EUR', minimumFractionDigits: 2, maximumFractionDigits: Math.max(2, most) }).format(amount);
  } catch {
    return `${amount} ${currency ?? ''}`;
  }
}

export function number(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined) return '–';
  return numbers({ maximumFractionDigits: digits }).format(value);
}

/** `+33 4 91 23 45 67`: French numbers by pairs, others as they are. */
export function phone(text: string | null | undefined): string {
  if (!text) return '–';
  const french = /^\+33(\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text);
  return french ? `+33 ${french.slice(1).join(' ')}` : text;
}
