// Numbers, amounts and times as a person reads them, by locale. Rates are bits per second, amounts bytes, durations milliseconds.
import {speech, t} from './text.svelte.ts'

const NB = '\u00a0'

function number(value: number, digits: number): string {
  return new Intl.NumberFormat(speech.locale, {minimumFractionDigits: digits, maximumFractionDigits: digits}).format(value)
}

/** A rate as number and unit: one decimal below ten. */
export function rateParts(bps: number): {value: string; unit: string} {
  const mbit = bps / 1e6
  if (bps <= 0) return {value: number(0, 0), unit: 'Mbit/s'}
  if (mbit < 0.1) return {value: number(bps / 1e3, 0), unit: 'kbit/s'}
  if (mbit >= 1000) return {value: number(mbit / 1000, mbit < 1e4 ? 1 : 0), unit: 'Gbit/s'}
  return {value: number(mbit, mbit < 9.95 ? 1 : 0), unit: 'Mbit/s'}
}

export function rate(bps: number): string {
  const {value, unit} = rateParts(bps)
  return value + NB + unit
}

export function amount(bytes: number): string {
  const steps: [number, string][] = [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']]
  for (const [size, unit] of steps) if (bytes >= size * 0.9995) return number(bytes / size, bytes / size < 9.95 ? 1 : 0) + NB + unit
  return number(bytes, 0) + NB + 'B'
}

export const delay = (ms: number) => (ms > 0 ? number(Math.max(1, Math.round(ms)), 0) + NB + 'ms' : t('unknown'))
export const jitter = (ms: number) => number(ms, 1) + NB + 'ms'
export const percent = (share: number, digits = 0) => number(share * 100, digits) + NB + '%'
export const loss = (share: number) => percent(share, 1)
export const count = (n: number) => number(n, 0)

/** Whole percents that add to 100: the largest remainders get what rounding left over. */
export function shares(parts: number[]): number[] {
  const sum = parts.reduce((a, b) => a + b, 0)
  if (sum <= 0) return parts.map(() => 0)
  const exact = parts.map((p) => (p / sum) * 100)
  const out = exact.map(Math.floor)
  const order = exact.map((e, i) => [e - out[i], i]).sort((a, b) => b[0] - a[0])
  for (let left = 100 - out.reduce((a, b) => a + b, 0), i = 0; left > 0; left--, i++) out[order[i][1]]++
  return out
}

/** "8 s", "12 min", "1 h 48", "3 days". */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 60) return number(s, 0) + NB + 's'
  const min = Math.round(s / 60)
  if (min < 60) return number(min, 0) + NB + 'min'
  if (min < 48 * 60) {
    const rest = min % 60
    return number(Math.floor(min / 60), 0) + NB + 'h' + (rest ? NB + String(rest).padStart(2, '0') : '')
  }
  return t('days', {n: Math.round(min / 1440)})
}

const sameDay = (a: Date, b: Date) => a.toDateString() === b.toDateString()

export function clock(at: Date, seconds = false): string {
  return new Intl.DateTimeFormat(speech.locale, {hour: '2-digit', minute: '2-digit', second: seconds ? '2-digit' : undefined, hourCycle: 'h23'}).format(at)
}

/** Today "20:40", this week "Tue 20:40", older the date with the time. */
export function when(at: string | Date, now = new Date()): string {
  const d = new Date(at)
  if (Number.isNaN(d.getTime()) || d.getTime() <= 0 || d.getFullYear() < 1971) return t('never')
  if (sameDay(d, now)) return clock(d)
  if (now.getTime() - d.getTime() < 6 * 864e5 && d < now) return new Intl.DateTimeFormat(speech.locale, {weekday: 'short'}).format(d) + ' ' + clock(d)
  return new Intl.DateTimeFormat(speech.locale, {day: 'numeric', month: 'short', year: d.getFullYear() === now.getFullYear() ? undefined : 'numeric'}).format(d) + ' ' + clock(d)
}

export function day(at: string | Date, now = new Date()): string {
  const d = new Date(at)
  if (sameDay(d, now)) return t('today')
  if (sameDay(d, new Date(now.getTime() - 864e5))) return t('yesterday')
  return new Intl.DateTimeFormat(speech.locale, {weekday: 'long', day: 'numeric', month: 'long'}).format(d)
}

/** A day of the month, such as "3 December". */
export const date = (at: string | Date) => new Intl.DateTimeFormat(speech.locale, {day: 'numeric', month: 'long'}).format(new Date(at))

const wellKnown: Record<string, string> = {wifi: 'WiFi', lte: 'LTE', dsl: 'DSL', vdsl: 'VDSL', usb: 'USB', '4g': '4G', '5g': '5G', tv: 'TV', ai: 'AI', vpn: 'VPN', p2p: 'P2P', dns: 'DNS', nas: 'NAS', pc: 'PC', iot: 'IoT'}

/** A technical name as a person would write it: "lte-stick" is "LTE stick". Names with capitals of their own stay. */
export function title(name: string): string {
  if (/[A-Z\s]/.test(name)) return name
  return name.split(/[-_]/).map((w, i) => wellKnown[w] ?? (i === 0 ? w.charAt(0).toUpperCase() + w.slice(1) : w)).join(' ')
}

/** The first letters of a person's name, for a round picture. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/)
  return (words.length > 1 ? words[0][0] + words[1][0] : name.slice(0, 1)).toLocaleUpperCase(speech.locale)
}
