// Links as strands: each has one colour (--l1 to --l7) and one thread, the same everywhere on the page.

import {h, s} from './dom.js'

/** The thread that runs on a strand of width w: its width and dashes. The first link's strand is plain. */
function thread(id, w) {
  const px = (...list) => list.map((v) => Math.round(v * 10) / 10).join(' ')
  switch (id) {
    case 2: return {width: Math.max(1, w * 0.22)}
    case 3: return {width: Math.max(1.2, w * 0.3), dash: px(w * 0.8, w * 0.7)}
    case 4: return {width: w * 0.42, dash: px(0, w * 0.95), cap: 'round'}
    case 5: return {width: w, dash: px(1.2, w * 0.6)}
    case 6: return {width: w * 0.28, dash: px(w * 1.6, w * 0.5, 1, w * 0.5)}
    case 7: return {width: w * 0.5, dash: px(w * 0.5, w * 0.5)}
  }
  return null
}

/** The dye of a link; links beyond the seventh begin again. */
export const dye = (id) => ((id - 1) % 7) + 1
export const colour = (id) => `var(--l${dye(id)})`

/** A strand along a path: the dye, and the thread where it is wide enough to be seen. */
export function strand(d, id, width, cap) {
  const out = [s('path', {d, fill: 'none', stroke: colour(id), 'stroke-width': width, 'stroke-linecap': cap})]
  const th = width >= 4.8 && thread(dye(id), width)
  if (th) {
    out.push(s('path', {d, fill: 'none', stroke: 'var(--thread)', 'stroke-width': th.width,
      'stroke-dasharray': th.dash, 'stroke-linecap': th.cap}))
  }
  return out
}

/** A line for a link that is off: never in its own colour. */
export const offLine = (d) => s('path', {d, fill: 'none', stroke: 'var(--ink-3)', 'stroke-width': 1.5, 'stroke-dasharray': '3 3'})

/** The mark before a link's name. */
export function mark(id, off) {
  const d = 'M3 8.500C10 8.500 16 3.500 23 3.500'
  return s('svg', {class: 'mark', width: 26, height: 12, viewBox: '0 0 26 12', 'aria-hidden': 'true'}, off ? offLine(d) : strand(d, id, 5, 'round'))
}

/** A link's mark and name. */
export function named(link, words) {
  return h('span', {class: 'named'}, link.id ? mark(link.id, link.off) : null, h('span', null, words ?? link.name))
}

/** 0 to 1 with rest at both ends and an even pace between. */
function ease(u, r = 0.16) {
  const full = 2 * r * (1 - r)
  if (u < r) return (u * u) / full
  if (u > 1 - r) return 1 - ((1 - u) * (1 - u)) / full
  return (u - r / 2) / (1 - r)
}

/**
 * Two or three strands side by side that weave between from and to; one just runs. strands are {id, width, off}, the axis
 * has the given length; background is what a strand that passes over is set off with.
 */
export function braid(strands, {length, amplitude, turns, from = 0, to = length, vertical, centre = 0, background, gentle = true, casing = 1.1}) {
  const n = strands.length
  const under = []
  const over = []
  const stops = [0]
  for (let at = Math.max(from, 0); at < Math.min(to, length); at += 1.5) stops.push(at)
  stops.push(Math.min(to, length), length)
  strands.forEach((strandOf, j) => {
    const phase = n === 2 ? Math.PI * (j + 0.5) : (2 * Math.PI * j) / n
    const points = stops.map((at) => {
      const u = Math.min(1, Math.max(0, (at - from) / (to - from || 1)))
      const angle = phase + 2 * Math.PI * turns * (gentle ? ease(u) : u)
      const off = centre + (n > 1 ? amplitude * Math.sin(angle) : 0)
      return {at: vertical ? [off, at] : [at, off], above: (n === 2 ? Math.cos(angle) : Math.sin(2 * angle)) > 1e-9}
    })
    for (let a = 0; a < points.length - 1; ) {
      let b = a + 1
      while (b < points.length - 1 && points[b].above === points[a].above) b++
      draw(strandOf, points.slice(Math.max(0, a - 1), b + 1), points[a].above)
      a = b
    }
  })
  function draw(one, run, above) {
    const d = line(run.map((p) => p.at))
    if (one.off) return void under.push(offLine(d))
    if (above && run.length > 4) {
      over.push(s('path', {d: line(run.slice(2, -2).map((p) => p.at)), fill: 'none', stroke: background, 'stroke-width': one.width + 2 * casing}))
    }
    (above ? over : under).push(...strand(d, one.id, one.width))
  }
  return [...under, ...over]
}

const px = (v) => Math.round(v * 10) / 10

/** Points as path data. */
export const line = (points) => 'M' + points.map(([x, y]) => px(x) + ' ' + px(y)).join('L')

/** The braid that is our sign. */
export function logo(size) {
  const strands = [1, 2, 3].map((id) => ({id, width: 4.6}))
  return s('svg', {width: size, height: size, viewBox: '0 0 30 30', 'aria-hidden': 'true'},
    braid(strands, {length: 30, amplitude: 7.6, turns: 0.84, vertical: true, centre: 15, background: 'var(--bg)', gentle: false, casing: 1.5}))
}

/** Fillings for areas, one for each dye, with its thread. They stand once in the document and are used by name. */
export function fillings() {
  const th = 'var(--thread)'
  const lines = (d, width, opacity) => s('path', {d, stroke: th, 'stroke-width': width, opacity})
  const patterns = [
    [8, 8],
    [6, 6, 'rotate(55)', lines('M0 .7h6', 1.3, 0.62)],
    [10, 7, null, lines('M.5 1.800h4.500M5.500 5.300H10', 1.3, 0.85)],
    [8, 8, null, s('circle', {cx: 2, cy: 2, r: 1.2, fill: th}), s('circle', {cx: 6, cy: 6, r: 1.2, fill: th})],
    [7, 7, null, lines('M1.500 0v7', 1, 0.7)],
    [16, 7, null, lines('M0 3.500h9M12 3.500h1.500', 1.3, 0.85)],
    [8, 8, null, s('path', {d: 'M0 0h4v4H0zM4 4h4v4H4z', fill: th, opacity: 0.35})],
  ]
  return s('svg', {class: 'fillings', width: 0, height: 0, 'aria-hidden': 'true'}, s('defs', null,
    patterns.map(([w, height, patternTransform, ...threads], i) =>
      s('pattern', {id: 'fill' + (i + 1), width: w, height, patternUnits: 'userSpaceOnUse', patternTransform},
        s('rect', {class: 'ground', width: w, height, fill: colour(i + 1)}), threads))))
}

export const filling = (id) => `url(#fill${dye(id)})`
