// Numbers, amounts and times as a person reads them. Every function returns text with a non-breaking space before the unit.

import {locale, t} from './text.js'

const formats = new Map()

/** A number with a given count of decimals. */
export function number(value, decimals = 0) {
  let f = formats.get(decimals)
  if (!f) formats.set(decimals, (f = new Intl.NumberFormat(locale, {minimumFractionDigits: decimals, maximumFractionDigits: decimals})))
  return f.format(value)
}

/** One decimal under ten, none above; nothing is just 0. */
const short = (v) => number(v, v > 0 && v < 9.95 ? 1 : 0)

/** A number and its unit from a list of [factor, unit], the smallest first. */
function scaled(value, steps, base) {
  let [factor, unit] = base
  for (const [f, u] of steps) if (value >= f) [factor, unit] = [f, u]
  return {value: short(value / factor), unit}
}

/** A rate in bits per second: kbit/s under 0.1 Mbit/s, Gbit/s from 1000. */
export function rateParts(bps) {
  if (!(bps > 0)) return {value: '0', unit: t('unit.mbit')}
  if (bps < 1e5) return {value: short(bps / 1e3), unit: t('unit.kbit')}
  return scaled(bps, [[1e9, t('unit.gbit')]], [1e6, t('unit.mbit')])
}

export function rate(bps) {
  const p = rateParts(bps)
  return p.value + ' ' + p.unit
}

/** Bytes, decimal: 1 GB is 10^9. */
export function amount(bytes) {
  const p = scaled(bytes, [[1e6, t('unit.mb')], [1e9, t('unit.gb')], [1e12, t('unit.tb')]], [1e3, t('unit.kb')])
  return p.value + ' ' + p.unit
}

/** A delay in ms; 0 is not known. */
export function delay(ms) {
  if (!(ms > 0)) return t('unknown')
  return (ms < 0.95 ? number(ms, 1) : number(ms)) + ' ' + t('unit.ms')
}

/** How much a delay varies, in ms. */
export const jitter = (ms) => number(ms, 1) + ' ' + t('unit.ms')

/** A part of one, as percent with one decimal. */
export const loss = (part) => number(part * 100, 1) + ' %'

/** Whole percents that add up to 100, for parts that add up to 1 (largest remainder). */
export function shares(parts) {
  const out = parts.map((p) => Math.floor(p * 100))
  const order = parts.map((p, i) => [p * 100 - out[i], i]).sort((a, b) => b[0] - a[0])
  for (let i = 0, left = 100 - out.reduce((a, b) => a + b, 0); i < left; i++) out[order[i % order.length][1]]++
  return out.map((v) => v + ' %')
}

const format = (options) => new Intl.DateTimeFormat(locale, options)
const clockFormat = format({hour: '2-digit', minute: '2-digit', hourCycle: 'h23'})
const secondFormat = format({hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23'})
const weekFormat = format({weekday: 'short'})
const dayFormat = format({weekday: 'long', day: 'numeric', month: 'long'})
const dateFormat = format({day: 'numeric', month: 'short'})
const yearFormat = format({day: 'numeric', month: 'short', year: 'numeric'})

export const clock = (at) => clockFormat.format(at)
export const seconds = (at) => secondFormat.format(at)

/** The days between two moments as the calendar counts them. */
export function daysAgo(at, now = new Date()) {
  const midnight = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate())
  return Math.round((midnight(now) - midnight(at)) / 864e5)
}

/** "20:40" today, "Tue 20:40" in the week before, any other day as a date. */
export function when(at, now = new Date()) {
  const days = daysAgo(at, now)
  if (days === 0) return clock(at)
  if (days > 0 && days < 7) return weekFormat.format(at) + ' ' + clock(at)
  return (at.getFullYear() === now.getFullYear() ? dateFormat : yearFormat).format(at)
}

/** The heading of a day. */
export function day(at, now = new Date()) {
  const days = daysAgo(at, now)
  return days <= 0 ? t('today') : days === 1 ? t('yesterday') : dayFormat.format(at)
}

/** A duration: "8 s", "12 min", "1 h 48", "3 days". */
export function duration(ms) {
  const sec = Math.max(0, Math.round(ms / 1000))
  if (sec < 60) return sec + ' s'
  const min = Math.floor(sec / 60)
  if (min < 60) return min + ' min'
  const hours = Math.floor(min / 60)
  if (hours < 48) return hours + ' h ' + String(min % 60).padStart(2, '0')
  return t('days', {n: Math.floor(hours / 24)})
}
