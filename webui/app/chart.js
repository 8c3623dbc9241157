// The live throughput chart: what each link carried in the last two minutes, stacked, and how it comes into the house now.

import {h, icon, s, set, text} from './dom.js'
import {number, rate, seconds} from './format.js'
import {colour, filling, line, named, offLine, strand} from './strands.js'
import {joined, t} from './text.js'

const SPAN = 120e3 // ms
const GAP = 3500 // ms between samples that are not joined

/** The widest link first: it lies at the bottom. What is not known counts as narrow; equal links keep their order. */
export const byWidth = (links) => [...links].sort((a, b) => b.capacityDown - a.capacityDown || a.id - b.id)

/** Three or four lines from 0 to just above the highest value. */
function scale(highest) {
  const goal = Math.max(highest, 5e4) / 4
  const ten = 10 ** Math.floor(Math.log10(goal))
  const step = [1, 2, 2.5, 5, 10].map((f) => f * ten).find((v) => v >= goal)
  return {step, top: step * Math.max(2, Math.ceil(highest / step))}
}

/** Neighbours in time that belong together: where data is missing, the bands are cut. */
function stretches(samples) {
  const out = []
  for (const one of samples) {
    const last = out.at(-1)
    if (last && one.at - last.at(-1).at < GAP) last.push(one)
    else out.push([one])
  }
  return out
}

export const total = (sample, direction) => Object.values(sample[direction]).reduce((a, b) => a + b, 0)

/**
 * A chart with its legend and table. draw({samples, links, direction}) shows the newest; samples are {at, down, up} with
 * bits per second by link id, links carry id, name, off and capacityDown.
 */
export function throughputChart() {
  const svg = s('svg', {class: 'plot', role: 'img', tabindex: 0})
  const reading = h('output', {class: 'reading num', 'aria-live': 'polite'})
  const legend = h('ul', {class: 'legend', 'aria-label': t('links')})
  const span = h('span', {class: 'dim s'})
  const tableBox = h('div', {class: 'scroll', hidden: true})
  const toggle = h('button', {class: 'link s', type: 'button', 'aria-expanded': 'false', onclick: flip}, t('chart.table'))
  const el = h('div', {class: 'chart'}, svg, reading,
    h('div', {class: 'row w'}, legend, h('span', {class: 'sp'}), span, toggle), tableBox)
  let shown = {samples: [], links: [], direction: 'down'}
  let cursor = null // ms of the sample that is read

  new ResizeObserver(() => paint()).observe(el)
  svg.addEventListener('pointermove', (e) => read(e.offsetX))
  svg.addEventListener('pointerleave', () => point(null))
  svg.addEventListener('blur', () => point(null))
  svg.addEventListener('keydown', (e) => {
    const by = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity}[e.key]
    if (!by || !shown.samples.length) return
    e.preventDefault()
    const last = shown.samples.length - 1
    const now = cursor === null ? last : shown.samples.findIndex((one) => one.at >= cursor)
    point(shown.samples[Math.min(last, Math.max(0, now + by))].at)
  })

  function flip() {
    tableBox.hidden = !tableBox.hidden
    toggle.setAttribute('aria-expanded', String(!tableBox.hidden))
    text(toggle, t(tableBox.hidden ? 'chart.table' : 'chart.chart'))
    tabulate()
  }

  function point(at) {
    cursor = at
    paint()
    const one = shown.samples.find((o) => o.at === at)
    if (!one) return text(reading, '')
    const values = byWidth(shown.links).map((l) => `${l.name} ${rate(one[shown.direction][l.id])}`)
    const ago = Math.round((shown.samples.at(-1).at - one.at) / 1000)
    text(reading, `${ago ? t('chart.ago', {n: ago}) : t('chart.nowMark')}: ${values.join(', ')}, ${t('chart.together', {rate: rate(total(one, shown.direction))})}`)
  }

  let area = null // of the bands, in px

  function read(x) {
    if (!area || !shown.samples.length) return
    const at = shown.samples.at(-1).at - ((area.right - x) / (area.right - area.left)) * SPAN
    point(shown.samples.reduce((a, b) => (Math.abs(b.at - at) < Math.abs(a.at - at) ? b : a)).at)
  }

  function paint() {
    const width = Math.round(el.clientWidth)
    if (!width) return
    const small = width < 560
    const height = small ? 190 : 226
    const links = byWidth(shown.links)
    const samples = shown.samples
    const direction = shown.direction
    area = {left: 36, right: width - (small ? 96 : 220), top: 24, bottom: height - 24}
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
    svg.setAttribute('height', height)
    const highest = Math.max(0, ...samples.map((one) => total(one, direction)))
    const {step, top} = scale(highest)
    const unit = top < 1e6 ? [1e3, t('unit.kbit')] : top < 1e9 ? [1e6, t('unit.mbit')] : [1e9, t('unit.gbit')]
    const now = samples.at(-1)?.at ?? 0
    const X = (at) => area.right - ((now - at) / SPAN) * (area.right - area.left)
    const Y = (v) => area.bottom - (v / top) * (area.bottom - area.top)
    const parts = []
    const label = (x, y, words, anchor) => s('text', {x, y, 'text-anchor': anchor}, words)
    const decimals = (step / unit[0]) % 1 ? (((step / unit[0]) * 10) % 1 ? 2 : 1) : 0
    parts.push(label(0, 10, unit[1]))
    for (let v = 0; v <= top * 1.001; v += step) {
      parts.push(s('line', {class: 'grid', x1: area.left, x2: area.right, y1: Y(v), y2: Y(v)}))
      parts.push(label(area.left - 8, Y(v) + 4, number(v / unit[0], decimals), 'end'))
    }
    // Bands, the widest link at the bottom.
    const seen = samples.filter((one) => one.at >= now - SPAN)
    for (const part of stretches(seen)) {
      let floor = part.map((one) => [X(one.at), Y(0)])
      let sum = part.map(() => 0)
      const edges = []
      for (const l of links) {
        sum = sum.map((v, i) => v + (part[i][direction][l.id] ?? 0))
        const edge = part.map((one, i) => [X(one.at), Y(sum[i])])
        parts.push(s('path', {d: line([...floor, ...edge.slice().reverse()]) + 'Z', fill: filling(l.id)}))
        edges.push(edge)
        floor = edge
      }
      for (const edge of edges.slice(0, -1)) parts.push(s('path', {class: 'seam', d: line(edge)}))
    }
    if (now) parts.push(...leaving(links, samples.at(-1), direction, {width, small, X: area.right, Y}))
    parts.push(s('line', {class: 'axis', x1: area.right, x2: area.right, y1: area.top, y2: area.bottom + 4}))
    const marks = [[2, 'start'], [1, 'middle'], [0, 'end']]
    for (const [m, anchor] of marks) {
      parts.push(label(X(now - m * 60e3), height - 5, m ? t('chart.minutes', {n: m}) : t('chart.nowMark'), anchor))
    }
    if (cursor !== null && cursor >= now - SPAN) {
      parts.push(s('line', {class: 'cursor', x1: X(cursor), x2: X(cursor), y1: area.top, y2: area.bottom}))
    }
    if (!now) parts.push(label((area.left + area.right) / 2, (area.top + area.bottom) / 2, t('chart.waiting'), 'middle'))
    set(svg, parts)
    const values = joined(links.map((l) => `${l.name} ${rate(samples.at(-1)?.[direction][l.id])}`))
    svg.setAttribute('aria-label', t('chart.label.' + direction, {values}))
  }

  /** After now the bands become strands that run side by side into the house, or out of it. */
  function leaving(links, sample, direction, {width, small, X, Y}) {
    const ring = small ? 13 : 22
    const end = width - 2 * ring - 1
    const meet = X + (end - X) * (small ? 0.6 : 0.55)
    const middle = (area.top + area.bottom) / 2
    const sum = total(sample, direction) || 1
    const most = small ? 9 : 13
    const strands = links.map((l) => ({...l, value: sample[direction][l.id] ?? 0}))
      .map((l) => ({...l, width: l.off ? 1.5 : Math.max(small ? 3.5 : 4.8, most * Math.sqrt(l.value / sum))}))
    const gap = small ? 2.5 : 4
    let y = middle + (strands.reduce((a, l) => a + l.width + gap, -gap)) / 2
    let floor = 0
    const out = []
    for (const l of strands) {
      const at = y - l.width / 2
      y -= l.width + gap
      if (l.off) {
        out.push(offLine(`M${X} ${Y(floor)}C${(X + meet) / 2} ${Y(floor)} ${(X + meet) / 2} ${at} ${meet} ${at}H${end}`))
        continue
      }
      const [low, high] = [Y(floor), Y(floor + l.value)]
      floor += l.value
      const bend = (X + meet) / 2
      // A band of almost nothing still shows where it comes from.
      const lift = Math.max(0, 1.5 - (low - high))
      out.push(s('path', {fill: filling(l.id),
        d: `M${X} ${high - lift}C${bend} ${high - lift} ${bend} ${at - l.width / 2} ${meet} ${at - l.width / 2}h1v${l.width}h-1C${bend} ${at + l.width / 2} ${bend} ${low} ${X} ${low}Z`}))
      out.push(...strand(`M${meet} ${at}H${end + 3}`, l.id, l.width))
    }
    out.push(s('circle', {class: 'ring', cx: end + ring, cy: middle, r: ring}))
    const place = icon(direction === 'down' ? 'home' : 'globe')
    for (const [k, v] of Object.entries({x: end + ring / 2, y: middle - ring / 2, width: ring, height: ring})) place.setAttribute(k, v)
    place.classList.add('fit')
    out.push(place)
    if (!small) out.push(s('text', {class: 'strong', x: end + ring, y: middle + ring + 18, 'text-anchor': 'middle'}, t(direction === 'down' ? 'chart.home' : 'chart.internet')))
    return out
  }

  function describe() {
    const now = shown.samples.at(-1)
    set(legend, byWidth(shown.links).map((l) => h('li', null, named(l), h('span', {class: 'num dim'}, rate(now?.[shown.direction][l.id])))))
    const first = shown.samples[0]?.at
    const young = first && now.at - first < SPAN - 3000
    text(span, young ? t('chart.since', {time: seconds(first)}) : t('chart.span'))
  }

  function tabulate() {
    if (tableBox.hidden) return
    const links = byWidth(shown.links)
    const slots = new Map()
    for (const one of shown.samples) {
      const slot = Math.floor(one.at / 1e4) * 1e4
      slots.set(slot, [...(slots.get(slot) ?? []), one])
    }
    const mean = (list, f) => rate(list.reduce((a, one) => a + f(one), 0) / list.length)
    const rows = [...slots].reverse().map(([at, list]) => h('tr', null, h('th', {scope: 'row'}, seconds(at)),
      links.map((l) => h('td', {class: 'r'}, mean(list, (one) => one[shown.direction][l.id] ?? 0))),
      h('td', {class: 'r b'}, mean(list, (one) => total(one, shown.direction)))))
    set(tableBox, h('table', {class: 'plain'}, h('caption', null, t('chart.average')),
      h('thead', null, h('tr', null, h('th', {scope: 'col'}, t('chart.time')),
        links.map((l) => h('th', {scope: 'col', class: 'r'}, l.name)), h('th', {scope: 'col', class: 'r'}, t('chart.sum')))),
      h('tbody', null, rows)))
  }

  return {
    el,
    draw(next) {
      const turned = next.direction !== shown.direction || next.links.length !== shown.links.length
      shown = next
      paint()
      describe()
      if (turned || (shown.samples.at(-1)?.at ?? 0) % 5000 < 1000) tabulate()
    },
  }
}

/** A small line of one value over time, beside its number; gaps are values that are null. */
export function spark(values, id, label) {
  const [w, height] = [150, 30]
  const known = values.filter((v) => v !== null)
  if (known.length < 2) return h('span', {class: 's dim3'}, t('link.noHistory'))
  const top = Math.max(...known) * 1.15 || 1
  const runs = []
  values.forEach((v, i) => {
    if (v === null) return void runs.push([])
    if (!runs.length) runs.push([])
    runs.at(-1).push([(i * (w - 3)) / (values.length - 1), height - 2 - (v / top) * (height - 4)])
  })
  const drawn = runs.filter((r) => r.length > 1)
  const last = drawn.at(-1)?.at(-1)
  return s('svg', {class: 'spark', width: w, height, viewBox: `0 0 ${w} ${height}`, role: 'img', 'aria-label': label},
    drawn.map((r) => [
      s('path', {d: `${line(r)}L${r.at(-1)[0]} ${height}L${r[0][0]} ${height}Z`, fill: colour(id), opacity: 0.13}),
      s('path', {d: line(r), fill: 'none', stroke: colour(id), 'stroke-width': 1.8, 'stroke-linejoin': 'round'}),
    ]), last && s('circle', {cx: last[0], cy: last[1], r: 2.2, fill: colour(id)}))
}
