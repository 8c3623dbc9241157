// Home: the state in a sentence, what needs doing, what the links carry now, and how they are.

import {byWidth, throughputChart, total} from './chart.js'
import {router, listen} from './api.js'
import {h, icon, keyed, set, text} from './dom.js'
import {delay, rate, rateParts, when} from './format.js'
import {drawn, linkCards} from './links.js'
import {joined, t} from './text.js'

let direction = 'down' // stays while the page is open

export function home(signal) {
  const state = h('h1', {class: 'state', tabindex: -1, 'aria-live': 'polite'}, t('home.loading'))
  const lede = h('p', {class: 'lede'})
  const warnings = h('ul', {class: 'notes'})
  const chart = throughputChart()
  const title = h('h2')
  const big = h('span', {class: 'big'})
  const unit = h('span', {class: 'unit'})
  const facts = [h('span'), h('span'), h('span')]
  const tabs = ['down', 'up'].map((d) => h('button', {type: 'button', onclick: () => turn(d), 'data-d': d}, t('chart.' + d)))

  function turn(d) {
    direction = d
    live()
  }

  function status() {
    if (!router.status) return
    text(state, router.status.sentence)
    keyed(warnings, router.status.warnings, (w) => w.code + w.text, note)
    words()
  }

  function words() {
    const st = router.status
    if (!st) return
    text(lede, t('home.use', {active: st.active, n: st.devices, flows: router.flows || st.flows}) + ' ' + carriers())
  }

  function live() {
    const links = router.links.map(drawn)
    const now = router.samples.at(-1)
    const other = direction === 'down' ? 'up' : 'down'
    text(title, t('chart.' + direction))
    for (const b of tabs) b.setAttribute('aria-pressed', String(b.dataset.d === direction))
    const p = rateParts(now ? total(now, direction) : 0)
    text(big, p.value)
    text(unit, t('chart.now', {unit: p.unit}))
    const usable = links.filter((l) => l.usable && l.role !== 'never')
    const possible = usable.reduce((a, l) => a + (direction === 'down' ? l.capacityDown : l.capacityUp), 0)
    const delays = usable.map((l) => l.rttMs).filter((v) => v > 0)
    text(facts[0], possible ? t('chart.possible', {rate: rate(possible)}) : '')
    text(facts[1], t('chart.other.' + other, {rate: rate(now ? total(now, other) : 0)}))
    text(facts[2], delays.length ? t('chart.delay', {delay: delay(Math.min(...delays))}) : '')
    chart.draw({samples: router.samples, links, direction})
    words()
  }

  listen(signal, 'status', status)
  listen(signal, 'live', live)
  status()
  live()
  return [
    h('header', {class: 'head'}, h('div', {class: 'sp'}, state, lede)),
    warnings,
    h('section', {class: 'card', 'aria-label': t('chart.down') + ', ' + t('chart.up')},
      h('div', {class: 'ch'}, title, h('span', {class: 'sp'}), h('div', {class: 'seg', role: 'group', 'aria-label': t('chart.direction')}, tabs)),
      h('div', {class: 'figures num'}, h('span', null, big, unit), facts.map((f) => (f.classList.add('s', 'dim'), f))),
      chart.el),
    h('h2', {class: 'above'}, t('links')),
    linkCards(signal),
  ]
}

/** Who carries the traffic of the last minute, in words. */
function carriers() {
  const sums = new Map()
  let all = 0
  for (const one of router.samples.slice(-60)) {
    for (const l of router.links) {
      const v = (one.down[l.id] ?? 0) + (one.up[l.id] ?? 0)
      sums.set(l.name, (sums.get(l.name) ?? 0) + v)
      all += v
    }
  }
  if (!router.samples.length) return ''
  if (all / Math.min(60, router.samples.length) < 5e4) return t('home.quiet')
  const sorted = byWidth(router.links).map((l) => l.name).filter((n) => sums.get(n) > all * 0.1).sort((a, b) => sums.get(b) - sums.get(a))
  if (sums.get(sorted[0]) > all * 0.6) return t('home.most', {link: sorted[0]})
  return t('home.shared', {links: joined(sorted)})
}

/** A warning with what to do about it. */
function note(w) {
  const kind = {info: 'info', warning: 'warn', error: 'bad'}[w.severity] ?? 'info'
  const words = h('b')
  const fix = h('span', {class: 's dim'})
  const since = h('span', {class: 'm dim3 num'})
  const el = h('li', {class: 'note'}, h('span', {class: 'badge ' + kind}, icon({info: 'info', warn: 'warn', bad: 'stop'}[kind])),
    h('span', {class: 'sr'}, t('severity.' + (w.severity in {info: 1, warning: 1, error: 1} ? w.severity : 'info')) + ': '),
    h('div', {class: 'sp col0'}, words, fix), since)
  return {
    el,
    update(now) {
      text(words, now.text)
      text(fix, now.fix)
      set(since, t('warning.since', {time: when(new Date(now.since))}))
    },
  }
}
