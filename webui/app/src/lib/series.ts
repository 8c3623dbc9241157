// Samples made ready for a chart: averages over equal spans, stacks, axes. Pure.
import type {Sample} from './house.svelte.ts'

export type Measure = 'down' | 'up' | 'rtt'

export interface Buckets {
  at: number[] // middle of each span, ms
  values: (number | null)[][] // for each link; null: nothing is known
}

/** Averages of each link over n equal spans of [from, to). A span without a sample takes the value before it, if samples are just rarer than spans. */
export function buckets(samples: Sample[], links: string[], measure: Measure, from: number, to: number, n: number): Buckets {
  const span = (to - from) / n
  const sums = links.map(() => new Float64Array(n))
  const counts = new Uint32Array(n)
  for (const s of samples) {
    const i = Math.floor((s.at - from) / span)
    if (i < 0 || i >= n) continue
    counts[i]++
    links.forEach((name, k) => (sums[k][i] += s[measure][name] ?? 0))
  }
  const at = Array.from({length: n}, (_, i) => from + (i + 0.5) * span)
  let last = -1
  const source = Array.from(counts, (c, i) => {
    if (c) last = i
    return last
  })
  const next = counts.findIndex((c) => c > 0)
  // A minute of the past is one sample: it counts for the spans around it, too.
  const reach = Math.max(2, Math.ceil(75_000 / span))
  // The next span that has a sample, from each one on.
  const ahead = new Int32Array(n).fill(-1)
  for (let i = n - 1, following = -1; i >= 0; i--) {
    if (counts[i]) following = i
    ahead[i] = following
  }
  return {at, values: sums.map((sum) => source.map((i, q) => {
    const mean = (k: number) => sum[k] / counts[k]
    const j = ahead[q]
    let v: number
    if (i >= 0 && j > i && j - i <= reach) v = mean(i) + ((mean(j) - mean(i)) * (q - i)) / (j - i)
    else if (i >= 0 && q - i <= reach / 2) v = mean(i)
    else if (i < 0 && next >= 0 && next - q <= reach / 2) v = mean(next)
    else return null
    return measure === 'rtt' && v <= 0 ? null : v
  }))}
}

/** The sums from the first to each link, the whole last. */
export function stack(values: (number | null)[][]): (number | null)[][] {
  const out: (number | null)[][] = []
  values.forEach((row, k) => out.push(row.map((v, i) => (v === null ? null : v + (k ? out[k - 1][i] ?? 0 : 0)))))
  return out
}

/** A round end of an axis from 0 that holds max, and its lines: three or four. */
export function axis(max: number): {top: number; lines: number[]} {
  const most = Math.max(max, 1e-9)
  const power = 10 ** Math.floor(Math.log10(most))
  for (const f of [1, 2, 3, 4, 6, 8, 10, 12, 15, 20]) {
    const top = f * power
    if (top < most * 1.02) continue
    const parts = [1, 2, 4, 8, 10, 20].includes(f) ? 4 : 3
    const count = f === 1 || f === 10 || f === 2 || f === 20 || f === 4 || f === 8 ? parts : 3
    return {top, lines: Array.from({length: count + 1}, (_, i) => (top * i) / count)}
  }
  return {top: 20 * power, lines: [0, 5, 10, 15, 20].map((x) => x * power)}
}

/** Up to n round moments of [from, to), for labels. */
export function moments(from: number, to: number, n: number): number[] {
  const steps = [5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 3 * 3600e3, 6 * 3600e3, 864e5]
  const step = steps.find((s) => (to - from) / s <= n) ?? steps[steps.length - 1]
  const zone = new Date(from).getTimezoneOffset() * 60_000
  const out: number[] = []
  for (let at = Math.ceil((from - zone) / step) * step + zone; at < to; at += step) out.push(at)
  return out
}
