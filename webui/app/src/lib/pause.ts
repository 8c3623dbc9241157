// Time off: pauses that end by themselves, bedtimes and their putting off, as House rules that nothing passes. Pure.
import type {PolicyDocument, Rule} from './document.ts'

/** Whose time it is: a person's, with all their devices, or one device's. */
export interface Whose {
  kind: 'person' | 'device'
  id: string
}

const MINUTE = 60_000
const who = (w: Whose): Rule['who'] => (w.kind === 'person' ? {people: [w.id]} : {devices: [w.id]})
// Ids of people and devices may be the same word.
const suffix = (w: Whose) => (w.kind === 'person' ? w.id : `device-${w.id}`)
const find = (v: PolicyDocument, id: string) => v.house?.find((r) => r.id === id && !r.disabled)
const stamp = (at: number) => new Date(Math.floor(at / 1000) * 1000).toISOString().replace('.000', '')

export const pauseID = (w: Whose) => `pause-${suffix(w)}`
export const bedtimeID = (w: Whose) => `bedtime-${suffix(w)}`

/** The pause that holds now: when it ends, 0 for never by itself; undefined when there is none. */
export function pausedUntil(v: PolicyDocument, w: Whose, now: number): number | undefined {
  const rule = find(v, pauseID(w))
  if (!rule) return undefined
  if (!rule.until) return 0
  const end = Date.parse(rule.until)
  return end > now ? end : undefined
}

/** A pause; until 0 lasts until it is taken back. */
export const pauseRule = (w: Whose, name: string, until: number): Rule => ({
  id: pauseID(w), name, force: 'must', priority: 1000, who: who(w), ...(until ? {until: stamp(until)} : {}), filter: {mode: 'deny-all'},
})

export interface Bedtime {
  from: string // HH:MM
  to: string
  /** Once, it begins only then; 0: as ever. */
  later: number
}

export function bedtimeOf(v: PolicyDocument, w: Whose, now: number): Bedtime | undefined {
  const rule = find(v, bedtimeID(w))
  const m = /(\d\d:\d\d)-(\d\d:\d\d)$/.exec(rule?.when?.[0] ?? '')
  if (!rule || !m) return undefined
  const later = rule.from ? Date.parse(rule.from) : 0
  return {from: m[1], to: m[2], later: later > now ? later : 0}
}

export const bedtimeRule = (w: Whose, name: string, from: string, to: string, later = 0): Rule => ({
  id: bedtimeID(w), name, force: 'must', priority: 900, who: who(w), when: [`${from}-${to}`], ...(later ? {from: stamp(later)} : {}), filter: {mode: 'deny-all'},
})

const minutes = (clock: string) => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3))

/** Bedtime is now, by this device's clock. */
export function inBed(b: Bedtime, now: number): boolean {
  if (b.later > now) return false
  const at = new Date(now)
  const m = at.getHours() * 60 + at.getMinutes(), from = minutes(b.from), to = minutes(b.to)
  return from < to ? m >= from && m < to : m >= from || m < to
}

/** When bedtime begins if it is put off by some minutes: from now when it is bedtime, else from when it would begin next. */
export function putOff(b: Bedtime, now: number, by: number): number {
  if (b.later > now) return b.later + by * MINUTE
  if (inBed(b, now)) return now + by * MINUTE
  const next = new Date(now)
  next.setHours(Math.floor(minutes(b.from) / 60), minutes(b.from) % 60, 0, 0)
  if (next.getTime() <= now) next.setDate(next.getDate() + 1)
  return next.getTime() + by * MINUTE
}

/** Seven o'clock of the next morning. */
export function morning(now: number): number {
  const at = new Date(now)
  if (at.getHours() >= 7) at.setDate(at.getDate() + 1)
  at.setHours(7, 0, 0, 0)
  return at.getTime()
}
