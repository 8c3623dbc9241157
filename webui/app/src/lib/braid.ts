// The figures of strands: how each link's strand looks and how strands are woven. Pure: paths as SVG data.

/** The number of different strands; more links begin again with the first and a ring. */
export const STRANDS = 7

/** A thread is the thinner second line on a strand, which tells strands apart without colour. */
export interface Thread {
  width: number
  dash?: string
  round?: boolean
}

const r = (x: number) => Math.round(x * 10) / 10

/** strandOf is the strand 1 to 7 of a link's number. */
export const strandOf = (link: number) => ((Math.max(1, link) - 1) % STRANDS) + 1

/** The thread of a strand that is w pixels wide; thin strands have none, and a name must stand beside them. */
export function threadOf(strand: number, w: number): Thread | null {
  if (w < 4.8) return null
  switch (strand) {
    case 2: return {width: Math.max(1, w * 0.22)}
    case 3: return {width: Math.max(1.2, w * 0.3), dash: `${r(w * 0.8)} ${r(w * 0.7)}`}
    case 4: return {width: w * 0.42, dash: `0 ${r(w * 0.95)}`, round: true}
    case 5: return {width: w, dash: `1.2 ${r(w * 0.6)}`}
    case 6: return {width: w * 0.28, dash: `${r(w * 1.6)} ${r(w * 0.5)} 1 ${r(w * 0.5)}`}
    case 7: return {width: w * 0.5, dash: `${r(w * 0.5)} ${r(w * 0.5)}`}
  }
  return null
}

type Point = [number, number]

/** Drops points that lie within an eighth of a pixel of the line between their neighbours. */
function thin(points: Point[]): Point[] {
  const out = [points[0]]
  for (let a = 0; a < points.length - 1;) {
    let b = a + 1
    grow: while (b + 1 < points.length && b - a < 400) {
      const [x0, y0] = points[a], [x1, y1] = points[b + 1]
      const length = Math.hypot(x1 - x0, y1 - y0) || 1
      for (let m = a + 1; m <= b; m++) if (Math.abs((x1 - x0) * (y0 - points[m][1]) - (x0 - points[m][0]) * (y1 - y0)) / length > 0.12) break grow
      b++
    }
    out.push(points[b])
    a = b
  }
  return out
}

export const pathOf = (points: Point[]) => 'M' + thin(points).map((p) => `${r(p[0])} ${r(p[1])}`).join('L')

/** One piece of a strand; pieces are painted in order, and a casing first where a piece lies over others. */
export interface Piece {
  strand: number
  off: boolean
  width: number
  d: string
  offset: number
  casing?: string
  casingWidth: number
}

export interface Strand {
  strand: number
  width: number
  off?: boolean // drawn as a dashed grey line
}

export interface BraidOptions {
  strands: Strand[]
  length: number
  amplitude: number
  turns: number
  from?: number // where weaving begins, 0 to 1; parallel before
  to?: number
  ease?: boolean // ends tangent to the axis
  vertical?: boolean
  x?: number
  y?: number
  steps?: number
  casing?: number
}

const ramp = (u: number, s = 0.16) => (u < s ? (u * u) / (2 * s * (1 - s)) : u > 1 - s ? 1 - (1 - u) ** 2 / (2 * s * (1 - s)) : (u - s / 2) / (1 - s))

const phase = (j: number, n: number) => (n === 1 ? 0 : n === 2 ? Math.PI * j + Math.PI / 2 : (2 * Math.PI * j) / n)

/** How far from the axis strand j of n lies where weaving begins and ends. */
export const endOffset = (j: number, amplitude: number, n: number) => (n === 1 ? 0 : amplitude * Math.sin(phase(j, n)))

/**
 * Weaves strands along an axis. Each runs on a sine, shifted by its part of a turn; it lies over where the doubled sine is
 * positive, which for three strands is the plait of hair.
 */
export function braid(o: BraidOptions): Piece[] {
  const {strands, length, amplitude, turns, from = 0, to = 1, ease = true, vertical = false, x = 0, y = 0, steps = 160, casing = 2.4} = o
  const n = strands.length
  const under: Piece[] = [], over: Piece[] = []
  strands.forEach((s, j) => {
    const points: Point[] = [], above: boolean[] = [], run = [0]
    for (let q = 0; q <= steps; q++) {
      const at = q / steps
      const u = at < from ? 0 : at > to ? 1 : (at - from) / (to - from)
      const angle = 2 * Math.PI * turns * (ease ? ramp(u) : u) + phase(j, n)
      const off = n === 1 ? 0 : amplitude * Math.sin(angle)
      points.push(vertical ? [x + off, y + length * at] : [x + length * at, y + off])
      above.push(n === 2 ? Math.cos(angle) * (Math.floor(angle / Math.PI) % 2 ? -1 : 1) * (j ? 1 : -1) >= -1e-9 : Math.sin(2 * angle) >= -1e-9)
      if (q) run.push(run[q - 1] + Math.hypot(points[q][0] - points[q - 1][0], points[q][1] - points[q - 1][1]))
    }
    for (let a = 0; a <= steps;) {
      let b = a
      while (b < steps && above[b + 1] === above[a]) b++
      const first = Math.max(0, a - 1), last = Math.min(steps, b + 2)
      const ca = a + (a ? 3 : 0), cb = b - (b < steps ? 2 : 0)
      const piece: Piece = {strand: s.strand, off: !!s.off, width: s.width, d: pathOf(points.slice(first, last + 1)), offset: r(run[first]), casingWidth: s.width + casing * 2}
      if (above[a] && cb > ca && n > 1) piece.casing = pathOf(points.slice(ca, cb + 1))
      ;(above[a] ? over : under).push(piece)
      a = b + 1
    }
  })
  return [...under, ...over]
}
